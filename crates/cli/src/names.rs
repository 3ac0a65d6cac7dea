//! Names as Kubernetes takes them, checked before anything is tried.

use crate::failure::Failure;

/// A DNS-1123 label: what a namespace must be.
pub(crate) fn namespace(name: &str) -> Result<(), Failure> {
    if is_label(name) && name.len() <= 63 {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "{name:?} cannot be a namespace: use at most 63 lower-case letters, digits and '-', \
             beginning and ending with a letter or digit"
        )))
    }
}

/// A DNS-1123 subdomain: what a lock, a Pod or a service account must be.
pub(crate) fn subdomain(what: &str, name: &str) -> Result<(), Failure> {
    if name.len() <= 253 && name.split('.').all(is_label) {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "{name:?} cannot be the name of a {what}: use at most 253 lower-case letters, digits, \
             '-' and '.', beginning and ending with a letter or digit"
        )))
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_does() {
        for good in ["a", "nightly", "a-b.c-1", "0"] {
            assert!(subdomain("lock", good).is_ok(), "{good}");
        }
        for bad in [
            "", "A", "a_b", "-a", "a-", "a..b", ".a", "a b", "é", "a/b", "a\n",
        ] {
            assert!(subdomain("lock", bad).is_err(), "{bad}");
        }
        assert!(subdomain("lock", &"a".repeat(254)).is_err());
        assert!(namespace("shop").is_ok());
        assert!(namespace("a.b").is_err());
        assert!(namespace(&"a".repeat(64)).is_err());
    }
}

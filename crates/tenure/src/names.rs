//! Names that Kubernetes would refuse are refused before anything is asked of it.

use crate::error::SettingsError;

/// DNS-1123 subdomain: the name of a lock.
pub(crate) fn check_subdomain(name: &str) -> Result<(), SettingsError> {
    let fits = name.len() <= 253 && name.split('.').all(is_part);
    if fits {
        Ok(())
    } else {
        Err(SettingsError::LockName(name.to_owned()))
    }
}

/// DNS-1123 label: a namespace.
pub(crate) fn check_label(name: &str) -> Result<(), SettingsError> {
    let fits = name.len() <= 63 && is_part(name);
    if fits {
        Ok(())
    } else {
        Err(SettingsError::Namespace(name.to_owned()))
    }
}

/// Labels and annotations, and that nobody sets the annotation that carries the protocol.
pub(crate) fn check_metadata(
    labels: &[(String, String)],
    annotations: &[(String, String)],
    reserved: &[&str],
) -> Result<(), SettingsError> {
    let refuse = |text: String| Err(SettingsError::Metadata(text));
    for (key, _) in labels.iter().chain(annotations) {
        if !is_key(key) {
            return refuse(format!(
                "{key:?} cannot be the key of a label or annotation: an optional DNS-1123 prefix \
                 and '/', then 1 to 63 letters, digits, '-', '_' and '.'"
            ));
        }
        if reserved.contains(&key.as_str()) {
            return refuse(format!(
                "the annotation {key:?} is tenure's own; choose another key"
            ));
        }
    }
    for (key, value) in labels {
        if !(value.is_empty() || value.len() <= 63 && is_word(value)) {
            return refuse(format!(
                "{value:?} cannot be the value of the label {key:?}: at most 63 letters, digits, \
                 '-', '_' and '.', beginning and ending with a letter or digit"
            ));
        }
    }
    Ok(())
}

fn is_part(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    allowed(*first) && allowed(*last) && bytes.iter().all(|b| allowed(*b) || *b == b'-')
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(p, n)| (Some(p), n));
    prefix.is_none_or(|prefix| check_subdomain(prefix).is_ok()) && name.len() <= 63 && is_word(name)
}

fn is_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_refuses_are_refused() {
        for good in ["a", "a-b", "a.b.c", "0", &"x".repeat(253)] {
            assert!(check_subdomain(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "a_b",
            "-a",
            "a-",
            "a..b",
            ".a",
            "a/b",
            "a b",
            "ä",
            &"x".repeat(254),
        ] {
            assert!(check_subdomain(bad).is_err(), "{bad}");
        }
        assert!(check_label("a.b").is_err() && check_label(&"x".repeat(64)).is_err());
    }

    #[test]
    fn labels_and_annotations_that_kubernetes_refuses_are_refused() {
        let pair = |k: &str, v: &str| vec![(k.to_owned(), v.to_owned())];
        let check = |labels: &[_], annotations: &[_]| {
            check_metadata(labels, annotations, &["tenure.dev/write"])
        };
        assert!(
            check(
                &pair("app.kubernetes.io/name", "x"),
                &pair("note", "any thing")
            )
            .is_ok()
        );
        assert!(check(&pair("a/b/c", "x"), &[]).is_err());
        assert!(check(&pair("a", "no spaces"), &[]).is_err());
        assert!(check(&[], &pair("", "x")).is_err());
        assert!(check(&[], &pair("tenure.dev/write", "x")).is_err());
    }
}

//! The forms of names, keys and label values; each check gives the real server's sentences.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// A DNS subdomain: the form of most names.
pub(crate) fn dns_subdomain(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if value.len() > 253 {
        found.push("must be no more than 253 bytes".to_owned());
    }
    if !is_subdomain(value) {
        found.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '{LABEL}(\\.{LABEL})*')"
        ));
    }
    found
}

/// A DNS label: the form of a namespace's name.
pub(crate) fn dns_label(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if value.len() > 63 {
        found.push("must be no more than 63 bytes".to_owned());
    }
    if !is_label(value) {
        found.push(if is_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            format!(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
                 '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
                 '123-abc', regex used for validation is '{LABEL}')"
            )
        });
    }
    found
}

/// A name that may stand in a path: the form of the names of roles.
pub(crate) fn path_segment(value: &str) -> Vec<String> {
    match value {
        "." | ".." => vec![format!("may not be '{value}'")],
        _ => ['/', '%']
            .into_iter()
            .filter(|c| value.contains(*c))
            .map(|c| format!("may not contain '{c}'"))
            .collect(),
    }
}

/// The key of a label or an annotation, or a finalizer.
pub(crate) fn qualified_name(value: &str) -> Vec<String> {
    let told = format!(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
         validation is '{QUALIFIED}')"
    );
    let parts: Vec<&str> = value.split('/').collect();
    let mut found = Vec::new();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                found.push("prefix part must be non-empty".to_owned());
            } else {
                found.extend(
                    dns_subdomain(prefix)
                        .iter()
                        .map(|m| format!("prefix part {m}")),
                );
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {told} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        found.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        found.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_qualified(name) {
        found.push(format!("name part {told}"));
    }
    found
}

/// The value of a label.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if value.len() > 63 {
        found.push("must be no more than 63 bytes".to_owned());
    }
    if !value.is_empty() && !is_qualified(value) {
        found.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
             or 'my_value',  or '12345', regex used for validation is '({QUALIFIED})?')"
        ));
    }
    found
}

/// A key of a ConfigMap's data.
pub(crate) fn config_key(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if value.len() > 253 {
        found.push("must be no more than 253 bytes".to_owned());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || !value.chars().all(fits) {
        found.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
             'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
             '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match value {
        "." => found.push("must not be '.'".to_owned()),
        ".." => found.push("must not be '..'".to_owned()),
        _ if value.starts_with("..") => found.push("must not start with '..'".to_owned()),
        _ => {}
    }
    found
}

fn is_label(value: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    edge(value.bytes().next()) && edge(value.bytes().last()) && value.bytes().all(fits)
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_qualified(value: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    edge(value.bytes().next()) && edge(value.bytes().last()) && value.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::{config_key, dns_label, dns_subdomain, label_value, qualified_name};

    #[test]
    fn forms_are_told_apart() {
        assert!(dns_subdomain("a.b-c.d").is_empty());
        assert_eq!(dns_subdomain("A_b").len(), 1);
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert!(qualified_name("tenure.example.com/write").is_empty());
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert!(label_value("").is_empty());
        assert_eq!(label_value("-x").len(), 1);
        assert!(config_key("KEY_name.1").is_empty());
        assert_eq!(config_key("a b").len(), 1);
    }
}

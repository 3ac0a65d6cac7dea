//! Label and field selectors of lists, watches and collection deletes.

use serde_json::Value;

use crate::meta;
use crate::resources::{PODS, Resource};
use crate::status::{Outcome, Refusal};

/// Which objects a reader asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTerm {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    field: String,
    value: String,
    equal: bool,
}

impl Selector {
    pub(crate) fn parse(labels: &str, fields: &str, resource: &Resource) -> Outcome<Self> {
        let labels = parse_labels(labels)?;
        let fields = parse_fields(fields, resource)?;
        Ok(Self { labels, fields })
    }

    /// The one name that the selector allows, where it does.
    pub(crate) fn only_name(&self) -> Option<&str> {
        self.fields
            .iter()
            .find(|t| t.equal && t.field == "metadata.name")
            .map(|t| t.value.as_str())
    }

    pub(crate) fn with_name(mut self, name: &str) -> Self {
        self.fields.push(FieldTerm {
            field: "metadata.name".to_owned(),
            value: name.to_owned(),
            equal: true,
        });
        self
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|term| term.matches(labels))
            && self
                .fields
                .iter()
                .all(|t| (field_value(object, &t.field) == t.value) == t.equal)
    }
}

impl LabelTerm {
    fn matches(&self, labels: &Value) -> bool {
        let number = |key: &String| labels[key].as_str().and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::Exists(key) => labels[key].is_string(),
            Self::Missing(key) => !labels[key].is_string(),
            Self::In(key, values) => labels[key]
                .as_str()
                .is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => labels[key]
                .as_str()
                .is_none_or(|v| values.iter().all(|w| w != v)),
            Self::Greater(key, bound) => number(key).is_some_and(|n| n > *bound),
            Self::Less(key, bound) => number(key).is_some_and(|n| n < *bound),
        }
    }
}

fn field_value<'a>(object: &'a Value, field: &str) -> &'a str {
    let mut at = object;
    for part in field.split('.') {
        at = &at[part];
    }
    at.as_str().unwrap_or_default()
}

fn parse_fields(text: &str, resource: &Resource) -> Outcome<Vec<FieldTerm>> {
    let mut terms = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
            (field, value, false)
        } else if let Some((field, value)) = part.split_once("==") {
            (field, value, true)
        } else if let Some((field, value)) = part.split_once('=') {
            (field, value, true)
        } else {
            return Err(Refusal::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            )));
        };
        if !selectable(resource, field) {
            let message = if resource.is(PODS) || resource.is_custom() {
                format!("field label not supported: {field}")
            } else {
                format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \
                     \"metadata.namespace\""
                )
            };
            return Err(Refusal::bad_request(message));
        }
        let value = value
            .replace("\\,", ",")
            .replace("\\=", "=")
            .replace("\\\\", "\\");
        terms.push(FieldTerm {
            field: field.to_owned(),
            value,
            equal,
        });
    }
    Ok(terms)
}

fn selectable(resource: &Resource, field: &str) -> bool {
    let own: &[&str] = match &*resource.qualified {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "namespaces" => &["status.phase"],
        "secrets" => &["type"],
        "nodes" => &["spec.unschedulable"],
        "events" | "events.events.k8s.io" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        ],
        _ => &[],
    };
    field == "metadata.name" || field == "metadata.namespace" || own.contains(&field)
}

fn parse_labels(text: &str) -> Outcome<Vec<LabelTerm>> {
    split_terms(text)
        .into_iter()
        .map(|term| label_term(text, term.trim()))
        .collect()
}

/// Splits at the commas that stand outside of brackets.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.retain(|t| !t.trim().is_empty());
    terms
}

fn label_term(whole: &str, term: &str) -> Outcome<LabelTerm> {
    let refuse = || {
        let mut words = term.split_whitespace().skip(1);
        let found = words.next().unwrap_or(whole);
        Refusal::bad_request(format!(
            "unable to parse requirement: found '{found}', expected: in, notin, =, ==, !=, gt, lt"
        ))
    };
    if let Some(key) = term.strip_prefix('!') {
        return Ok(LabelTerm::Missing(label_key(key, refuse)?));
    }
    if let Some((key, rest)) = set_operator(term, "notin") {
        return Ok(LabelTerm::NotIn(
            label_key(key, refuse)?,
            set_values(rest).ok_or_else(refuse)?,
        ));
    }
    if let Some((key, rest)) = set_operator(term, "in") {
        return Ok(LabelTerm::In(
            label_key(key, refuse)?,
            set_values(rest).ok_or_else(refuse)?,
        ));
    }
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = term.split_once(operator) {
            let (key, value) = (label_key(key, refuse)?, vec![value.trim().to_owned()]);
            return Ok(if equal {
                LabelTerm::In(key, value)
            } else {
                LabelTerm::NotIn(key, value)
            });
        }
    }
    for (operator, greater) in [('>', true), ('<', false)] {
        if let Some((key, value)) = term.split_once(operator) {
            let bound = value.trim().parse().map_err(|_| refuse())?;
            let key = label_key(key, refuse)?;
            return Ok(if greater {
                LabelTerm::Greater(key, bound)
            } else {
                LabelTerm::Less(key, bound)
            });
        }
    }
    Ok(LabelTerm::Exists(label_key(term, refuse)?))
}

/// `key in (..)` as its key and what stands in the brackets and around them.
fn set_operator<'a>(term: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = term.split_once('(')?;
    let (key, found) = head.trim_end().rsplit_once(char::is_whitespace)?;
    (found == operator).then_some((key, rest))
}

fn set_values(rest: &str) -> Option<Vec<String>> {
    let inner = rest.trim_end().strip_suffix(')')?;
    Some(inner.split(',').map(|v| v.trim().to_owned()).collect())
}

fn label_key(key: &str, refuse: impl Fn() -> Refusal) -> Outcome<String> {
    let key = key.trim();
    let fits = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    if fits {
        Ok(key.to_owned())
    } else {
        Err(refuse())
    }
}

/// The field that decides which namespace an object is in; for lists over all namespaces.
pub(crate) fn in_namespace(object: &Value, namespace: &str) -> bool {
    namespace.is_empty() || meta::namespace(object) == namespace
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse_labels;

    fn holds(selector: &str) -> bool {
        let labels = json!({"app": "tenure", "tier": "7"});
        parse_labels(selector)
            .unwrap()
            .iter()
            .all(|term| term.matches(&labels))
    }

    #[test]
    fn label_selectors_are_understood() {
        for selector in [
            "app=tenure",
            "app==tenure,tier",
            "app in (a, tenure)",
            "!gone",
            "tier>6",
            "app!=x",
            "",
        ] {
            assert!(holds(selector), "{selector}");
        }
        for selector in [
            "app=x",
            "!app",
            "app notin (tenure)",
            "gone",
            "tier<7",
            "app!=tenure",
        ] {
            assert!(!holds(selector), "{selector}");
        }
        assert!(parse_labels("app in tenure").is_err());
        assert!(parse_labels("a b").is_err());
    }
}

//! Objects as the server sends them, without the one field that is as long as the rest together and
//! that nobody here reads: `metadata.managedFields`.
//!
//! A write without it leaves the server's record of who manages which field as it is: the API
//! server takes absence for "unknown to this client", and keeps what it has.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Read a whole JSON text.
pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Value> {
    let mut text = serde_json::Deserializer::from_slice(json);
    let value = Without(&UNREAD).deserialize(&mut text)?;
    text.end()?;
    Ok(value)
}

/// What stands at that path, each name a step: `pointer` of JSON, which allocates for each of them.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, name| value.get(name))
}

/// As JSON.
pub(crate) fn text(object: &Value) -> String {
    object.to_string()
}

/// Below `metadata`.
pub(crate) const MANAGED_FIELDS: &str = "managedFields";

const UNREAD: [&str; 2] = ["metadata", MANAGED_FIELDS];

/// Anything, without what lies at that path.
struct Without(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Without {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            match self.0 {
                [last] if name == *last => {
                    from.next_value::<IgnoredAny>()?;
                }
                [first, rest @ ..] if name == *first => {
                    let inner = from.next_value_seed(Without(rest))?;
                    fields.insert(name, inner);
                }
                _ => {
                    let value = from.next_value()?;
                    fields.insert(name, value);
                }
            }
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_is_read_but_who_manages_which_field() {
        let lease = json!({
            "kind": "Lease", "managedFields": [1],
            "metadata": {
                "name": "l", "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:x": {}}}],
                "annotations": {"managedFields": "theirs", "metadata": "too"},
            },
            "spec": {"managedFields": 1, "a": [true, null, -1, 2.5, u64::MAX, {"metadata": 1}]},
        });
        let mut kept = lease.clone();
        kept["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        assert_eq!(parse(lease.to_string().as_bytes()).unwrap(), kept);
    }

    #[test]
    fn whatever_is_json_is_read_as_it_is() {
        for text in [
            "null",
            "5",
            "-5",
            "1e300",
            "\"a\\n\\u00e9\"",
            "[]",
            "[[1]]",
            "{}",
            "{\"metadata\":7}",
            "{\"metadata\":[{\"managedFields\":1}]}",
            "{\"metadata\":{}}",
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap(),
                serde_json::from_str::<Value>(text).unwrap()
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let nested = "[".repeat(10_000);
        let inside = format!("{{\"metadata\":{{\"managedFields\":{nested}");
        for text in [
            "",
            "{",
            "{}x",
            "{\"a\" 1}",
            "{\"metadata\":{\"managedFields\":[}}",
            &nested,
            &inside,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}

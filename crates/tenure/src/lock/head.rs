//! The line of a watch, and as much of it as tells whose it is.
//!
//! An API server writes type, name and resourceVersion first, and behind them much that most of those who
//! hear of it do not need: a leader hears of each of its own renewals. So reading ends there, and whoever
//! wants the object reads on ([`Line`]).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// An event.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) object: &'a RawValue,
}

impl<'a> Line<'a> {
    pub(super) fn of(text: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }
}

/// What object an event is about.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Head {
    pub(super) name: Option<Box<str>>,
    pub(super) resource_version: Option<Box<str>>,
}

impl Head {
    /// With the event's type. `None` if the text is no event, or has an object without metadata, as far as it
    /// was read: no further than needed.
    pub(super) fn of(text: &[u8]) -> Option<(Cow<'_, str>, Self)> {
        let mut found = Found::default();
        let mut text = serde_json::Deserializer::from_slice(text);
        let read = Part::Line.of(&mut found).deserialize(&mut text);
        let whole = read.and_then(|()| text.end()).is_ok() && found.has_metadata;
        let enough = found.is_all();
        let kind = found.kind?;
        (whole || enough).then_some((kind, found.head))
    }
}

#[derive(Default)]
struct Found<'de> {
    kind: Option<Cow<'de, str>>,
    head: Head,
    has_metadata: bool,
}

impl Found<'_> {
    fn is_all(&self) -> bool {
        self.kind.is_some() && self.head.name.is_some() && self.head.resource_version.is_some()
    }
}

/// Which part of the line is read.
#[derive(Clone, Copy)]
enum Part {
    Line,
    Object,
    Metadata,
}

impl Part {
    fn of<'f, 'de>(self, found: &'f mut Found<'de>) -> Reading<'f, 'de> {
        Reading { part: self, found }
    }
}

struct Reading<'f, 'de> {
    part: Part,
    found: &'f mut Found<'de>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            Part::Line => "an event of a watch",
            Part::Object => "an object of Kubernetes",
            Part::Metadata => "metadata",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        let Self { part, found } = self;
        while let Some(key) = from.next_key()? {
            match (part, key) {
                (Part::Line, Key::Type) => found.kind = Some(from.next_value::<Kind<'_>>()?.0),
                (Part::Line, Key::Object) => from.next_value_seed(Part::Object.of(found))?,
                (Part::Object, Key::Metadata) => {
                    found.has_metadata = true;
                    from.next_value_seed(Part::Metadata.of(found))?;
                }
                (Part::Metadata, Key::Name) => found.head.name = from.next_value()?,
                (Part::Metadata, Key::ResourceVersion) => {
                    found.head.resource_version = from.next_value()?;
                }
                _ => {
                    from.next_value::<IgnoredAny>()?;
                }
            }
            if found.is_all() {
                // The deserializer refuses the rest, in fewer steps than an error of ours would take.
                return Ok(());
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Type,
    Object,
    Metadata,
    Name,
    ResourceVersion,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Kind<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    /// Type, name and resourceVersion.
    type Told = (String, Option<String>, Option<String>);

    fn head(text: &str) -> Option<Told> {
        let (kind, head) = Head::of(text.as_bytes())?;
        let owned = |text: Option<Box<str>>| text.map(Into::into);
        let Head {
            name,
            resource_version,
        } = head;
        Some((kind.into(), owned(name), owned(resource_version)))
    }

    fn all() -> Told {
        ("ADDED".into(), Some("l".into()), Some("5".into()))
    }

    #[test]
    fn a_head_is_found_wherever_it_stands() {
        for text in [
            r#"{"type":"ADDED","object":{"kind":"Lease","metadata":{"name":"l","uid":"u","resourceVersion":"5","x":[]}}}"#,
            r#"{"object":{"spec":{"name":"x"},"metadata":{"resourceVersion":"5","name":"l"}},"type":"ADDED"}"#,
            r#" { "type" : "ADDED" , "object":{"metadata":{"labels":{"name":"x"},"name":"l","resourceVersion":"5"}}}"#,
        ] {
            assert_eq!(head(text), Some(all()), "{text}");
        }
    }

    #[test]
    fn nothing_is_read_behind_it() {
        let text = r#"{"type":"ADDED","object":{"metadata":{"name":"l","resourceVersion":"5","#;
        for rest in ["", "]", "\"managedFields\":[{}]}}}"] {
            assert_eq!(head(&format!("{text}{rest}")), Some(all()));
        }
        for cut in 0..text.len() - 1 {
            assert_eq!(head(&text[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_has_only_a_part_of_it_is_read_to_its_end() {
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}"#;
        let expected = ("BOOKMARK".into(), None, Some("5".into()));
        assert_eq!(head(bookmark), Some(expected));
        for text in [
            &bookmark[..bookmark.len() - 1],
            &format!("{bookmark}x"),
            r#"{"type":"ADDED","object":{}}"#,
            r#"{"type":"ADDED","object":{"metadata":{"name":7,"resourceVersion":"5"}}}"#,
            r#"{"type":"ADDED","object":5}"#,
            r#"{"object":{"metadata":{"name":"l","resourceVersion":"5"}}}"#,
            r#"{"type":7,"object":{"metadata":{"name":"l","resourceVersion":"5"}}}"#,
            "[]",
            "",
        ] {
            assert_eq!(head(text), None, "{text}");
        }
    }
}

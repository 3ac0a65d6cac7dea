//! A JSON object as its fields, each value as the text that it is: what nobody here reads is neither
//! taken apart nor put together again, and goes back to the server as it came (L5).

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Names and values, in the order of the text. Of a name that stands there twice the last counts, as it
/// does everywhere.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    /// `None` if the text is no JSON, or not an object.
    pub(crate) fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The text of that value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter().rev();
        fields.find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// The string that it is.
    pub(crate) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        let text: Text<'_> = serde_json::from_str(self.get(name)?).ok()?;
        Some(text.0)
    }

    /// The object that it is; an empty one where it is missing or something else.
    pub(crate) fn object(&self, name: &str) -> Fields<'_> {
        self.get(name).and_then(Fields::of).unwrap_or_default()
    }

    /// Put this JSON there.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'a, str>>, json: impl Into<Cow<'a, str>>) {
        let name = name.into();
        self.remove(&name);
        self.0.push((name, json.into()));
    }

    /// Put this string there.
    pub(crate) fn set_string(&mut self, name: impl Into<Cow<'a, str>>, text: &str) {
        self.set(name, quoted(text));
    }

    /// Change the object that stands there. Whatever else does is replaced by one.
    pub(crate) fn edit(&mut self, name: &'a str, edit: impl FnOnce(&mut Fields<'_>)) {
        let mut object = self.object(name);
        edit(&mut object);
        let text = object.text();
        self.set(name, text);
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(n, _)| n != name);
        self.0.len() < before
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// As JSON.
    pub(crate) fn text(&self) -> String {
        let lengths = self.0.iter().map(|(name, value)| name.len() + value.len());
        // Quotes, colons and commas too; a name that needs escapes makes it grow.
        let mut json = String::with_capacity(lengths.sum::<usize>() + 4 * self.0.len() + 2);
        json.push('{');
        for (name, value) in self.iter() {
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&quoted(name));
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        json
    }
}

fn quoted(text: &str) -> String {
    // Text is always JSON once it is quoted.
    serde_json::to_string(text).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(All)
    }
}

struct All;

impl<'de> Visitor<'de> for All {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some((name, value)) = from.next_entry::<Text<'de>, &'de RawValue>()? {
            fields.push((name.0, Cow::Borrowed(value.get())));
        }
        Ok(Fields(fields))
    }
}

/// A string, in place where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        from.deserialize_str(Any)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_touched_comes_out_as_it_came_in() {
        let json = r#"{"a":1.0,"b":[ {"x":null} ],"c\n\"":"\u00e4\ud83d\ude00","n":1e400}"#;
        let fields = Fields::of(json).unwrap();
        assert_eq!(fields.text(), json);
        assert_eq!(Fields::of(" { } \n").unwrap().text(), "{}");
    }

    #[test]
    fn values_are_read_set_and_removed_and_the_last_of_a_name_counts() {
        let mut fields = Fields::of(r#"{"a":1,"s":"x\ty","a":"2","o":{"k":"v"}}"#).unwrap();
        assert_eq!(fields.string("a").as_deref(), Some("2"));
        assert_eq!(fields.string("s").as_deref(), Some("x\ty"));
        assert_eq!(fields.string("o"), None);
        assert_eq!(fields.object("o").string("k").as_deref(), Some("v"));
        assert_eq!(fields.object("s").text(), "{}");
        fields.set_string("a", "q\"");
        fields.set("n", "null");
        assert!(fields.remove("s") && !fields.remove("s"));
        let read: Value = serde_json::from_str(&fields.text()).unwrap();
        assert_eq!(read, json!({"a": "q\"", "n": null, "o": {"k": "v"}}));
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        let nested = format!("{{\"a\":{}", "[".repeat(100_000));
        for text in [
            "", "null", "[]", "\"{}\"", "{", "{}x", "{\"a\"}", "{1:2}", &nested,
        ] {
            assert!(Fields::of(text).is_none(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Fields::of(&deep).unwrap().text(), deep);
    }
}

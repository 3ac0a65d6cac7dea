//! A JSON object as its fields, each value as the text that it is: what nobody here reads is neither
//! taken apart nor put together again, and goes back to the server as it came (L5). Of the objects in it
//! those that are looked into are read in the same go.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Names and values, in the order of the text. Of a name that stands there twice the last counts, as it
/// does everywhere.
///
/// A borrowed name has nothing in it that would have to be escaped: it stands so in the text, or in this crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

#[derive(Clone, Debug)]
enum Node<'a> {
    Text(Cow<'a, str>),
    Object(Fields<'a>),
}

/// What is looked into, and what is not even kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) objects: &'static [(&'static str, Shape)],
    pub(crate) left_out: &'static [&'static str],
}

impl Shape {
    /// No object is looked into, and everything is kept.
    pub(crate) const FLAT: Self = Self {
        objects: &[],
        left_out: &[],
    };
}

impl<'a> Fields<'a> {
    /// `None` if the text is no JSON, or not an object.
    pub(crate) fn of(json: &'a str) -> Option<Self> {
        read(json, Shape::FLAT)
    }

    /// The same, of that shape. Where something else stands than an object that `shape` names, all is kept.
    pub(crate) fn shaped(json: &'a str, shape: Shape) -> Option<Self> {
        read(json, shape).or_else(|| Self::of(json))
    }

    /// The text of that value, unless it is an object that was looked into.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        match self.node(name)? {
            Node::Text(text) => Some(text),
            Node::Object(_) => None,
        }
    }

    /// The string that it is.
    pub(crate) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        let json = self.get(name)?;
        let inside = json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        match inside {
            // Without an escape it stands there as it is.
            Some(text) if memchr::memchr2(b'\\', b'"', text.as_bytes()).is_none() => {
                Some(text.into())
            }
            _ => serde_json::from_str(json).ok().map(|Text(text)| text),
        }
    }

    /// The object that it is; an empty one where it is missing or something else.
    pub(crate) fn object(&self, name: &str) -> Cow<'_, Fields<'_>> {
        match self.node(name) {
            Some(Node::Object(object)) => Cow::Borrowed(object),
            Some(Node::Text(text)) => Cow::Owned(Fields::of(text).unwrap_or_default()),
            None => Cow::default(),
        }
    }

    /// The object that stands there, to be changed. Whatever else does is replaced by one.
    pub(crate) fn object_mut(&mut self, name: &'static str) -> &mut Self {
        let at = self.at(name).unwrap_or_else(|| {
            let empty = Node::Object(Self::default());
            self.0.push((name.into(), empty));
            self.0.len() - 1
        });
        let node = &mut self.0[at].1;
        if let Node::Text(text) = node {
            let object = match text {
                Cow::Borrowed(text) => Self::of(text),
                Cow::Owned(text) => Fields::of(text).map(Fields::owned),
            };
            *node = Node::Object(object.unwrap_or_default());
        }
        match node {
            Node::Object(object) => object,
            Node::Text(_) => unreachable!("made an object just above"),
        }
    }

    /// Put this JSON there.
    pub(crate) fn set(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        json: impl Into<Cow<'a, str>>,
    ) {
        let (name, node) = (name.into(), Node::Text(json.into()));
        match self.at(&name) {
            Some(at) => self.0[at].1 = node,
            None => self.0.push((name, node)),
        }
    }

    /// Put this string there.
    pub(crate) fn set_string(&mut self, name: impl Into<Cow<'static, str>>, text: &str) {
        self.set(name, quoted(text));
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(n, _)| n != name);
        self.0.len() < before
    }

    /// Write that field behind all others.
    pub(crate) fn move_last(&mut self, name: &str) {
        if let Some(at) = self.at(name) {
            self.0[at..].rotate_left(1);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.0.iter().map(|(name, node)| (&**name, node.text()))
    }

    /// As JSON.
    pub(crate) fn text(&self) -> String {
        let mut json = String::with_capacity(self.len());
        self.write(&mut json);
        json
    }

    fn node(&self, name: &str) -> Option<&Node<'a>> {
        Some(&self.0[self.at(name)?].1)
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.0.iter().rposition(|(n, _)| n == name)
    }

    /// How long the text is, unless names need escapes: quotes, colons, commas and braces too.
    fn len(&self) -> usize {
        let fields = self
            .0
            .iter()
            .map(|(name, node)| name.len() + node.len() + 4);
        fields.sum::<usize>() + 2 - usize::from(!self.0.is_empty())
    }

    fn write(&self, json: &mut String) {
        json.push('{');
        for (index, (name, node)) in self.0.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            match name {
                Cow::Borrowed(plain) => json.extend(["\"", plain, "\""]),
                Cow::Owned(any) => quote(any, json),
            }
            json.push(':');
            match node {
                Node::Text(text) => json.push_str(text),
                Node::Object(object) => object.write(json),
            }
        }
        json.push('}');
    }

    fn owned<'b>(self) -> Fields<'b> {
        let fields = self.0.into_iter();
        let owned = fields.map(|(name, node)| (name.into_owned().into(), node.owned()));
        Fields(owned.collect())
    }
}

impl Node<'_> {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Object(object) => Cow::Owned(object.text()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Object(object) => object.len(),
        }
    }

    fn owned<'b>(self) -> Node<'b> {
        match self {
            Self::Text(text) => Node::Text(text.into_owned().into()),
            Self::Object(object) => Node::Object(object.owned()),
        }
    }
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + text.len() / 4 + 2);
    quote(text, &mut json);
    json
}

/// Append `text` as a JSON string.
pub(crate) fn quote(text: &str, json: &mut String) {
    if text.bytes().any(|byte| byte < b' ') {
        // Text is always JSON once it is quoted.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
        return;
    }
    json.push('"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) {
        let (plain, escaped) = rest.split_at(at);
        let (escaped, behind) = escaped.split_at(1);
        json.extend([plain, "\\", escaped]);
        rest = behind;
    }
    json.push_str(rest);
    json.push('"');
}

fn read(json: &str, shape: Shape) -> Option<Fields<'_>> {
    let mut text = serde_json::Deserializer::from_str(json);
    let node = Object(shape).deserialize(&mut text).ok()?;
    text.end().ok()?;
    match node {
        Node::Object(fields) => Some(fields),
        Node::Text(_) => None,
    }
}

/// An object of that shape, or null.
struct Object(Shape);

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object, or null")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node<'de>, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some(Text(name)) = from.next_key()? {
            if self.0.left_out.contains(&&*name) {
                from.next_value::<IgnoredAny>()?;
                continue;
            }
            let looked_into = self.0.objects.iter().find(|(n, _)| *n == name);
            let node = match looked_into {
                Some((_, shape)) => from.next_value_seed(Object(*shape))?,
                None => Node::Text(from.next_value::<&RawValue>()?.get().into()),
            };
            fields.push((name, node));
        }
        Ok(Node::Object(Fields(fields)))
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed("null")))
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
    fn of_what_is_looked_into_the_same_is_read_and_written() {
        const SHAPE: Shape = Shape {
            objects: &[(
                "o",
                Shape {
                    objects: &[("inner", Shape::FLAT)],
                    left_out: &["x"],
                },
            )],
            left_out: &[],
        };
        let json = r#"{"a":1,"o":{"x":[{}],"inner":{"k":"v\u0041"},"n":1e400},"x":null}"#;
        let kept = r#"{"a":1,"o":{"inner":{"k":"v\u0041"},"n":1e400},"x":null}"#;
        let mut fields = Fields::shaped(json, SHAPE).unwrap();
        assert_eq!(fields.text(), kept);
        assert_eq!(fields.text().len(), fields.text().capacity());
        assert_eq!(fields.get("o"), None);
        let inner = fields.object("o").object("inner").text();
        assert_eq!(inner, r#"{"k":"v\u0041"}"#);
        fields.object_mut("o").object_mut("inner").set("k", "2");
        assert_eq!(fields.text(), kept.replace(r#""v\u0041""#, "2"));
        // Whatever else stands there is kept as well as it can be.
        for other in ["null", "[1]", "\"{}\"", "7", "{}"] {
            let json = format!("{{\"o\":{{\"inner\":{other}}}}}");
            assert_eq!(Fields::shaped(&json, SHAPE).unwrap().text(), json);
            let json = format!("{{\"o\":{other}}}");
            let mut fields = Fields::shaped(&json, SHAPE).unwrap();
            assert_eq!(fields.text(), json);
            assert_eq!(fields.object("o").text(), "{}");
            fields.object_mut("o").set("k", "2");
            assert_eq!(fields.text(), r#"{"o":{"k":2}}"#);
        }
        for broken in [
            r#"{"o":{"x":[}}"#,
            r#"{"o":{"inner":{"k"}}}"#,
            r#"{"o":{}}x"#,
        ] {
            assert!(Fields::shaped(broken, SHAPE).is_none(), "{broken}");
        }
    }

    #[test]
    fn an_object_in_a_text_that_was_put_there_can_be_changed_too() {
        let mut fields = Fields::default();
        fields.set("o", r#"{"a":{"b":1}}"#.to_owned());
        fields.object_mut("o").object_mut("a").set_string("c", "\n");
        assert_eq!(fields.text(), r#"{"o":{"a":{"b":1,"c":"\n"}}}"#);
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

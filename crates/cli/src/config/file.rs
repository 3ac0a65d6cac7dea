//! The configuration file: YAML, with the line of each of its entries.

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize,
    de::{Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// A larger file is no configuration.
const LARGEST: u64 = 1 << 20;

/// What a file says.
#[derive(Debug)]
pub(super) struct Settings {
    path: PathBuf,
    /// Those of a verb after its own, which is a section.
    pub(super) entries: Vec<Entry>,
}

/// One key, and what stands there.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: u64,
    /// Whose section it stands in.
    pub(super) verb: Option<String>,
    pub(super) key: String,
    pub(super) value: Value,
}

/// What stands at a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    /// Text, or a number as text.
    Text(String),
    Section,
    /// What no setting is, in words.
    Other(&'static str),
}

impl Value {
    pub(super) const NOTHING: Self = Self::Other("nothing");
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let told = path.display();
        let unreadable = |error: std::io::Error| {
            format!(
                "the configuration file {told} cannot be read ({error}); correct --config (or \
                 TENURE_CONFIG)"
            )
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!(
                "the configuration file {told} is larger than {LARGEST} bytes"
            ));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| format!("the configuration file {told} is no text in UTF-8"))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut settings = Self {
            path: path.to_owned(),
            entries: Vec::new(),
        };
        let is_blank = |line: &str| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        };
        if text.lines().all(is_blank) {
            return Ok(settings);
        }
        let node: Node = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            let told = match error.without_snippet() {
                serde_saphyr::Error::MultipleDocuments { .. } => {
                    "a configuration is one document, and here begins another".to_owned()
                }
                serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
                    let key = key.as_deref().unwrap_or_default();
                    format!("{key:?} stands there twice; take one of them out")
                }
                error => error.to_string(),
            };
            let told = told.lines().next().unwrap_or_default();
            format!("{}:{line}: {told}", path.display())
        })?;
        let Node::Map(map) = node else {
            let told = path.display();
            return Err(format!(
                "{told}:1: a configuration is keys and values, such as `lease-duration: 30s`"
            ));
        };
        for (line, key, node) in map {
            let (value, more) = node.value();
            settings.entries.push(Entry {
                line,
                verb: None,
                key: key.clone(),
                value,
            });
            for (line, inner, node) in more {
                let (value, _) = node.value();
                let value = match value {
                    Value::Section => Value::Other("a mapping"),
                    value => value,
                };
                settings.entries.push(Entry {
                    line,
                    verb: Some(key.clone()),
                    key: inner,
                    value,
                });
            }
        }
        Ok(settings)
    }

    /// What is set for a flag of this verb: by its section, or else at the top.
    pub(super) fn find(&self, verb: &str, key: &str) -> Option<&Entry> {
        let of = |section: Option<&str>| {
            self.entries.iter().find(|entry| {
                entry.verb.as_deref() == section
                    && entry.key == key
                    && entry.value != Value::Section
            })
        };
        of(Some(verb)).or_else(|| of(None))
    }

    /// File and line.
    pub(super) fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.path.display(), entry.line)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Section => f.write_str("a mapping"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Any YAML, as far as settings need it.
#[derive(Debug)]
enum Node {
    Leaf(Value),
    Map(Vec<(u64, String, Node)>),
}

impl Node {
    fn value(self) -> (Value, Vec<(u64, String, Node)>) {
        match self {
            Self::Leaf(value) => (value, Vec::new()),
            Self::Map(map) => (Value::Section, map),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Text(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Text(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Text(value.to_string())))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Text(value.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::NOTHING))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        while seq.next_element::<Node>()?.is_some() {}
        Ok(Node::Leaf(Value::Other("a list")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value()?;
            entries.push((key.referenced.line(), key.value, value));
        }
        Ok(Node::Map(entries))
    }
}

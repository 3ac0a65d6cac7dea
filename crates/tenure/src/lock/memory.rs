//! The objects that the core was last shown: what it replaces must be sent back with every
//! field of others in it (L5).

use std::collections::VecDeque;

use serde_json::Value;
use tenure_core::{Uid, Version};

use crate::object;

/// The last few states of one object.
#[derive(Debug)]
pub(super) struct Memory<K>(VecDeque<State<K>>);

#[derive(Debug)]
struct State<K> {
    version: Version,
    /// All that a replace has to send back.
    kept: K,
}

/// The core replaces the newest state it was shown, or its own last write; a few between the two
/// may be other people's.
const REMEMBERED: usize = 16;

impl<K> Default for Memory<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K> Memory<K> {
    /// The object of that version, if it is not known yet.
    pub(super) fn remember(&mut self, version: &Version, kept: impl FnOnce() -> K) {
        if self.0.iter().any(|state| state.version == *version) {
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            // Mostly it is one, in a thousand elections.
            self.0.reserve_exact(1);
        }
        self.0.push_back(State {
            version: version.clone(),
            kept: kept(),
        });
    }

    /// A write over that version was applied: nobody asks for it again.
    pub(super) fn forget(&mut self, version: &Version) {
        self.0.retain(|state| state.version != *version);
    }

    /// The uid of the object that was seen last.
    pub(super) fn uid(&self) -> Option<Uid> {
        Some(self.0.back()?.version.uid.clone())
    }

    /// The state of that version, which is about to be replaced: nobody asks for an older one
    /// again.
    pub(super) fn recall(&mut self, version: &Version) -> Option<&K> {
        let at = self.0.iter().rposition(|state| state.version == *version)?;
        self.0.drain(..at);
        Some(&self.0.front()?.kept)
    }
}

/// The uid and resourceVersion of an object.
pub(super) fn version_of(object: &Value) -> Option<Version> {
    let text = |name: &str| {
        object::at(object, &["metadata", name])?
            .as_str()
            .filter(|text| !text.is_empty())
    };
    Some(Version::new(text("uid")?, text("resourceVersion")?))
}

/// The object at `pointer`, created as an empty one where it is missing or no object.
pub(super) fn object_at<'a>(
    parent: &'a mut Value,
    name: &str,
) -> &'a mut serde_json::Map<String, Value> {
    if !parent.is_object() {
        *parent = Value::Object(serde_json::Map::new());
    }
    let slot = match parent {
        Value::Object(fields) => {
            if !fields.contains_key(name) {
                fields.insert(name.to_owned(), Value::Null);
            }
            &mut fields[name]
        }
        other => other,
    };
    if !slot.is_object() {
        *slot = Value::Object(serde_json::Map::new());
    }
    match slot {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object just above"),
    }
}

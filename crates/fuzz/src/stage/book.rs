//! Everything that the candidate was shown, by version: what its writes must rest on.

use std::collections::HashMap;

use serde_json::Value;

/// The states that were shown.
#[derive(Default)]
pub(crate) struct Book {
    shown: HashMap<(String, String), Vec<Value>>,
}

impl Book {
    pub(crate) fn shown(&mut self, object: &Value) {
        if let Some(version) = version(object) {
            let states = self.shown.entry(version).or_default();
            if !states.contains(object) {
                states.push(object.clone());
            }
        }
    }

    /// What was shown under this version: usually one state, more where the server lied.
    pub(crate) fn states(&self, version: &(String, String)) -> &[Value] {
        self.shown.get(version).map_or(&[], Vec::as_slice)
    }
}

/// The uid and resourceVersion, where both are texts with something in them.
pub(crate) fn version(object: &Value) -> Option<(String, String)> {
    let text = |place: &str| {
        let text = object.pointer(place)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    Some((text("/metadata/uid")?, text("/metadata/resourceVersion")?))
}

//! What a write over a Lease keeps of it (L5), laid out so that what each write puts there anew is added
//! behind it: a renewal puts texts together, and takes none apart.

use std::borrow::Cow;

use tenure_core::Version;

use super::{
    asked_json::STEP_DOWN_ANNOTATION,
    lease_json::{Extras, SHAPE},
    written::{OURS, WRITE_ANNOTATION, Written},
};
use crate::fields::{Fields, quote};

/// All of a Lease but what each write puts there, and `metadata.managedFields`, without which the server's
/// record of them stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// The object up to the last of others' annotations: three braces are open.
    head: Box<str>,
    /// The fields of others in the spec.
    spec: Box<str>,
}

impl Kept {
    pub(super) fn of(mut object: Fields<'_>) -> Self {
        let mut spec = std::mem::take(object.object_mut("spec"));
        for name in OURS {
            spec.remove(name);
        }
        object.remove("spec");
        let metadata = object.object_mut("metadata");
        for name in ["uid", "resourceVersion"] {
            metadata.remove(name);
        }
        metadata.object_mut("annotations").remove(WRITE_ANNOTATION);
        metadata.move_last("annotations");
        object.move_last("metadata");
        let mut head = object.text();
        head.truncate(head.len() - 3);
        let spec = spec.text();
        Self {
            head: head.into(),
            spec: spec[1..spec.len() - 1].into(),
        }
    }

    /// The same with labels and annotations that somebody wants there; the write that begins a term takes a
    /// request to step down out.
    pub(super) fn described(&self, extras: &Extras, acquires: bool) -> Cow<'_, Self> {
        if extras.is_empty() && !acquires {
            return Cow::Borrowed(self);
        }
        let whole = self.whole();
        let mut object = Fields::shaped(&whole, SHAPE).unwrap_or_default();
        let metadata = object.object_mut("metadata");
        for (what, pairs) in [
            ("labels", &extras.labels),
            ("annotations", &extras.annotations),
        ] {
            if !pairs.is_empty() {
                let fields = metadata.object_mut(what);
                for (name, value) in pairs {
                    fields.set_string(name.clone(), value);
                }
            }
        }
        if acquires {
            metadata
                .object_mut("annotations")
                .remove(STEP_DOWN_ANNOTATION);
        }
        Cow::Owned(Self::of(object))
    }

    /// With that write in it, as JSON: over that version, or the first.
    pub(super) fn with(&self, written: &Written, over: Option<&Version>) -> String {
        /// Room for names, punctuation, uid and resourceVersion.
        const MORE: usize = 192;
        let texts = written.mark().len() + written.spec().len() + self.head.len() + self.spec.len();
        let mut json = String::with_capacity(texts + MORE);
        json.push_str(&self.head);
        // Open is an object, or a value in it, and no value ends with this brace.
        if !json.ends_with('{') {
            json.push(',');
        }
        json.extend(["\"", WRITE_ANNOTATION, "\":", written.mark(), "}"]);
        if let Some(version) = over {
            json.push_str(",\"uid\":");
            quote(version.uid.as_str(), &mut json);
            json.push_str(",\"resourceVersion\":");
            quote(version.resource_version.as_str(), &mut json);
        }
        json.push_str("},\"spec\":{");
        json.push_str(&self.spec);
        if !self.spec.is_empty() && !written.spec().is_empty() {
            json.push(',');
        }
        json.push_str(written.spec());
        json.push_str("}}");
        json
    }

    /// As JSON.
    pub(super) fn whole(&self) -> String {
        let Self { head, spec } = self;
        format!("{head}}}}},\"spec\":{{{spec}}}}}")
    }
}

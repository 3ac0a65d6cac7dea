//! What a write puts into a Lease, as the texts that stand for it.
//!
//! The server mostly answers in the same letters. Then what they mean is known, and need not be read: for
//! each of a thousand renewals a mark and three times less.

use std::{borrow::Cow, fmt::Write as _, ops::Range};

use serde::{Deserialize, Serialize};
use tenure_core::{
    MicroTime, Nonce,
    lease::{LeaseWrite, Spec, WriteMark},
};

use crate::fields::{Fields, quote, quoted};

/// The annotation that every write of ours carries.
pub(crate) const WRITE_ANNOTATION: &str = "tenure.dev/write";

/// The fields that a write fills or leaves out.
pub(super) const OURS: [&str; 5] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MarkJson<'a> {
    #[serde(borrow)]
    process: Cow<'a, str>,
    write: u64,
    #[serde(borrow)]
    holder: Cow<'a, str>,
    duration_seconds: u32,
    #[serde(borrow)]
    renew_time: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    released: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<Cow<'a, str>>,
}

/// A write and its texts, each a value of JSON.
#[derive(Debug)]
pub(crate) struct Written {
    write: LeaseWrite,
    mark: String,
    /// The fields of the spec that are not left out, with commas between them.
    spec: String,
    /// Where in it the values of [`OURS`] stand.
    values: [Option<Range<usize>>; OURS.len()],
    /// Whether the texts mean what was to be written: there are times that no text stands for.
    exact: bool,
}

impl Written {
    pub(crate) fn new(write: LeaseWrite) -> Self {
        let (spec, mark) = (&write.spec, &write.mark);
        let renewed = format_time(mark.renew_time);
        let time = |time: MicroTime| {
            // A renewal writes the one of its mark, and need not put it into words again.
            Value::Text(if time == mark.renew_time {
                Cow::Borrowed(&renewed)
            } else {
                Cow::Owned(format_time(time))
            })
        };
        let values = [
            spec.holder.as_deref().map(|name| Value::Text(name.into())),
            spec.duration_seconds.map(Value::Number),
            spec.acquire_time.map(time),
            spec.renew_time.map(time),
            spec.transitions.map(Value::Number),
        ];
        let mut text = String::with_capacity(ROOM);
        let mut places = [const { None }; OURS.len()];
        for ((name, value), place) in OURS.into_iter().zip(&values).zip(&mut places) {
            let Some(value) = value else { continue };
            if !text.is_empty() {
                text.push(',');
            }
            text.extend(["\"", name, "\":"]);
            let start = text.len();
            value.put(&mut text);
            *place = Some(start..text.len());
        }
        let times = [spec.acquire_time, spec.renew_time, Some(mark.renew_time)];
        let exact = times.into_iter().flatten().all(has_text);
        let mark = quoted(&mark_text(mark, &renewed));
        Self {
            write,
            mark,
            spec: text,
            values: places,
            exact,
        }
    }

    /// Whether it begins a term.
    pub(super) fn acquires(&self) -> bool {
        self.write.acquires
    }

    /// The annotation, as JSON.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// The fields that are not left out, as JSON, with commas between them.
    pub(super) fn spec(&self) -> &str {
        &self.spec
    }

    /// The mark that was written, if it is what stands there.
    pub(super) fn mark_in(&self, annotations: &Fields<'_>) -> Option<&WriteMark> {
        let same = self.exact && annotations.get(WRITE_ANNOTATION) == Some(&self.mark);
        same.then_some(&self.write.mark)
    }

    /// What was written, if it is what stands there. Fields of others are not looked at.
    pub(super) fn spec_in(&self, spec: &Fields<'_>) -> Option<&Spec> {
        let mut values = OURS.into_iter().zip(&self.values);
        let same = |(name, value): (&str, &Option<Range<usize>>)| {
            spec.get(name) == value.clone().map(|at| &self.spec[at])
        };
        (self.exact && values.all(same)).then_some(&self.write.spec)
    }
}

/// For what is usual.
const ROOM: usize = 256;

enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
}

impl Value<'_> {
    fn put(&self, json: &mut String) {
        match self {
            Self::Text(text) => quote(text, json),
            Self::Number(number) => {
                // Writing into a text does not fail.
                let _ = write!(json, "{number}");
            }
        }
    }
}

fn mark_text(mark: &WriteMark, renewed: &str) -> String {
    let mark = MarkJson {
        process: mark.nonce.as_str().into(),
        write: mark.counter,
        holder: (*mark.holder).into(),
        duration_seconds: mark.duration_seconds,
        renew_time: renewed.into(),
        released: mark.released,
        successor: mark.successor.as_deref().map(Into::into),
    };
    serde_json::to_string(&mark).unwrap_or_default()
}

/// What a mark says. `None` if it is none of ours, or broken.
pub(super) fn read_mark(text: &str) -> Option<WriteMark> {
    let mark: MarkJson<'_> = serde_json::from_str(text).ok()?;
    Some(WriteMark {
        nonce: Nonce::new(mark.process),
        counter: mark.write,
        holder: mark.holder.into(),
        duration_seconds: mark.duration_seconds,
        renew_time: parse_time(&mark.renew_time)?,
        released: mark.released,
        successor: mark.successor.map(Into::into),
    })
}

fn has_text(time: MicroTime) -> bool {
    jiff::Timestamp::from_microsecond(time.as_micros()).is_ok()
}

/// RFC 3339 with exactly six digits, as `MicroTime` has it.
pub(crate) fn format_time(time: MicroTime) -> String {
    match jiff::Timestamp::from_microsecond(time.as_micros()) {
        Ok(timestamp) => format!("{timestamp:.6}"),
        Err(_) => "1970-01-01T00:00:00.000000Z".to_owned(),
    }
}

pub(super) fn parse_time(text: &str) -> Option<MicroTime> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(MicroTime::from_micros(timestamp.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_and_are_read_with_0_6_or_9() {
        assert_eq!(
            format_time(MicroTime::from_micros(1_700_000_000_000_000)),
            "2023-11-14T22:13:20.000000Z"
        );
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000000Z",
            "2023-11-14T22:13:20.000000000Z",
        ] {
            assert_eq!(
                parse_time(text),
                Some(MicroTime::from_micros(1_700_000_000_000_000))
            );
        }
    }
}

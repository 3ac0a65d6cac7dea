//! What people ask by annotations on a lock, as JSON (rules L25, L26, F12). Anybody may have put
//! anything there: what cannot be understood is no request; but whatever it says, a pause is a pause.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tenure_core::{Identity, Paused, StepDown, Uid};

/// The annotation by which the holder of a lock is asked to step down.
pub(crate) const STEP_DOWN_ANNOTATION: &str = "tenure.dev/step-down";
/// The annotation on a Lease that nobody shall take.
pub(crate) const PAUSED_ANNOTATION: &str = "tenure.dev/paused";

/// The longest text that is read at all. An identity has at most 1,024 bytes, and there are two.
const LONGEST: usize = 8 * 1024;
/// The most characters that are passed on of what is for people.
const LONGEST_WORDS: usize = 256;

#[derive(Deserialize)]
struct StepDownJson {
    holder: String,
    transitions: Option<i64>,
    uid: String,
    to: Option<String>,
    #[serde(default)]
    by: Value,
}

#[derive(Default, Deserialize)]
struct PausedJson {
    #[serde(default)]
    by: Value,
    #[serde(default)]
    reason: Value,
}

/// The request to step down that this annotation is, if it can be understood.
pub(crate) fn step_down(annotation: &Value) -> Option<StepDown> {
    let text = annotation.as_str()?;
    if text.len() > LONGEST {
        return None;
    }
    let asked: StepDownJson = serde_json::from_str(text).ok()?;
    let named = |name: &str| Identity::fixed(name).is_ok();
    if !named(&asked.holder) || asked.uid.is_empty() {
        return None;
    }
    // Who is named must be one who could stand (L22); to pass over the name would be another request.
    if asked.to.as_deref().is_some_and(|to| !named(to)) {
        return None;
    }
    Some(StepDown {
        holder: asked.holder.into(),
        transitions: asked.transitions,
        uid: Uid::new(asked.uid),
        to: asked.to.map(Into::into),
        by: words(&asked.by),
    })
}

/// The pause that this annotation is. Its being there is the pause: a person who writes
/// `tenure.dev/paused=yes` means it.
pub(crate) fn paused(annotation: &Value) -> Option<Paused> {
    if annotation.is_null() {
        return None;
    }
    let said: PausedJson = annotation
        .as_str()
        .filter(|text| text.len() <= LONGEST)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    Some(Paused {
        by: words(&said.by),
        reason: words(&said.reason),
    })
}

/// For people, on one line of a log.
fn words(value: &Value) -> Arc<str> {
    let text = value.as_str().unwrap_or_default().trim();
    let shown = text.chars().take(LONGEST_WORDS);
    let plain = shown.map(|c| if c.is_control() { ' ' } else { c });
    plain.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(text: &str) -> Option<StepDown> {
        step_down(&text.into())
    }

    #[test]
    fn l25_a_request_is_read_whole() {
        let text = r#"{"holder":"a_u_n","transitions":3,"uid":"lease","to":"b","at":"2026-03-01T09:30:00Z","by":"eve","more":1}"#;
        let expected = StepDown {
            holder: "a_u_n".into(),
            transitions: Some(3),
            uid: Uid::new("lease"),
            to: Some("b".into()),
            by: "eve".into(),
        };
        assert_eq!(asked(text), Some(expected));
        let least = asked(r#"{"holder":"n-1","uid":"u"}"#).unwrap();
        assert_eq!((least.transitions, least.to, &*least.by), (None, None, ""));
    }

    #[test]
    fn l25_garbage_and_texts_of_absurd_length_are_no_request() {
        for text in [
            "",
            "yes",
            "null",
            "[]",
            "{}",
            r#"{"holder":"a"}"#,
            r#"{"holder":"","transitions":1,"uid":"u"}"#,
            r#"{"holder":"a","transitions":1,"uid":""}"#,
            r#"{"holder":7,"transitions":1,"uid":"u"}"#,
            r#"{"holder":"a","transitions":1.5,"uid":"u"}"#,
            r#"{"holder":"a","transitions":99999999999999999999,"uid":"u"}"#,
            r#"{"holder":"a","transitions":1,"uid":"u","to":""}"#,
            r#"{"holder":"a","transitions":1,"uid":"u","to":"b\u0000"}"#,
            r#"{"holder":"a","transitions":1,"uid":"u""#,
            &"[".repeat(100_000),
            &format!(
                r#"{{"holder":"a","transitions":1,"uid":"u","by":"{}"}}"#,
                "x".repeat(9000)
            ),
            &format!(
                r#"{{"holder":"{}","transitions":1,"uid":"u"}}"#,
                "x".repeat(1025)
            ),
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
        for value in [json!(null), json!(7), json!({"holder": "a", "uid": "u"})] {
            assert_eq!(step_down(&value), None);
        }
    }

    #[test]
    fn l25_who_asks_is_shown_on_one_line() {
        let asked = asked(r#"{"holder":"a","uid":"u","by":"  eve\n\u001b[31mERROR "}"#).unwrap();
        assert_eq!(&*asked.by, "eve  [31mERROR");
        let long = json!({"holder": "a", "uid": "u", "by": "ä".repeat(1000)}).to_string();
        let by = step_down(&long.into()).unwrap().by;
        assert_eq!(by.chars().count(), LONGEST_WORDS);
    }

    #[test]
    fn l26_a_pause_is_a_pause_whatever_it_says() {
        let said =
            paused(&r#"{"since":"2026-03-01T09:30:00Z","by":"eve","reason":"maintenance"}"#.into());
        let expected = Paused {
            by: "eve".into(),
            reason: "maintenance".into(),
        };
        assert_eq!(said, Some(expected));
        for text in ["", "true", "{", r#"{"by":7}"#, &"x".repeat(20_000)] {
            let said = paused(&text.into());
            assert_eq!(said, Some(Paused::default()), "{text}");
        }
        assert_eq!(paused(&Value::Null), None);
    }
}

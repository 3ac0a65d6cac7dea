//! People who ask the candidates for something, by annotations on the lock (L25, L26, F12): in words
//! as `tenure` writes them, and in garbage.

use serde_json::{Value, json};

use crate::{
    fault::{Fault, FaultKind},
    rng::Rng,
};

use super::{pods::name, record, world::World};

impl World<'_> {
    /// Somebody asks for something. False where there is nothing to be asked of.
    pub(super) fn steer(&mut self, fault: &Fault) -> bool {
        let Some(lock) = self.api.lock().map(|lock| lock.object.clone()) else {
            return false;
        };
        let mut rng = Rng::new(fault.salt, 45);
        let by = format!("person-{}", fault.id);
        let (annotation, text) = match fault.kind {
            FaultKind::PauseLease => (record::PAUSED, pause(&by, &mut rng)),
            FaultKind::AskStepDown => {
                let Some(mut asked) = self.true_request(&lock, &by) else {
                    return false;
                };
                if rng.chance(500) {
                    asked["to"] = self.candidate(&mut rng).into();
                }
                (record::STEP_DOWN, asked.to_string().into())
            }
            _ => (record::STEP_DOWN, self.untrue_request(&lock, &by, &mut rng)),
        };
        self.edit(|lock| {
            if !lock["metadata"]["annotations"].is_object() {
                lock["metadata"]["annotations"] = json!({});
            }
            lock["metadata"]["annotations"][annotation] = text;
        })
    }

    /// Whatever is paused is no longer.
    pub(super) fn resume(&mut self) -> bool {
        let paused = |lock: &Value| record::snapshot(self.plan.lock, lock).paused.is_some();
        if !self.api.lock().is_some_and(|lock| paused(&lock.object)) {
            return false;
        }
        self.edit(|lock| {
            if let Some(annotations) = lock["metadata"]["annotations"].as_object_mut() {
                annotations.remove(record::PAUSED);
            }
        })
    }

    /// What a person writes who has read this, as `tenure step-down` does.
    fn true_request(&self, lock: &Value, by: &str) -> Option<Value> {
        let read = record::snapshot(self.plan.lock, lock);
        let holder = if self.plan.lock.is_for_life() {
            read.nonce
        } else {
            read.holder
        };
        let mut asked = json!({
            "holder": &*holder?,
            "uid": &*read.uid,
            "at": "2026-03-01T09:30:00Z",
            "by": by,
        });
        if let Some(transitions) = read.transitions {
            asked["transitions"] = transitions.into();
        }
        Some(asked)
    }

    /// A request that is none to the present term: an earlier term's, another holder's, another
    /// object's, one that names no term, or one that nobody can read.
    fn untrue_request(&self, lock: &Value, by: &str, rng: &mut Rng) -> Value {
        let present = self.true_request(lock, by);
        let mut asked = present.clone().unwrap_or_else(
            || json!({"holder": "nobody", "uid": lock["metadata"]["uid"], "transitions": 0}),
        );
        let for_life = self.plan.lock.is_for_life();
        match rng.below(8) {
            0 if !for_life => {
                let transitions = asked["transitions"].as_i64().unwrap_or(0);
                asked["transitions"] = (transitions - 1).into();
            }
            0 | 1 => {
                let copy = self.copy(rng.next_u64());
                let earlier = copy.and_then(|copy| self.true_request(&copy, by));
                let of_now = |earlier: &Value| {
                    earlier["holder"] == asked["holder"]
                        && earlier["transitions"] == asked["transitions"]
                };
                match earlier.filter(|earlier| !of_now(earlier)) {
                    Some(earlier) => asked = earlier,
                    None => asked["holder"] = "somebody-else".into(),
                }
            }
            2 => {
                let other = self.candidate(rng);
                asked["holder"] = if asked["holder"] == *other {
                    "somebody-else".into()
                } else {
                    other.into()
                };
            }
            3 => asked["uid"] = "00000000-0000-4000-8000-000000000000".into(),
            4 if !for_life => asked["transitions"] = Value::Null,
            // What cannot be read is no request, though its holder is the right one.
            5 => asked["transitions"] = "first".into(),
            6 => asked["to"] = "".into(),
            _ => {
                let texts = ["", "yes", "{not json", "[]", "null", "7"];
                return texts[rng.index(texts.len())].into();
            }
        }
        asked.to_string().into()
    }

    /// Somebody who stands, by identity or Pod, or nobody.
    fn candidate(&self, rng: &mut Rng) -> String {
        let seat = rng.index(4);
        let sits = self.living().find(|process| process.seat == seat);
        match (rng.below(4), sits) {
            (0, _) => "nobody-of-that-name".to_owned(),
            (1, _) | (_, None) => name(seat),
            (_, Some(process)) => process.identity.to_string(),
        }
    }
}

/// The annotation's presence is the pause, whatever it says (L26).
fn pause(by: &str, rng: &mut Rng) -> Value {
    let said = json!({"since": "2026-03-01T09:30:00Z", "by": by, "reason": "moving house"});
    let long = "x".repeat(20_000);
    let texts = ["", "yes", "{not json", "[1]", "7", r#"{"by":7}"#, &long];
    if rng.chance(500) {
        said.to_string().into()
    } else {
        texts[rng.index(texts.len())].into()
    }
}

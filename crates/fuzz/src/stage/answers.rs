//! How a call goes: straight, late, lost on the way there or back, refused, or answered with
//! something else.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{LOCK, Play, Stage, version};
use crate::{
    choices::Choices,
    strange,
    world::{self, Answer, Asked},
};

/// The way that one call goes.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(super) before: Duration,
    pub(super) after: Duration,
    turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Straight,
    /// A stranger was there just before.
    StrangerFirst,
    /// A stranger was there before the answer came.
    StrangerAfter,
    AnswerLost,
    CallLost,
    Refused,
    /// The answer shows something else than what is there.
    Lie,
    /// The answer shows what was there once.
    Old,
}

impl Way {
    pub(super) fn straight() -> Self {
        Self {
            before: Duration::ZERO,
            after: Duration::ZERO,
            turn: Turn::Straight,
        }
    }

    pub(super) fn choose(choices: &Choices) -> Self {
        let delays = [0, 0, 0, 0, 1, 500, 1_999, 7_000].map(Duration::from_millis);
        let turn = choices.one_of(&[
            Turn::Straight,
            Turn::Straight,
            Turn::StrangerFirst,
            Turn::StrangerAfter,
            Turn::AnswerLost,
            Turn::CallLost,
            Turn::Refused,
            Turn::Lie,
            Turn::Old,
        ]);
        let delay = choices.byte();
        Self {
            before: delays[usize::from(delay & 7)],
            after: delays[usize::from(delay >> 3 & 7)],
            turn,
        }
    }
}

impl<P: Play> Stage<P> {
    /// Make the call happen. `None` is no answer at all.
    pub(super) fn carry_out(&mut self, asked: &Asked, way: &Way) -> Option<Answer> {
        let choices = self.choices.clone();
        // What was still on its way when the server became honest is answered honestly.
        let turn = if self.quiet { Turn::Straight } else { way.turn };
        if !asked.path.starts_with(self.play.collection()) {
            return match turn {
                Turn::AnswerLost | Turn::CallLost => nothing_useful(&choices),
                _ => self.play.aside(&choices, asked, self.quiet),
            };
        }
        if asked.is_watch() {
            return self.watch(turn);
        }
        match turn {
            Turn::StrangerFirst => self.strangers_turn(),
            Turn::CallLost => return nothing_useful(&choices),
            Turn::Refused => return Some(refusal(&choices)),
            _ => {}
        }
        let (status, body) = self.act(asked);
        match turn {
            Turn::AnswerLost => return nothing_useful(&choices),
            Turn::StrangerAfter => self.strangers_turn(),
            _ => {}
        }
        let Ok(object) = body else {
            return Some(world::answer(status, body.unwrap_or_else(|status| status)));
        };
        let shown = match turn {
            Turn::Lie => {
                let mut lie: Value = serde_json::from_str(&object).unwrap_or_default();
                strange::mangle(&choices, &mut lie, self.play.places());
                lie
            }
            Turn::Old => {
                let at = choices.below(self.past.len());
                self.past.get(at).cloned().unwrap_or_default()
            }
            _ => serde_json::from_str(&object).unwrap_or_default(),
        };
        self.show(&shown);
        if asked.method != Method::GET {
            self.play.applied(asked, &shown);
        }
        Some(world::answer(status, shown.to_string()))
    }

    /// What an honest server does: the object as text, or the text of a refusal.
    fn act(&mut self, asked: &Asked) -> (u16, Result<String, String>) {
        let refuse =
            |code: u16, reason: &str| (code, Err(world::status(code, reason, self.plural())));
        let object_path = format!("{}/{LOCK}", self.play.collection());
        if asked.method == Method::POST && asked.path == self.play.collection() {
            if self.object.is_some() {
                return refuse(409, "AlreadyExists");
            }
            self.put(asked.json(), 0);
            return (201, Ok(self.text()));
        }
        assert_eq!(asked.path, object_path, "a call about another object");
        let Some(object) = &self.object else {
            return refuse(404, "NotFound");
        };
        if asked.method == Method::GET {
            return (200, Ok(object.to_string()));
        }
        let body = asked.json();
        let (wanted, here) = match asked.method {
            Method::DELETE => {
                let wanted = json!({"metadata": body["preconditions"]});
                (version(&wanted), version(object))
            }
            _ => (version(&body), version(object)),
        };
        if wanted != here {
            return refuse(409, "Conflict");
        }
        if asked.method == Method::DELETE {
            self.remove();
            let done = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
            return (200, Ok(done.to_string()));
        }
        self.revision += 1;
        let mut object = body;
        let revision = json!(self.revision.to_string());
        strange::put(&mut object, "/metadata/resourceVersion", revision);
        self.store(&object, "MODIFIED");
        (200, Ok(self.text()))
    }

    fn text(&self) -> String {
        self.object
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default()
    }

    fn plural(&self) -> &str {
        self.play
            .collection()
            .rsplit('/')
            .next()
            .unwrap_or_default()
    }

    fn watch(&mut self, turn: Turn) -> Option<Answer> {
        match turn {
            Turn::CallLost => return None,
            Turn::Refused => return Some(refusal(&self.choices)),
            Turn::Lie => return Some(world::answer(200, "{\"type\":\"ADD")),
            Turn::AnswerLost => return Some(world::answer(200, "")),
            _ => {}
        }
        let (pieces, body) = world::pieces();
        if let Some(object) = self.object.clone() {
            self.show(&object);
            let line = json!({"type": "ADDED", "object": object});
            let _ = pieces.send(Ok(Bytes::from(format!("{line}\n"))));
        }
        self.watchers.push(pieces);
        Some(world::with_body(200, body))
    }
}

/// An answer that says nothing about what became of the call (L6).
fn nothing_useful(choices: &Choices) -> Option<Answer> {
    Some(match choices.below(9) {
        0 => return None,
        1 => world::answer(500, world::status(500, "InternalError", "leases")),
        2 => world::answer(504, world::status(504, "Timeout", "leases")),
        3 => world::answer(503, "unavailable"),
        4 => world::answer(200, "<html>sign in</html>"),
        5 => world::answer(200, "{\"kind\":\"Lease\",\"metadata\":{\"uid\":\"u"),
        6 => world::answer(404, "404 page not found"),
        7 => world::answer(429, world::status(429, "TooManyRequests", "leases")),
        _ => {
            let broken = futures::stream::iter([
                Ok(http_body::Frame::data(Bytes::from_static(b"{\"kind\""))),
                Err(std::io::ErrorKind::UnexpectedEof.into()),
            ]);
            world::with_body(200, http_body_util::StreamBody::new(broken).boxed_unsync())
        }
    })
}

/// A refusal: the call was certainly not applied.
fn refusal(choices: &Choices) -> Answer {
    let (code, reason) = choices.one_of(&[
        (403, "Forbidden"),
        (400, "BadRequest"),
        (401, "Unauthorized"),
        (404, "NotFound"),
        (405, "MethodNotAllowed"),
        (409, "Conflict"),
        (409, "AlreadyExists"),
        (410, "Expired"),
        (413, "RequestEntityTooLarge"),
        (422, "Invalid"),
    ]);
    let kind = choices.one_of(&["leases", "configmaps", "leaderlocks", "namespaces", ""]);
    world::answer(code, world::status(code, reason, kind))
}

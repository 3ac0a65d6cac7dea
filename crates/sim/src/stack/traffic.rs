//! Requests, answers and watches on their way, and what the faults do to them there.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    core_depth::weather::{Fate, Instead, fate},
    fault::FaultKind,
    rng::{Rng, hashed},
    trace::{Author, Happening, ProcessId},
};

use super::{
    api::{Reply, ReplyBody},
    inside::Outgoing,
    net::{Answer, Piece},
    record,
    world::{Due, World},
};

/// A request on its way.
pub(super) struct Arrival {
    process: ProcessId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    sent: Nanos,
    /// None for one that arrives a second time.
    answer: Option<oneshot::Sender<Answer>>,
    fate: Fate,
}

impl World<'_> {
    /// A request leaves its process.
    pub(super) fn leaves(&mut self, id: ProcessId, request: Outgoing) {
        let Some(process) = self.process(id) else {
            return;
        };
        let (seat, cut_off) = (process.seat, process.cut_off);
        if let Some(process) = self.process_mut(id) {
            process.ordered = None;
        }
        self.tell(Happening::Asked {
            process: id,
            rested: None,
        });
        let Outgoing {
            number,
            method,
            uri,
            headers,
            body,
            idle,
            answer,
        } = request;
        if idle {
            self.looks_for_candidacy(id, &method, &body);
        }
        self.looks_for_resent(id, &method, &body);
        self.looks_for_caches(id, &method, uri.query().unwrap_or_default());
        let mut fate = fate(
            &self.on,
            self.now,
            seat,
            number,
            self.plan.latency,
            self.plan.seed,
        );
        for (fault, kind) in std::mem::take(&mut fate.struck) {
            self.struck(fault, kind, Some(id));
        }
        if let Some(fault) = cut_off {
            self.struck(fault, FaultKind::NodeLost, Some(id));
        }
        if fate.lost || cut_off.is_some() {
            self.is_lost(id, number, answer);
            return;
        }
        let arrives = self.now + fate.there;
        let is_watch = uri
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        if let Some(later) = fate.again.filter(|_| !is_watch) {
            let again = Arrival {
                process: id,
                method: method.clone(),
                uri: uri.clone(),
                headers: headers.clone(),
                body: body.clone(),
                sent: self.now,
                // Nobody waits for what comes of it.
                answer: None,
                fate: Fate::default(),
            };
            self.at(arrives + later, Due::Arrives(Box::new(again)));
        }
        let first = Arrival {
            process: id,
            method,
            uri,
            headers,
            body,
            sent: self.now,
            answer: Some(answer),
            fate,
        };
        self.at(arrives, Due::Arrives(Box::new(first)));
    }

    /// Who is not waited for does not take the lock.
    fn looks_for_candidacy(&mut self, id: ProcessId, method: &Method, body: &Bytes) {
        let Some(process) = self.process(id).filter(|process| process.is_ours) else {
            return;
        };
        let object: Value = serde_json::from_slice(body).unwrap_or_default();
        let spec = &object["spec"];
        let takes = if self.plan.lock.is_for_life() {
            *method == Method::POST
        } else {
            spec["holderIdentity"] == *process.identity && spec["acquireTime"] == spec["renewTime"]
        };
        if takes && matches!(*method, Method::PUT | Method::POST) {
            self.tell(Happening::Broken {
                process: Some(id),
                what: "takes the lock, and nobody waits for leadership".into(),
            });
        }
    }

    /// Reads are quorum reads (L16), and a watch is of the one object but for those in a set.
    fn looks_for_caches(&mut self, id: ProcessId, method: &Method, query: &str) {
        let ours = self.process(id).is_some_and(|process| process.is_ours);
        let watches = query.contains("watch=true");
        let wide = self.plan.seats[self.seat_of(id)].in_set;
        let wrong = if watches && !wide && !query.contains("fieldSelector=metadata.name") {
            "watches objects of other names"
        } else if !watches && query.contains("resourceVersion=") {
            "reads what a cache may answer (L16)"
        } else {
            return;
        };
        if ours && *method == Method::GET {
            self.tell(Happening::Broken {
                process: Some(id),
                what: wrong.into(),
            });
        }
    }

    /// Each write to a Lease carries a counter: none leaves a second time (L16).
    fn looks_for_resent(&mut self, id: ProcessId, method: &Method, body: &Bytes) {
        let writes = matches!(*method, Method::PUT | Method::POST);
        let Some(process) = self.process_mut(id).filter(|_| writes) else {
            return;
        };
        let again = !body.is_empty() && process.last_write == *body;
        process.last_write = body.clone();
        if again && process.is_ours && !self.plan.lock.is_for_life() {
            self.tell(Happening::Broken {
                process: Some(id),
                what: "sent one write twice (L16)".into(),
            });
        }
    }

    /// Nobody answers; at times the connection itself tells so.
    fn is_lost(&mut self, id: ProcessId, number: u64, answer: oneshot::Sender<Answer>) {
        let mut rng = Rng::new(hashed([self.plan.seed, number, 70]), 71);
        if rng.chance(300) {
            let at = self.now + rng.between(MILLI, 3 * SECOND);
            self.at(at, Due::Answers(id, Box::new((answer, Answer::Lost))));
        } else {
            self.limbo.push(answer);
        }
    }

    /// A request arrives at the server.
    pub(super) fn arrives(&mut self, arrival: Arrival) {
        let Arrival {
            process: id,
            method,
            uri,
            headers,
            body,
            sent,
            answer,
            fate,
        } = arrival;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let back = self.now + fate.back;
        let refused = self.refuses_watch(id, path);
        let made_up = fate.instead.map(|instead| instead.code).or(refused);
        let applied = match (fate.instead, refused) {
            (Some(Instead { after: false, .. }), _) | (_, Some(_)) => None,
            _ => {
                let reply = self
                    .api
                    .ask(self.now, &method, path, &headers, body.clone());
                let base = base(&method, &body);
                let wrote = self.publish(Author::Process(id), base, sent);
                if let Some(process) = self.process_mut(id)
                    && wrote
                    && std::mem::take(&mut process.cancel_soon)
                {
                    process.cancel_at = Some(back);
                }
                reply
            }
        };
        let (Some(answer), false) = (answer, fate.answer_lost) else {
            return;
        };
        let reply = match (made_up, applied) {
            (Some(code), _) => made_up_answer(code, &method, path, fate.back),
            (None, Some(reply)) => reply,
            (None, None) => return,
        };
        let Reply {
            status,
            headers,
            body,
        } = reply;
        let (feed, pieces) = mpsc::unbounded_channel();
        match body {
            ReplyBody::Whole(bytes) => {
                let about_lock = path
                    .split('?')
                    .next()
                    .is_some_and(|path| path == self.api.path() || path == self.api.collection());
                let teaches = (about_lock && matches!(status.as_u16(), 200 | 201 | 404 | 409))
                    .then(|| record::shown(self.plan.lock, &bytes))
                    .flatten();
                if fate.truncated {
                    let _ = feed.send(Piece::Bytes(bytes.slice(..bytes.len() / 2), None));
                    match hashed([self.plan.seed, self.now, 73]) % 4 {
                        // The rest never comes, and the connection stays open.
                        0 => self.unfinished.push(feed),
                        // It ends as if that were all.
                        1 => {}
                        _ => {
                            let _ = feed.send(Piece::Broken);
                        }
                    }
                } else {
                    let _ = feed.send(Piece::Bytes(bytes, teaches));
                }
            }
            ReplyBody::Watch(body) => self.watch_begins(id, path, body, feed, back),
        }
        let begins = Answer::Begins(status, headers, pieces);
        self.at(back, Due::Answers(id, Box::new((answer, begins))));
    }
}

/// The precondition that a write carries.
fn base(method: &Method, body: &Bytes) -> Option<(Arc<str>, u64)> {
    let place = match *method {
        Method::PUT => "metadata",
        Method::DELETE => "preconditions",
        _ => return None,
    };
    let object: Value = serde_json::from_slice(body).ok()?;
    let named = &object[place];
    let version = named["resourceVersion"].as_str()?.parse().ok()?;
    Some((named["uid"].as_str()?.into(), version))
}

/// An answer that is not the object's, as a server or something before it gives it.
fn made_up_answer(code: u16, method: &Method, path: &str, salt: u64) -> Reply {
    let mut headers = HeaderMap::new();
    let mut content_type = "application/json";
    let plain = matches!(code, 404 | 429) && salt.is_multiple_of(2);
    if code == 429 {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("3600"));
    }
    let body = match code {
        429 if plain => Bytes::from_static(b"Too many requests, please try again later.\n"),
        404 if plain => Bytes::from_static(b"404 page not found\n"),
        _ => {
            let reason = match code {
                401 => "Unauthorized",
                403 => "Forbidden",
                404 => "NotFound",
                409 if *method == Method::POST && salt.is_multiple_of(2) => "AlreadyExists",
                409 => "Conflict",
                410 => "Gone",
                429 => "TooManyRequests",
                500 => "InternalError",
                503 => "ServiceUnavailable",
                _ => "Timeout",
            };
            let mut status = status(code, reason, path);
            if salt % 5 == 3 {
                status["details"] = Value::Null;
            }
            Bytes::from(status.to_string())
        }
    };
    if plain {
        content_type = "text/plain; charset=utf-8";
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Reply {
        status: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers,
        body: ReplyBody::Whole(body),
    }
}

pub(super) fn status(code: u16, reason: &str, about: &str) -> Value {
    // A 404 that speaks of another kind says nothing about the lock.
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{reason}: {about}"), "reason": reason, "code": code,
        "details": {"kind": "services", "name": "gateway"},
    })
}

/// The process that wrote a record, by its nonce.
pub(super) fn nonce_of(seed: u64) -> String {
    tenure_core::Nonce::from_bits(u128::from(seed))
        .as_str()
        .to_owned()
}

/// Whether that record is by this nonce, or (for life) by a term of it.
pub(super) fn is_by(writer: &str, nonce: &str) -> bool {
    writer == nonce
        || writer
            .strip_prefix(nonce)
            .is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_told_by_its_process() {
        assert!(is_by("ab", "ab") && is_by("ab-3", "ab") && !is_by("abc-3", "ab"));
    }
}

//! Requests, answers and watches on their way, and what the faults do to them there.

use std::{sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use tenure_apiserver::ResponseBody;
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    core_depth::weather::{Fate, Instead, fate},
    fault::{Fault, FaultKind},
    rng::{Rng, hashed},
    trace::{Author, Happening, ProcessId},
};

use super::{
    api::{Reply, ReplyBody, State},
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

/// A watch, as the network sees it.
pub(super) struct ServerWatch {
    pub(super) process: ProcessId,
    seat: usize,
    /// What the server shows; none when the stream has ended.
    body: Option<ResponseBody>,
    feed: mpsc::UnboundedSender<Piece>,
    /// Events arrive in order: not before this.
    last: Nanos,
}

impl World<'_> {
    /// A request leaves its process.
    pub(super) fn leaves(&mut self, id: ProcessId, request: Outgoing) {
        let Some(process) = self.process(id) else {
            return;
        };
        let (seat, cut_off) = (process.seat, process.cut_off);
        self.tell(Happening::Asked { process: id });
        let Outgoing {
            number,
            method,
            uri,
            headers,
            body,
            answer,
        } = request;
        self.looks_for_resent(id, &method, &body);
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
        let refused = self.refuses_watch(id, path);
        let made_up = fate.instead.map(|instead| instead.code).or(refused);
        let applied = match (fate.instead, refused) {
            (Some(Instead { after: false, .. }), _) | (_, Some(_)) => None,
            _ => {
                let reply = self
                    .api
                    .ask(self.now, &method, path, &headers, body.clone());
                let base = base(&method, &body);
                self.publish(Author::Process(id), base, sent);
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
        let back = self.now + fate.back;
        let (feed, pieces) = mpsc::unbounded_channel();
        match body {
            ReplyBody::Whole(bytes) => {
                let about_lock = path
                    .split('?')
                    .next()
                    .is_some_and(|path| path == self.api.path() || path == self.api.collection());
                let teaches = (about_lock && matches!(status.as_u16(), 200 | 201 | 404 | 409))
                    .then(|| record::shown(self.plan.lock, &bytes));
                if fate.truncated {
                    let _ = feed.send(Piece::Bytes(bytes.slice(..bytes.len() / 2), None));
                    let _ = feed.send(Piece::Broken);
                } else {
                    let _ = feed.send(Piece::Bytes(bytes, teaches));
                }
            }
            ReplyBody::Watch(body) => self.watch_begins(id, path, body, feed, back),
        }
        let begins = Answer::Begins(status, headers, pieces);
        self.at(back, Due::Answers(id, Box::new((answer, begins))));
    }

    /// Whether a watch cannot be opened now, and what is answered instead.
    fn refuses_watch(&self, id: ProcessId, path: &str) -> Option<u16> {
        let seat = self.process(id)?.seat;
        let refused = path.contains("watch=true") && self.seats[seat].no_watch_until > self.now;
        refused.then(|| [503, 504, 410, 429][usize::try_from(self.now % 4).unwrap_or(0)])
    }

    fn watch_begins(
        &mut self,
        id: ProcessId,
        path: &str,
        mut body: ResponseBody,
        feed: mpsc::UnboundedSender<Piece>,
        opens: Nanos,
    ) {
        let Some(process) = self.process(id) else {
            return;
        };
        let seat = process.seat;
        let stale = self.staleness(seat);
        let index = self.watches.len();
        let seconds = path
            .split("timeoutSeconds=")
            .nth(1)
            .and_then(|rest| rest.split('&').next()?.parse().ok())
            .unwrap_or(300_u64);
        if let Some((lag, fault)) = stale {
            // The present state is not known there yet.
            while let Poll::Ready(Some(_)) = self.api.next_line(&mut body) {}
            self.struck(fault, FaultKind::StaleServer, Some(id));
            self.shows_the_past(index, lag, opens);
        }
        self.watches.push(Some(ServerWatch {
            process: id,
            seat,
            body: Some(body),
            feed,
            last: opens + 1,
        }));
        self.at(self.now + seconds * SECOND, Due::WatchEnds(index, false));
        self.spread_to(index);
    }

    /// A server that is behind shows what it knows, and then what it learns.
    fn shows_the_past(&mut self, watch: usize, lag: Nanos, opens: Nanos) {
        let then = self.now.saturating_sub(lag);
        let mut shown = Vec::new();
        if let Some(state) = self.api.lock_at(then).filter(|state| !state.gone) {
            shown.push((opens + 2, line("ADDED", state)));
        }
        for state in self.api.history.iter().filter(|state| state.at > then) {
            let kind = if state.gone { "DELETED" } else { "MODIFIED" };
            shown.push((opens.max(state.at + lag) + 3, line(kind, state)));
        }
        for (at, bytes) in shown {
            let shown = Some(record::shown(self.plan.lock, &bytes));
            self.at(at, Due::Shows(watch, Piece::Bytes(bytes, shown)));
        }
    }

    /// How far behind the server is that shows this seat its watches.
    fn staleness(&self, seat: usize) -> Option<(Nanos, u32)> {
        let stale = |on: &&crate::core_depth::weather::On| {
            on.fault.kind == FaultKind::StaleServer && on.is_on(self.now, seat)
        };
        let on = self.on.iter().find(stale)?;
        Some((lag(on.fault.salt), on.fault.id))
    }

    /// Send what the server has to show to everybody who watches.
    pub(super) fn spread(&mut self) {
        self.shown += 1;
        for watch in 0..self.watches.len() {
            self.spread_to(watch);
        }
    }

    fn spread_to(&mut self, index: usize) {
        loop {
            let Some(watch) = self.watches[index].as_mut() else {
                return;
            };
            if watch.feed.is_closed() {
                self.watches[index] = None;
                return;
            }
            let Some(body) = watch.body.as_mut() else {
                return;
            };
            match self.api.next_line(body) {
                Poll::Pending => return,
                Poll::Ready(Some(bytes)) => self.send_event(index, &bytes),
                Poll::Ready(None) => {
                    watch.body = None;
                    let at = watch.last + MILLI;
                    self.at(at, Due::WatchEnds(index, false));
                    return;
                }
            }
        }
    }

    fn send_event(&mut self, index: usize, bytes: &Bytes) {
        let Some(watch) = self.watches[index].as_ref() else {
            return;
        };
        let (id, seat) = (watch.process, watch.seat);
        if self
            .process(id)
            .is_none_or(|process| process.cut_off.is_some())
        {
            return;
        }
        let number = (u64::from(id.0) << 32) | self.shown;
        let mut rng = Rng::new(hashed([self.plan.seed, number, 10]), 11);
        let mut at = self.now + MILLI / 2 + rng.below(self.plan.latency);
        let (mut copies, mut in_order) = (1, true);
        let mut struck = Vec::new();
        for on in self.on.iter().filter(|on| on.is_on(self.now, seat)) {
            let mut rng = Rng::new(hashed([on.fault.salt, number, 12]), 13);
            match on.fault.kind {
                FaultKind::WatchSilent
                | FaultKind::PartitionIn
                | FaultKind::PartitionFlapping
                | FaultKind::PartitionLong => copies = 0,
                FaultKind::WatchDuplicated => {
                    copies *= 2;
                    in_order = false;
                }
                FaultKind::WatchReordered => {
                    at += rng.below(12 * SECOND);
                    in_order = false;
                }
                FaultKind::StaleServer => at += lag(on.fault.salt),
                FaultKind::Delays => at += rng.below(3 * SECOND),
                _ => continue,
            }
            struck.push((on.fault.id, on.fault.kind));
        }
        for (fault, kind) in struck {
            self.struck(fault, kind, Some(id));
        }
        if let Some(watch) = self.watches[index].as_mut() {
            at = at.max(watch.last + 1);
            if in_order {
                watch.last = at;
            }
        }
        let shown = Some(record::shown(self.plan.lock, bytes));
        for copy in 0..copies {
            let at = at + copy * rng.below(3 * SECOND);
            self.at(at, Due::Shows(index, Piece::Bytes(bytes.clone(), shown)));
        }
    }

    /// A piece of a watch arrives.
    pub(super) fn shows(&mut self, index: usize, piece: Piece) {
        let Some(watch) = self.watches[index].as_ref() else {
            return;
        };
        let (id, feed) = (watch.process, watch.feed.clone());
        if let Some(piece) = self.awake(id, piece, true, |piece| Due::Shows(index, piece)) {
            self.hand(id, move || {
                let _ = feed.send(piece);
            });
        }
    }

    /// A watch ends, by the server's will or because the connection breaks off.
    pub(super) fn watch_ends(&mut self, index: usize, broken: bool) {
        let Some(watch) = self.watches[index].as_ref() else {
            return;
        };
        let id = watch.process;
        if self
            .awake(id, (), true, |()| Due::WatchEnds(index, broken))
            .is_none()
        {
            return;
        }
        let Some(watch) = self.watches[index].take() else {
            return;
        };
        self.hand(id, move || {
            if broken {
                let _ = watch.feed.send(Piece::Broken);
            }
            drop(watch);
        });
    }

    /// The watches of a process are cut, and cannot be opened for a while; or what they would go on
    /// from was compacted.
    pub(super) fn cut_watch(&mut self, fault: &Fault, id: ProcessId) {
        let compacted = fault.kind == FaultKind::WatchCompacted;
        let mut cut = false;
        for index in 0..self.watches.len() {
            let Some(watch) = self.watches[index]
                .as_ref()
                .filter(|watch| watch.process == id && !watch.feed.is_closed())
            else {
                continue;
            };
            let (seat, at) = (watch.seat, self.now.max(watch.last + 1));
            cut = true;
            if compacted {
                let revision = self.api.server().revision();
                self.api.server().compact(revision);
                let error = json!({"type": "ERROR", "object": status(410, "Expired", "too old")});
                let bytes = Bytes::from(format!("{error}\n"));
                self.at(at, Due::Shows(index, Piece::Bytes(bytes, None)));
            } else {
                self.seats[seat].no_watch_until = fault.ends();
            }
            let broken = fault.salt.is_multiple_of(2);
            self.at(at + MILLI, Due::WatchEnds(index, broken));
        }
        if cut {
            self.struck(fault.id, fault.kind, Some(id));
        }
    }

    /// The watches of a process are opened anew, at a server that is behind.
    pub(super) fn reopen_watch(&mut self, id: ProcessId) {
        for index in 0..self.watches.len() {
            if self.watches[index]
                .as_ref()
                .is_some_and(|watch| watch.process == id)
            {
                self.at(self.now + MILLI, Due::WatchEnds(index, false));
            }
        }
    }
}

/// How far behind a stale server is.
fn lag(salt: u64) -> Nanos {
    SECOND + salt % (25 * SECOND)
}

fn line(kind: &str, state: &State) -> Bytes {
    Bytes::from(format!(
        "{}\n",
        json!({"type": kind, "object": *state.object})
    ))
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
    let plain = matches!(code, 429) || (code == 404 && salt.is_multiple_of(2));
    let body = match code {
        429 => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("3600"));
            Bytes::from_static(b"Too many requests, please try again later.\n")
        }
        404 if plain => Bytes::from_static(b"404 page not found\n"),
        _ => {
            let reason = match code {
                401 => "Unauthorized",
                403 => "Forbidden",
                404 => "NotFound",
                409 if *method == Method::POST && salt.is_multiple_of(2) => "AlreadyExists",
                409 => "Conflict",
                410 => "Gone",
                500 => "InternalError",
                503 => "ServiceUnavailable",
                _ => "Timeout",
            };
            Bytes::from(status(code, reason, path).to_string())
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

fn status(code: u16, reason: &str, about: &str) -> Value {
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

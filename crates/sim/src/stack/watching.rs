//! Watches, as the network sees them.

use std::task::Poll;

use bytes::Bytes;
use serde_json::json;
use tenure_apiserver::ResponseBody;
use tokio::sync::mpsc;

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind},
    rng::{Rng, hashed},
    trace::{Happening, ProcessId},
};

use super::{
    api::State,
    net::Piece,
    record,
    traffic::status,
    world::{Due, World},
};

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
    /// Whether a watch cannot be opened now, and what is answered instead.
    pub(super) fn refuses_watch(&self, id: ProcessId, path: &str) -> Option<u16> {
        let seat = self.process(id)?.seat;
        let refused = path.contains("watch=true") && self.seats[seat].no_watch_until > self.now;
        refused.then(|| [503, 504, 410, 429][usize::try_from(self.now % 4).unwrap_or(0)])
    }

    pub(super) fn watch_begins(
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
        self.tell(Happening::Watching {
            process: id,
            open: true,
        });
        self.at(self.now + seconds * SECOND, Due::WatchEnds(index, false));
        self.spread_to(index);
    }

    /// A server that is behind shows what it knows, and then what it learns.
    pub(super) fn shows_the_past(&mut self, watch: usize, lag: Nanos, opens: Nanos) {
        // What was taken back is not known to it any more.
        let then = self.now.saturating_sub(lag).max(self.restored);
        let mut shown = Vec::new();
        if let Some(state) = self.api.lock_at(then).filter(|state| !state.gone) {
            shown.push((opens + 2, line("ADDED", state)));
        }
        for state in self.api.history.iter().filter(|state| state.at > then) {
            let kind = if state.gone { "DELETED" } else { "MODIFIED" };
            shown.push((opens.max(state.at + lag) + 3, line(kind, state)));
        }
        for (at, bytes) in shown {
            let shown = record::shown(self.plan.lock, &bytes);
            self.at(at, Due::Shows(watch, Piece::Bytes(bytes, shown)));
        }
    }

    /// How far behind the server is that shows this seat its watches.
    pub(super) fn staleness(&self, seat: usize) -> Option<(Nanos, u32)> {
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

    pub(super) fn spread_to(&mut self, index: usize) {
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

    pub(super) fn send_event(&mut self, index: usize, bytes: &Bytes) {
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
        let shown = record::shown(self.plan.lock, bytes);
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
        let mut watches = self.watches.iter().flatten();
        let open = watches.any(|watch| watch.process == id);
        self.tell(Happening::Watching { process: id, open });
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

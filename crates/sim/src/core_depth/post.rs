//! Requests and answers on their way.

use std::sync::Arc;

use tenure_core::{CallId, Event, Outcome};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    rng::hashed,
    trace::{Happening, ProcessId},
};

use super::{
    model::Model,
    seats::SleepKind,
    weather::{Fate, Instead, fate},
    world::{Due, World},
};

/// A request on its way.
pub(super) struct Arrival<M: Model> {
    process: ProcessId,
    id: CallId,
    request: M::Request,
    sent: Nanos,
    fate: Fate,
    first: bool,
}

/// What is held up on its way lands within that time.
pub(super) const LATEST: Nanos = 60 * SECOND;

impl<M: Model> World<'_, M> {
    pub(super) fn send(&mut self, id: ProcessId, call: CallId, request: M::Request) {
        let plan = self.plan;
        let (seed, latency) = (plan.seed, plan.latency);
        let heard = self.process(id).and_then(|process| process.heard);
        let rested = heard.filter(|_| M::reads(&request));
        self.tell(Happening::Asked {
            process: id,
            rested: rested.map(|heard| self.now - heard),
        });
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let mut leaves = self.now;
        let mut struck = None;
        if let Some((length, fault)) = process.stop_before_send.take() {
            leaves += length;
            struck = Some(fault);
        }
        process.sent += 1;
        let number = (u64::from(id.0) << 32) | process.sent;
        let clock = &self.seats[process.seat].clock;
        let gives_up = clock.truth(clock.reads(leaves).after(process.limits.call));
        process.calls.push((call, gives_up));
        let (seat, cut_off) = (process.seat, process.cut_off);
        if let Some(fault) = struck {
            let kind = FaultKind::FreezeBeforeSend;
            self.struck(fault, kind, Some(id));
            self.sleep(id, leaves, SleepKind::Frozen);
        }
        if let Some(outcome) = self.model.local(id, &request) {
            self.at(
                leaves + MILLI / 10,
                Due::Answer(id, call, Box::new(outcome)),
            );
            return;
        }
        self.at(gives_up, Due::GiveUp(id, call));
        let fate = fate(&self.on, self.now, seat, number, latency, seed);
        for (fault, kind) in &fate.struck {
            self.struck(*fault, *kind, Some(id));
        }
        if cut_off {
            self.struck(u32::MAX, FaultKind::NodeLost, Some(id));
        }
        // Now and then what seems to be lost is only held up, and lands when nobody waits for it.
        let mut fate = fate;
        if fate.lost && plan.lock.is_for_life() && hashed([seed, number, 15]).is_multiple_of(4) {
            fate.lost = false;
            fate.answer_lost = true;
            fate.there += hashed([seed, number, 16]) % LATEST;
        }
        if fate.lost || cut_off {
            return;
        }
        let arrives = leaves + fate.there;
        if let Some(later) = fate.again {
            let again = Arrival {
                process: id,
                id: call,
                request: request.clone(),
                sent: leaves,
                fate: Fate::default(),
                first: false,
            };
            self.at(arrives + later, Due::Arrive(Box::new(again)));
        }
        let first = Arrival {
            process: id,
            id: call,
            request,
            sent: leaves,
            fate,
            first: true,
        };
        self.at(arrives, Due::Arrive(Box::new(first)));
    }

    pub(super) fn arrive(&mut self, arrival: Arrival<M>) {
        let Arrival {
            process,
            id,
            request,
            sent,
            fate,
            first,
        } = arrival;
        let outcome = match fate.instead {
            Some(Instead { code, after: false }) => refusal(code),
            instead => {
                let creates = M::creates(&request);
                let mut answered = None;
                self.at_desk(|model, desk| {
                    desk.sent = sent;
                    answered = Some(model.apply(desk, process, request));
                });
                match (instead, answered) {
                    (None, Some(outcome)) => outcome,
                    // Whoever sends a create twice is told the second time that it exists.
                    (Some(Instead { code: 409, .. }), _) if creates => Outcome::AlreadyExists,
                    (Some(Instead { code, .. }), _) => refusal(code),
                    (None, None) => Outcome::Unknown("no answer".into()),
                }
            }
        };
        if !first || fate.answer_lost {
            return;
        }
        let outcome = match outcome {
            Outcome::Done(_) if fate.truncated => Outcome::Unknown("the answer broke off".into()),
            outcome => outcome,
        };
        self.at(
            self.now + fate.back,
            Due::Answer(process, id, Box::new(outcome)),
        );
    }

    pub(super) fn answer(&mut self, id: ProcessId, call: CallId, outcome: Outcome<M::Answer>) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        process.heard = Some(now);
        let open = process.calls.iter().position(|(open, _)| *open == call);
        if let Some(place) = open {
            process.calls.swap_remove(place);
            self.give(id, Event::Answer { id: call, outcome });
        } else {
            // Nobody waits for it any more (L9), whoever hands it over.
            self.hand_over(id, Event::Answer { id: call, outcome }, None);
        }
    }

    pub(super) fn give_up(&mut self, id: ProcessId, call: CallId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let Some((_, due)) = process
            .calls
            .iter()
            .find(|(open, _)| *open == call)
            .copied()
        else {
            return;
        };
        if due > now {
            self.at(due, Due::GiveUp(id, call));
        } else if self.awake(id, (), |id, ()| Due::GiveUp(id, call)).is_some() {
            self.answer(id, call, Outcome::Unknown("no answer in time".into()));
        }
    }
}

/// What rule L6 makes of an answer with that code that is none of the object's.
fn refusal<A>(code: u16) -> Outcome<A> {
    let text: Arc<str> = match code {
        401 => "401 Unauthorized".into(),
        403 => "403 Forbidden".into(),
        404 => "404, which does not speak of the object".into(),
        410 => "410 Gone".into(),
        429 => "429 Too Many Requests, Retry-After: 3600".into(),
        code => code.to_string().into(),
    };
    match code {
        409 => Outcome::Conflict,
        401 | 403 | 410 => Outcome::Refused(text),
        _ => Outcome::Unknown(text),
    }
}

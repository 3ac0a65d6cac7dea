//! From a free Lease to a grant: L6, L7, L12, L14, L17, L18.

use std::sync::Arc;

use crate::{outcome::Outcome, status::Notice, time::Instant, version::Uid};

use super::{
    elector::{Call, LeaseElector, Phase, Sent, What},
    leading::Term,
    observation::{Change, Place},
    record::{LeaseWrite, Observed, Request, Spec},
};

/// One try to become the leader: its writes share one base, so at most one of them can be applied.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Writes whose outcome is open: only these can still grant (L6).
    unsettled: Vec<Sent>,
    /// When the newest of its writes was sent.
    sent_at: Instant,
    /// Whether it creates the Lease, rather than replaces it.
    creates: bool,
    /// The object that it replaces. A copy of the same words in another one is none of its writes
    /// (L9).
    replaces: Option<Uid>,
    /// Whether anything of another was seen since the first write was sent.
    pub(super) another_seen: bool,
    /// Whether the Lease has to be read before the next write.
    pub(super) check: bool,
}

/// How many writes of one attempt may be open before it is given up.
const MOST_UNSETTLED: usize = 8;

impl LeaseElector {
    /// Create the Lease with oneself as the holder: only ever without any evidence (L14).
    pub(super) fn create_held(&mut self) {
        self.begin_attempt(true);
        self.send_acquisition();
    }

    /// Replace what was seen (L12).
    pub(super) fn take_over(&mut self) {
        self.begin_attempt(false);
        self.send_acquisition();
    }

    pub(super) fn drive_attempt(&mut self) {
        if self.now.mono < self.pause.until() {
            return;
        }
        let Phase::Acquiring(attempt) = &self.phase else {
            return;
        };
        if attempt.another_seen {
            // Somebody wrote meanwhile: none of the attempt's writes can stand any more, and what
            // is there now has to be waited out (L2).
            self.lost_the_race();
        } else if attempt.check {
            self.send_read();
        } else if self.standing
            && self.paused().is_none()
            && attempt.unsettled.len() < MOST_UNSETTLED
        {
            self.send_acquisition();
        } else {
            self.end_attempt();
        }
    }

    /// The watch showed something newer during an attempt.
    pub(super) fn attempt_watched(&mut self, change: Change, observed: &Observed) {
        let Phase::Acquiring(attempt) = &mut self.phase else {
            return;
        };
        let own = attempt.own(observed).is_some();
        if own {
            // A hint only (L15): the answer, or a read, grants.
            attempt.check = true;
        } else if change == Change::Changed {
            attempt.another_seen = true;
        }
    }

    pub(super) fn attempt_answered(&mut self, call: &Call, outcome: Outcome<Observed>) {
        match call.what {
            What::Read => self.attempt_read(call, outcome),
            What::Write(counter) => self.attempt_written(counter, outcome),
            What::CreateFree => {}
        }
    }

    fn begin_attempt(&mut self, creates: bool) {
        self.phase = Phase::Acquiring(Attempt {
            unsettled: Vec::new(),
            sent_at: self.now.mono,
            creates,
            replaces: match self.seen.place() {
                Place::Present(base) if !creates => Some(base.version.uid.clone()),
                _ => None,
            },
            another_seen: false,
            check: false,
        });
    }

    fn send_acquisition(&mut self) {
        let place = self.seen.place().clone();
        match place {
            Place::Present(base) => {
                let write = self.acquiring_write(Spec {
                    transitions: Some(next_term(base.spec.transitions)),
                    foreign: base.spec.foreign.clone(),
                    ..self.spec_of_mine()
                });
                self.remember(write.clone());
                self.send_replace(&base.version, write);
            }
            Place::Absent | Place::Unknown => {
                let write = self.acquiring_write(Spec {
                    transitions: Some(next_term(None)),
                    ..self.spec_of_mine()
                });
                self.remember(write.clone());
                let what = What::Write(write.mark.counter);
                self.send(what, Request::Create(write));
            }
        }
    }

    fn acquiring_write(&mut self, spec: Spec) -> LeaseWrite {
        LeaseWrite {
            // L25: requests to earlier terms go with it.
            acquires: true,
            ..self.write(spec)
        }
    }

    fn remember(&mut self, write: LeaseWrite) {
        let at = self.now.mono;
        if let Phase::Acquiring(attempt) = &mut self.phase {
            attempt.unsettled.push(Sent { write, at });
            attempt.sent_at = at;
        }
    }

    fn attempt_written(&mut self, counter: u64, outcome: Outcome<Observed>) {
        let Phase::Acquiring(attempt) = &mut self.phase else {
            return;
        };
        match outcome {
            Outcome::Done(observed) => {
                let sent = attempt.take(counter);
                // A create has no precondition: anything of another forbids it (L14).
                let forbidden = attempt.creates && attempt.another_seen;
                let mine = attempt.is_mine(&observed, &self.config.identity.to_arc());
                let change = self.seen.written(self.now.mono, observed.clone());
                match sent {
                    Some(sent) if mine && !forbidden && !self.superseded(change, &observed) => {
                        self.granted(&sent, observed);
                    }
                    // What was stored otherwise than it was written is a record like any other.
                    _ => self.end_attempt(),
                }
            }
            Outcome::Refused(error) => {
                // Should the watch have shown that it was applied all the same, then what was
                // waited for is gone.
                attempt.another_seen |= attempt.take(counter).is_some_and(|sent| {
                    matches!(self.seen.place(), Place::Present(seen) if seen.is(&sent.write))
                });
                if attempt.unsettled.is_empty() || attempt.another_seen {
                    self.end_attempt();
                } else {
                    attempt.check = true;
                }
                self.standby_failed(error);
            }
            Outcome::NotFound(error) if attempt.creates => {
                // The namespace is missing; nothing was created.
                attempt.take(counter);
                self.end_attempt();
                self.standby_failed(error);
            }
            Outcome::Conflict | Outcome::AlreadyExists | Outcome::NotFound(_) => {
                attempt.check = true;
                self.seen.note_evidence();
                if attempt_lost_to_another(&self.phase) {
                    self.lost_the_race();
                } else {
                    self.pause.failed(self.now.mono, &mut self.rng);
                }
            }
            Outcome::Unknown(error) => {
                attempt.check = true;
                self.standby_failed(error);
            }
        }
    }

    fn attempt_read(&mut self, call: &Call, outcome: Outcome<Observed>) {
        match outcome {
            Outcome::Done(observed) => {
                let Phase::Acquiring(attempt) = &mut self.phase else {
                    return;
                };
                let own = attempt.own(&observed).cloned();
                let forbidden = attempt.creates && attempt.another_seen;
                let change = self.read_answered(call, Outcome::Done(observed.clone()));
                match own {
                    Some(sent) if !forbidden && !self.superseded(change, &observed) => {
                        self.granted(&sent, observed);
                    }
                    Some(_) => self.end_attempt(),
                    None => self.attempt_still_open(change),
                }
            }
            Outcome::NotFound(text) => {
                let change = self.read_answered(call, Outcome::NotFound(text));
                self.attempt_still_open(change);
            }
            Outcome::Conflict | Outcome::AlreadyExists => {
                self.pause.failed(self.now.mono, &mut self.rng);
            }
            Outcome::Refused(error) | Outcome::Unknown(error) => self.standby_failed(error),
        }
    }

    /// A read showed none of the attempt's writes.
    fn attempt_still_open(&mut self, change: Change) {
        let evidence = self.seen.evidence();
        let Phase::Acquiring(attempt) = &mut self.phase else {
            return;
        };
        match change {
            Change::Changed => self.lost_the_race(),
            // L14: with evidence it is created without a holder.
            Change::Same if attempt.creates && evidence => self.end_attempt(),
            Change::Same if attempt.another_seen => self.lost_the_race(),
            Change::Same => attempt.check = false,
            Change::Stale => attempt.check = true,
        }
    }

    /// Whether something newer than an own write's answer is already known (L9).
    fn superseded(&self, change: Change, answer: &Observed) -> bool {
        let newest = matches!(self.seen.place(), Place::Present(p) if p.says_the_same(answer));
        change == Change::Stale && !newest
    }

    fn granted(&mut self, sent: &Sent, observed: Observed) {
        let timing = self.config.timing;
        let useful_until = sent
            .at
            .after(timing.renew_deadline())
            .before(timing.grace());
        let base = match self.seen.place() {
            Place::Present(newest) if newest.says_the_same(&observed) => newest.clone(),
            _ => observed.clone(),
        };
        let mut term = Term::new(sent, base, observed.version.resource_version, &timing);
        if self.config.spread_renewals {
            term.renew_within(sent.at, timing.retry_period(), &mut self.rng);
        }
        self.call = None;
        self.pause.succeeded();
        self.contention.won_a_race();
        if self.standing && self.paused().is_none() && self.now.mono < useful_until {
            self.tell(Notice::Acquired {
                term: term.number,
                token: term.token.clone(),
                again: false,
            });
            self.phase = Phase::Leading(term);
        } else {
            // Nobody wants it any more, it was paused meanwhile (L26), or it came too late to be of
            // use: belief never begins.
            self.give_back(term);
        }
    }

    fn lost_the_race(&mut self) {
        if let Phase::Acquiring(attempt) = &self.phase {
            self.contention.lost_a_race(self.now.mono, attempt.sent_at);
        }
        // The server answers, and things have moved on: the next conflict is a new one.
        self.pause.succeeded();
        self.end_attempt();
    }

    fn end_attempt(&mut self) {
        let failures_kept = self.pause.clone();
        self.observe_again(None);
        self.pause = failures_kept;
        if *self.seen.place() == Place::Unknown {
            self.ask();
        }
    }
}

impl Attempt {
    /// The open write that this record is, annotation and whole spec (L6).
    fn own(&self, observed: &Observed) -> Option<&Sent> {
        self.unsettled
            .iter()
            .find(|sent| self.is_here(observed) && observed.is(&sent.write))
    }

    /// Whether an acknowledged write made this candidate the holder of the object that it replaced
    /// (L9). Other fields may differ: admission may add to them.
    fn is_mine(&self, answer: &Observed, me: &Arc<str>) -> bool {
        self.is_here(answer) && answer.spec.holder() == Some(me)
    }

    fn is_here(&self, observed: &Observed) -> bool {
        self.replaces
            .as_ref()
            .is_none_or(|uid| *uid == observed.version.uid)
    }

    fn take(&mut self, counter: u64) -> Option<Sent> {
        let at = self
            .unsettled
            .iter()
            .position(|sent| sent.write.mark.counter == counter)?;
        Some(self.unsettled.remove(at))
    }
}

fn attempt_lost_to_another(phase: &Phase) -> bool {
    matches!(phase, Phase::Acquiring(attempt) if attempt.another_seen)
}

/// L18: one more on acquiring, and never beyond what the server takes.
fn next_term(transitions: Option<i64>) -> i64 {
    transitions
        .unwrap_or(0)
        .max(0)
        .saturating_add(1)
        .min(i64::from(i32::MAX))
}

/// The holder's name for a message.
pub(super) fn holder_of(observed: &Observed) -> Option<Arc<str>> {
    observed.spec.holder().cloned()
}

//! Giving the Lease up, over nothing but the last write of one's own term (L11).

use std::sync::Arc;

use crate::{
    outcome::Outcome,
    status::{LossReason, Notice},
    time::Instant,
};

use super::{
    elector::{Call, LeaseElector, Phase, What},
    leading::Term,
    record::{LeaseWrite, Observed, Spec},
};

/// A term that is over, and whose Lease is being freed.
#[derive(Clone, Debug)]
pub(super) struct Release {
    base: Observed,
    /// The term's writes that may be the last one that was applied.
    writes: Vec<LeaseWrite>,
    /// How many releases were sent.
    sent: usize,
    check: bool,
    /// Why the last one was refused.
    refused: Option<Arc<str>>,
    until: Instant,
    /// Whom it names (L22).
    successor: Option<Arc<str>>,
    reason: LossReason,
}

/// How often a release is sent at most.
const MOST_SENT: usize = 3;

impl LeaseElector {
    /// Free the Lease of a term in which nobody believes any more (L10).
    pub(super) fn give_back(&mut self, term: Term) {
        let mut writes = vec![term.last];
        writes.extend(term.unsettled.into_iter().map(|sent| sent.write));
        self.pause.succeeded();
        self.call = None;
        self.phase = Phase::Releasing(Release {
            base: term.base,
            writes,
            sent: 0,
            check: false,
            refused: None,
            until: self.now.mono.after(self.config.timing.renew_deadline()),
            successor: term.successor,
            reason: term.leaving.unwrap_or(LossReason::SteppedDown),
        });
    }

    pub(super) fn drive_release(&mut self) {
        let now = self.now.mono;
        if now < self.pause.until() {
            return;
        }
        let Phase::Releasing(release) = &self.phase else {
            return;
        };
        let failed = |why: &str| release.refused.clone().unwrap_or_else(|| why.into());
        if now >= release.until {
            let error = failed("no answer in time");
            self.release_failed(error);
        } else if release.check {
            self.send_read();
        } else if release.sent < MOST_SENT {
            self.send_release();
        } else {
            let error = failed("the API server kept refusing it");
            self.release_failed(error);
        }
    }

    pub(super) fn release_answered(&mut self, call: &Call, outcome: Outcome<Observed>) {
        match call.what {
            What::Read => self.release_read(call, outcome),
            What::Write(_) | What::CreateFree => self.release_written(outcome),
        }
    }

    fn send_release(&mut self) {
        let Phase::Releasing(release) = &self.phase else {
            return;
        };
        let (base, successor) = (release.base.clone(), release.successor.clone());
        let mut write = self.write(Spec {
            holder: Some("".into()),
            duration_seconds: Some(1),
            transitions: base.spec.transitions,
            foreign: base.spec.foreign,
            ..self.spec_of_mine()
        });
        write.mark.released = true;
        write.mark.successor = successor;
        if let Phase::Releasing(release) = &mut self.phase {
            release.sent += 1;
        }
        self.send_replace(&base.version, write);
    }

    fn release_written(&mut self, outcome: Outcome<Observed>) {
        match outcome {
            Outcome::Done(observed) => {
                self.seen.written(self.now.mono, observed);
                self.released();
            }
            Outcome::Conflict | Outcome::AlreadyExists => self.check_release(),
            Outcome::Unknown(_) => {
                self.pause.failed(self.now.mono, &mut self.rng);
                self.check_release();
            }
            // Nothing is left to be released.
            Outcome::NotFound(_) => self.released(),
            // It was not made: the Lease is as it was. What refused it may be gone soon, and a Lease that
            // is not freed keeps everybody waiting.
            Outcome::Refused(error) => {
                self.pause.failed(self.now.mono, &mut self.rng);
                if let Phase::Releasing(release) = &mut self.phase {
                    release.refused = Some(error);
                }
            }
        }
    }

    fn release_read(&mut self, call: &Call, outcome: Outcome<Observed>) {
        match outcome {
            Outcome::Done(observed) => {
                self.read_answered(call, Outcome::Done(observed.clone()));
                let Phase::Releasing(release) = &mut self.phase else {
                    return;
                };
                release.refused = None;
                if release.writes.iter().any(|write| observed.is(write)) {
                    release.base = observed;
                    release.check = false;
                } else if observed.spec.holder() == Some(&self.config.identity.to_arc()) {
                    self.release_failed("somebody edited the Lease meanwhile".into());
                } else {
                    // Released by a try whose answer was lost, or somebody else's by now.
                    self.released();
                }
            }
            Outcome::NotFound(text) => {
                self.read_answered(call, Outcome::NotFound(text));
                self.released();
            }
            _ => self.pause.failed(self.now.mono, &mut self.rng),
        }
    }

    fn check_release(&mut self) {
        if let Phase::Releasing(release) = &mut self.phase {
            release.check = true;
        }
    }

    fn released(&mut self) {
        self.cools_down();
        self.end_release(Notice::Released);
    }

    fn release_failed(&mut self, error: Arc<str>) {
        self.end_release(Notice::ReleaseFailed { error });
    }

    /// From here on the process may stand again, by a new acquisition only (L10).
    fn end_release(&mut self, notice: Notice) {
        let standing = self.standing;
        let reason = match &self.phase {
            Phase::Releasing(release) => release.reason.clone(),
            _ => LossReason::SteppedDown,
        };
        self.observe_again(Some(reason));
        if standing {
            // Somebody stood again while the release was under way.
            self.stand_again();
        }
        self.tell(notice);
    }
}

//! Looking after one's lock (F6), and the order of leaving (L10).

use std::sync::Arc;

use crate::{
    asked::StepDown,
    elector::Belief,
    outcome::Outcome,
    status::{LossReason, Notice, Status},
    time::Instant,
    version::{ResourceVersion, Version},
};

use super::{
    elector::{Call, LifeElector, Phase, What},
    judge,
    record::{Answer, LockObject, Request},
    waiting::what_went_wrong,
};

/// From the write that acquired to the end of belief.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// The number of the write that acquired.
    pub(super) number: u64,
    token: ResourceVersion,
    /// The newest known state of the lock: what a release deletes.
    pub(super) version: Version,
    /// Whether the lock has to be read without waiting for the next look.
    pub(super) check: bool,
    read_at: Instant,
    failing: Option<Arc<str>>,
    told: Option<Told>,
    /// Why it is given up, once it is.
    leaving: Option<LossReason>,
    /// The request to step down that was obeyed (F12).
    heeded: Option<Box<StepDown>>,
}

/// The work has been told to end.
#[derive(Clone, Copy, Debug)]
struct Told {
    by: Instant,
    overdue: bool,
}

impl Term {
    pub(super) fn new(number: u64, token: ResourceVersion, version: Version) -> Self {
        Self {
            number,
            token,
            version,
            check: false,
            read_at: Instant::default(),
            failing: None,
            told: None,
            leaving: None,
            heeded: None,
        }
    }

    pub(super) fn belief(&self) -> Belief {
        Belief {
            term: 0,
            token: self.token.clone(),
            valid_until: None,
        }
    }

    pub(super) fn status(&self) -> Status {
        let token = self.token.clone();
        match &self.failing {
            None => Status::Leading {
                term: 0,
                token,
                valid_until: None,
            },
            Some(error) => Status::Jeopardy {
                term: 0,
                token,
                valid_until: None,
                error: Arc::clone(error),
            },
        }
    }

    fn next_look(&self) -> Instant {
        if self.check {
            Instant::default()
        } else {
            self.read_at
        }
    }
}

impl LifeElector {
    pub(super) fn begin_looking_after(&mut self) {
        self.pause.reset();
        self.plan_look();
    }

    /// What time alone brings.
    pub(super) fn pass_time(&mut self) {
        let now = self.now.mono;
        let Phase::Leading(Term {
            told: Some(told), ..
        }) = &mut self.phase
        else {
            return;
        };
        if !told.overdue && now >= told.by {
            told.overdue = true;
            self.tell(Notice::Overdue);
        }
    }

    pub(super) fn step_down(&mut self, reason: LossReason) {
        let by = self.now.mono.after(self.config.timing.grace);
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        if term.told.is_none() {
            term.told = Some(Told { by, overdue: false });
            term.leaving = Some(reason.clone());
            self.tell(Notice::Stop { reason, by });
        }
    }

    /// F12: a request that names this very term ends it in the ordinary way. The term's nonce is what
    /// it is named by, so a request to any other term is none to this one, however old or new.
    pub(super) fn heed(&mut self) {
        let Phase::Leading(term) = &self.phase else {
            return;
        };
        let Some(lock) = self.seen.lock() else {
            return;
        };
        let Some(asked) = lock.step_down.as_ref() else {
            return;
        };
        let nonce = judge::write_nonce(&self.config.nonce, term.number);
        let is_to_me = *asked.holder == *nonce.as_str()
            && asked.uid == term.version.uid
            && lock.version.uid == term.version.uid;
        if !is_to_me || term.heeded.as_ref() == Some(asked) {
            return;
        }
        let asked = asked.clone();
        let by = Arc::clone(&asked.by);
        if let Phase::Leading(term) = &mut self.phase {
            term.heeded = Some(asked);
        }
        // It is deleted when it is given up, and can name nobody (L22).
        self.tell(Notice::AskedToStepDown {
            by: Arc::clone(&by),
            to: None,
        });
        self.step_down(LossReason::Asked(by));
    }

    /// L10: the work has ended; belief ends; only then may a delete be sent.
    pub(super) fn work_ended(&mut self, release: bool) {
        let Phase::Leading(term) = &self.phase else {
            return;
        };
        let (number, version) = (term.number, term.version.clone());
        let leaving = term.leaving.clone().unwrap_or(LossReason::SteppedDown);
        self.standing = false;
        if release {
            self.wait_again(leaving);
        } else {
            self.wait_again(LossReason::Abandoned);
        }
        if release && self.config.delete_on_release {
            self.give_up(number, version);
        } else {
            self.kept = Some(number);
            self.tell(Notice::Kept);
        }
    }

    /// A lost term never comes back (L9).
    pub(super) fn lose(&mut self, reason: LossReason) {
        self.standing = false;
        self.wait_again(reason.clone());
        self.tell(Notice::Lost(reason));
    }

    pub(super) fn drive_term(&mut self) {
        let now = self.now.mono;
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        if now >= term.next_look().max(self.pause.until()) {
            term.check = false;
            self.plan_look();
            self.send(What::Read, Request::Read);
        }
    }

    pub(super) fn term_deadline(&self, term: &Term) -> Option<Instant> {
        let overdue = term
            .told
            .filter(|told| !told.overdue)
            .map(|told| told.by.max(self.now.mono));
        let look = term.next_look().max(self.pause.until()).max(self.now.mono);
        match overdue {
            _ if self.call.is_none() => Some(overdue.map_or(look, |by| by.min(look))),
            overdue => overdue,
        }
    }

    pub(super) fn leading_answered(&mut self, call: &Call, outcome: Outcome<Answer>) {
        match outcome {
            Outcome::Done(Answer::Lock(lock)) => {
                self.seen.answered(self.now.mono, lock.clone(), call.epoch);
                // The read was begun in this term: whatever it shows came after the grant.
                self.look_at_own(&lock);
                self.look_succeeded();
            }
            Outcome::NotFound(_) => {
                self.seen.answered_absent(call.epoch);
                self.lose(LossReason::Deleted);
            }
            other => self.look_failed(what_went_wrong(other)),
        }
    }

    /// F6: a state of the lock that is newer than the grant.
    pub(super) fn look_at_own(&mut self, lock: &LockObject) {
        let newest = self.seen.lock().map(|lock| lock.version.clone());
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        if let Some(newest) = newest.filter(|newest| newest.uid == term.version.uid) {
            term.version = newest;
        }
        let number = term.number;
        if lock.version.uid != term.version.uid {
            self.lose(LossReason::Replaced);
        } else if lock.being_deleted {
            self.lose(LossReason::BeingDeleted);
        } else if let Some(reason) = self.taken(lock, number) {
            self.lose(reason);
        }
    }

    /// Whether `lock` is no longer what the write `number` made it, and whose it is now.
    pub(super) fn taken(&self, lock: &LockObject, number: u64) -> Option<LossReason> {
        let me = &self.config.me.pod_uid;
        if let (Some(other), false) = (
            lock.owners.first(),
            lock.owners.iter().any(|owner| owner.uid == *me),
        ) {
            return Some(LossReason::TakenBy(Arc::clone(&other.name)));
        }
        match &lock.record {
            None => Some(LossReason::Emptied),
            Some(_) if self.own_write(lock) == Some(number) => None,
            Some(record) => Some(LossReason::TakenBy(Arc::clone(&record.pod_name))),
        }
    }

    /// F6: at least every `retry_most`, counted from one look's sending to the next one's.
    fn plan_look(&mut self) {
        let most = self.config.timing.retry_most;
        let read_at = self.now.mono.after(self.rng.jittered(most));
        if let Phase::Leading(term) = &mut self.phase {
            term.read_at = read_at;
        }
    }

    fn look_succeeded(&mut self) {
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        self.pause.reset();
        if term.failing.take().is_some() {
            self.tell(Notice::Renewed { recovered: true });
        }
    }

    fn look_failed(&mut self, error: Arc<str>) {
        let Phase::Leading(term) = &mut self.phase else {
            return;
        };
        term.failing = Some(Arc::clone(&error));
        term.check = true;
        self.pause.begin(self.now.mono, &mut self.rng);
        self.tell(Notice::RenewFailed { error, left: None });
    }
}

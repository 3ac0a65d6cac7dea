//! Rounds of a waiter: from a look at the lock to a grant, or to the next pause (F3, F4, F7, F8).
//!
//! A round reads the lock and goes on from there, one call at a time: create it if it is absent,
//! take it up again if it is this Pod's and its process is gone, delete it if its owner is
//! certainly gone. A round that comes to nothing ends in a pause. Who does not stand makes rounds
//! only as long as a lock of its own may be there, or come yet, by which nobody leads (F4).

use std::sync::Arc;

use crate::{
    outcome::Outcome,
    status::{Notice, Warning},
    time::Instant,
    version::Version,
};

use super::{
    elector::{Call, LifeElector, Phase, What},
    judge::{self, Claim, Fate},
    leading::Term,
    record::{Answer, LockObject, Request},
    seen::Order,
    sight::ProcessSight,
};

impl LifeElector {
    pub(super) fn drive_waiting(&mut self) {
        let due = self.woken || self.now.mono >= self.pause.until();
        if due && self.has_reason() {
            self.begin_round();
        }
    }

    pub(super) fn waiting_deadline(&self) -> Option<Instant> {
        self.has_reason()
            .then(|| self.pause.until().max(self.now.mono))
    }

    pub(super) fn waiting_answered(&mut self, call: Call, outcome: Outcome<Answer>) {
        match call.what {
            What::Read => self.lock_answered(call.epoch, outcome),
            What::Create(number) => self.create_answered(number, call.epoch, outcome),
            What::Replace(number) => self.replace_answered(number, call.epoch, outcome),
            What::DeleteOwn(number) => self.own_delete_answered(number, call.epoch, outcome),
            What::DeleteOrphan(owner) => self.orphan_answered(owner, call.epoch, outcome),
            What::Inspect(lock) => self.process_answered(lock, &outcome),
            What::ReadPod(lock) => self.pod_answered(&lock, outcome),
        }
    }

    fn has_reason(&self) -> bool {
        self.standing || !self.may_land.is_empty() || self.is_stray_present()
    }

    /// Whether the lock is one's own, and nobody leads by it or wants it left there.
    fn is_stray_present(&self) -> bool {
        self.seen.lock().is_some_and(|lock| {
            !lock.being_deleted
                && lock.owner().is_ok()
                && self
                    .own_write(lock)
                    .is_some_and(|number| !self.is_kept(number))
        })
    }

    /// Whether a lock by this write stays where it is: its work may go on, and may have begun in an
    /// earlier term.
    fn is_kept(&self, number: u64) -> bool {
        self.kept.is_some_and(|kept| number <= kept)
    }

    fn begin_round(&mut self) {
        self.woken = false;
        self.clashed = false;
        self.go_on();
    }

    /// F7: what is known to be gone is created at once.
    fn go_on(&mut self) {
        if !self.seen.is_absent() {
            self.send(What::Read, Request::Read);
        } else if self.standing {
            self.create();
        } else if self.may_land.is_empty() {
            self.rest();
        } else {
            self.send(What::Read, Request::Read);
        }
    }

    /// The round came to nothing.
    fn rest(&mut self) {
        self.pause.begin(self.now.mono, &mut self.rng);
    }

    /// Somebody was faster: look again at once, but only once in a round.
    fn clash(&mut self) {
        if self.clashed {
            self.rest();
        } else {
            self.clashed = true;
            self.send(What::Read, Request::Read);
        }
    }

    fn failed(&mut self, error: Arc<str>) {
        self.failures = self.failures.saturating_add(1);
        let times = self.failures;
        self.last_error = Some(Arc::clone(&error));
        self.tell(Notice::StandbyFailed { error, times });
        self.rest();
    }

    fn create(&mut self) {
        self.replaces_from = None;
        let (number, write) = self.next_write();
        self.send(What::Create(number), Request::Create(write));
    }

    /// F3.
    fn replace(&mut self, base: Version) {
        let (number, write) = self.next_write();
        self.replaces_from.get_or_insert(number);
        self.send(What::Replace(number), Request::Replace { base, write });
    }

    fn delete_own(&mut self, number: u64, version: Version) {
        self.send_delete(What::DeleteOwn(number), version);
    }

    fn read_pod(&mut self, lock: LockObject) {
        match lock.owner().map(|owner| Arc::clone(owner.pod_name)) {
            Ok(name) => self.send(What::ReadPod(lock), Request::ReadPod { name }),
            Err(_) => self.rest(),
        }
    }

    fn lock_answered(&mut self, epoch: u64, outcome: Outcome<Answer>) {
        match outcome {
            Outcome::Done(Answer::Lock(lock)) => {
                self.failures = 0;
                if self.seen.answered(self.now.mono, lock.clone(), epoch) {
                    self.consider(lock);
                } else {
                    self.clash_with_watch();
                }
            }
            Outcome::NotFound(_) => {
                self.failures = 0;
                if !self.seen.answered_absent(epoch) {
                    self.clash_with_watch();
                } else if self.standing {
                    self.create();
                } else {
                    self.rest();
                }
            }
            other => self.failed(what_went_wrong(other)),
        }
    }

    /// An event came while the read was under way, and which of the two is newer is open.
    fn clash_with_watch(&mut self) {
        if self.clashed {
            self.rest();
        } else {
            self.clashed = true;
            self.go_on();
        }
    }

    /// What to do about the lock, which was just read.
    fn consider(&mut self, lock: LockObject) {
        let owner = match lock.owner() {
            Ok(owner) => owner,
            Err(why) => {
                self.tell_foreign(&lock, why);
                return self.rest();
            }
        };
        // F6: for waiters it is still held.
        if lock.being_deleted {
            return self.rest();
        }
        if let Some(number) = self.own_write(&lock) {
            return self.consider_own(number, lock);
        }
        if !self.standing {
            return self.rest();
        }
        // F2: by uid, never by name.
        if *owner.pod_uid != self.config.me.pod_uid {
            return self.read_pod(lock);
        }
        match judge::claim(&self.config.me, &owner) {
            Claim::Replace => self.replace(lock.version),
            Claim::AskProcess(process) => {
                self.send(What::Inspect(lock), Request::InspectProcess(process));
            }
            Claim::AskPod => self.read_pod(lock),
            Claim::Wait => self.rest(),
        }
    }

    /// A lock that a write of this process made, and by which nobody leads.
    fn consider_own(&mut self, number: u64, lock: LockObject) {
        if self.standing && number >= self.adoptable_from {
            // F4: the outcome is settled by the term's nonce.
            self.grant(number, &lock.version, lock.version.clone());
        } else if self.standing {
            // F3: this process knows that its own earlier term is over.
            self.replace(lock.version);
        } else if self.is_kept(number) {
            self.rest();
        } else {
            self.delete_own(number, lock.version);
        }
    }

    fn create_answered(&mut self, number: u64, epoch: u64, outcome: Outcome<Answer>) {
        match outcome {
            Outcome::Done(Answer::Lock(lock)) => self.acknowledged(number, epoch, lock),
            Outcome::AlreadyExists => {
                self.may_land.remove(&number);
                self.seen.doubt_absence();
                self.clash();
            }
            Outcome::Refused(error) | Outcome::NotFound(error) => {
                self.may_land.remove(&number);
                self.failed(error);
            }
            other => {
                self.seen.doubt_absence();
                self.failed(what_went_wrong(other));
            }
        }
    }

    fn replace_answered(&mut self, number: u64, epoch: u64, outcome: Outcome<Answer>) {
        match outcome {
            Outcome::Done(Answer::Lock(lock)) => self.acknowledged(number, epoch, lock),
            // A replace of what is gone is answered by either.
            Outcome::Conflict | Outcome::NotFound(_) => {
                self.may_land.remove(&number);
                self.clash();
            }
            Outcome::Refused(error) => {
                self.may_land.remove(&number);
                self.failed(error);
            }
            other => self.failed(what_went_wrong(other)),
        }
    }

    /// A write was acknowledged: it grants, unless it was overtaken (L9).
    fn acknowledged(&mut self, number: u64, epoch: u64, lock: LockObject) {
        self.failures = 0;
        let version = lock.version.clone();
        let is_held = self.holds(&lock, number);
        let order = self.seen.order(&version.resource_version);
        if !self.seen.answered(self.now.mono, lock, epoch) {
            // A watch event came meanwhile. It may show this very write with later edits.
            let newest = self
                .seen
                .lock()
                .filter(|lock| lock.version.uid == version.uid && self.holds(lock, number))
                .map(|lock| lock.version.clone());
            return match (order, newest) {
                (Order::Older, Some(newest)) if self.may_grant(number) => {
                    self.grant(number, &version, newest);
                }
                _ => self.clash_with_watch(),
            };
        }
        if !is_held {
            self.failed("the server stored the lock otherwise than it was written".into());
        } else if self.may_grant(number) {
            self.grant(number, &version, version.clone());
        } else if self.standing {
            self.replace(version);
        } else {
            // Given back: it was withdrawn meanwhile.
            self.delete_own(number, version);
        }
    }

    /// Whether `lock` is what the write `number` made it.
    fn holds(&self, lock: &LockObject, number: u64) -> bool {
        !lock.being_deleted && self.taken(lock, number).is_none()
    }

    fn may_grant(&self, number: u64) -> bool {
        self.standing && number >= self.adoptable_from
    }

    fn grant(&mut self, number: u64, granted: &Version, newest: Version) {
        let token = granted.resource_version.clone();
        let again = self.replaces_from.is_some_and(|first| number >= first);
        self.phase = Phase::Leading(Term::new(number, token.clone(), newest));
        self.woken = false;
        self.failures = 0;
        self.lost = None;
        self.begin_looking_after();
        self.tell(Notice::Acquired {
            term: 0,
            token,
            again,
        });
    }

    fn own_delete_answered(&mut self, number: u64, epoch: u64, outcome: Outcome<Answer>) {
        match outcome {
            Outcome::Done(_) | Outcome::NotFound(_) => self.deleted(epoch, outcome),
            Outcome::Conflict | Outcome::AlreadyExists => self.clash(),
            Outcome::Refused(error) => {
                // Whoever may not delete leaves it to the collector.
                self.kept = Some(number);
                self.failed(error);
            }
            Outcome::Unknown(error) => self.failed(error),
        }
    }

    fn orphan_answered(&mut self, owner: Arc<str>, epoch: u64, outcome: Outcome<Answer>) {
        match outcome {
            Outcome::Done(Answer::Deleted) => {
                self.tell(Notice::Warn(Warning::RemovedOrphan { owner }));
                self.deleted(epoch, outcome);
            }
            // A finalizer holds it back, or another waiter was faster.
            Outcome::Done(_) | Outcome::NotFound(_) => self.deleted(epoch, outcome),
            Outcome::Conflict | Outcome::AlreadyExists => self.clash(),
            Outcome::Refused(error) | Outcome::Unknown(error) => self.failed(error),
        }
    }

    /// A lock is gone, or waits for a finalizer now.
    fn deleted(&mut self, epoch: u64, outcome: Outcome<Answer>) {
        self.failures = 0;
        if let Outcome::Done(Answer::Lock(lock)) = outcome {
            self.seen.answered(self.now.mono, lock, epoch);
        } else {
            self.seen.answered_absent(epoch);
        }
        if self.standing && self.seen.is_absent() {
            self.create();
        } else {
            self.rest();
        }
    }

    fn process_answered(&mut self, lock: LockObject, outcome: &Outcome<Answer>) {
        match outcome {
            _ if !self.standing => self.rest(),
            Outcome::Done(Answer::Process(ProcessSight::Gone)) => self.replace(lock.version),
            Outcome::Done(Answer::Process(ProcessSight::Alive)) => self.rest(),
            _ => self.read_pod(lock),
        }
    }

    fn pod_answered(&mut self, lock: &LockObject, outcome: Outcome<Answer>) {
        let pod = match outcome {
            Outcome::Done(Answer::Pod(pod)) => Some(pod),
            Outcome::NotFound(_) => None,
            other => return self.failed(what_went_wrong(other)),
        };
        let Ok(owner) = lock.owner() else {
            return self.rest();
        };
        if !self.standing || self.seen.is_absent() {
            return self.rest();
        }
        match judge::fate(&self.config.me, &owner, pod.as_ref()) {
            // F5, F8: exactly the lock that was read before its owner was.
            Fate::Orphan => {
                let name = Arc::clone(owner.pod_name);
                self.send_delete(What::DeleteOrphan(name), lock.version.clone());
            }
            Fate::Reentry => self.replace(lock.version.clone()),
            Fate::Alive => self.rest(),
        }
    }
}

/// Why a call brought nothing to go on with, for people.
pub(super) fn what_went_wrong(outcome: Outcome<Answer>) -> Arc<str> {
    match outcome {
        Outcome::NotFound(error) | Outcome::Refused(error) | Outcome::Unknown(error) => error,
        Outcome::AlreadyExists => "409 AlreadyExists".into(),
        Outcome::Conflict => "409 Conflict".into(),
        Outcome::Done(_) => "an answer that does not fit the call".into(),
    }
}

//! Giving the lock up on a normal end (F10), by exactly the state that was one's own (F5).

use std::sync::Arc;

use crate::{outcome::Outcome, status::Notice, time::Instant, version::Version};

use super::{
    elector::{Call, LifeElector, Phase, What},
    record::{Answer, LockObject, Request},
};

/// A term that is over, and whose lock is being deleted.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// The number of the write that began the term.
    number: u64,
    version: Version,
    /// How many deletes were sent.
    sent: u32,
    /// Whether the lock has to be read first.
    check: bool,
    until: Instant,
}

/// How many deletes are sent at most.
const MOST_SENT: u32 = 3;

impl LifeElector {
    /// Delete the lock of a term in which nobody believes any more (L10).
    pub(super) fn give_up(&mut self, number: u64, version: Version) {
        let limit = self.config.timing.call_limit.saturating_mul(MOST_SENT);
        // F11: a leader goes on beside what others put there, but that may be no lock any more.
        let is_no_lock = self
            .seen
            .lock()
            .is_some_and(|lock| lock.version == version && lock.owner().is_err());
        self.phase = Phase::Releasing(Release {
            number,
            version,
            sent: 0,
            check: is_no_lock,
            until: self.now.mono.after(limit),
        });
    }

    pub(super) fn drive_release(&mut self) {
        let now = self.now.mono;
        let Phase::Releasing(release) = &mut self.phase else {
            return;
        };
        if now < self.pause.until() {
            return;
        }
        if now >= release.until {
            self.release_failed("no answer in time".into());
        } else if release.check {
            self.send(What::Read, Request::Read);
        } else if release.sent < MOST_SENT {
            release.sent += 1;
            let (number, version) = (release.number, release.version.clone());
            self.send_delete(What::DeleteOwn(number), version);
        } else {
            self.release_failed("the lock kept changing under every delete of it".into());
        }
    }

    pub(super) fn release_answered(&mut self, call: &Call, outcome: Outcome<Answer>) {
        let is_read = matches!(call.what, What::Read);
        match outcome {
            Outcome::Done(Answer::Lock(lock)) => {
                self.seen.answered(self.now.mono, lock.clone(), call.epoch);
                self.look_before_release(&lock);
            }
            // Deleted by this call, by one whose answer was lost, or by the collector.
            Outcome::Done(Answer::Deleted) | Outcome::NotFound(_) => {
                self.seen.answered_absent(call.epoch);
                self.released();
            }
            Outcome::Refused(error) if !is_read => {
                // Whoever may not delete leaves it to the collector.
                if let Phase::Releasing(release) = &self.phase {
                    self.kept = Some(release.number);
                }
                self.release_failed(error);
            }
            Outcome::Conflict | Outcome::AlreadyExists if !is_read => self.check_release(),
            _ => {
                self.pause.begin(self.now.mono, &mut self.rng);
                self.check_release();
            }
        }
    }

    fn look_before_release(&mut self, lock: &LockObject) {
        let number = self.own_write(lock);
        let Phase::Releasing(release) = &mut self.phase else {
            return;
        };
        if lock.being_deleted || number != Some(release.number) {
            self.released();
        } else if let Err(why) = lock.owner() {
            // F11: somebody made something else of it.
            self.release_failed(why);
        } else {
            release.version = lock.version.clone();
            release.check = false;
        }
    }

    fn check_release(&mut self) {
        if let Phase::Releasing(release) = &mut self.phase {
            release.check = true;
        }
    }

    fn released(&mut self) {
        self.end_release(Notice::Released);
    }

    fn release_failed(&mut self, error: Arc<str>) {
        self.end_release(Notice::ReleaseFailed { error });
    }

    /// From here on the process may stand again, by a new write only (L10, F4).
    fn end_release(&mut self, notice: Notice) {
        self.phase = Phase::Waiting;
        self.pause.reset();
        if self.standing {
            // Somebody stood again while the release was under way.
            self.lost = None;
            self.woken = true;
        } else {
            self.pause.begin(self.now.mono, &mut self.rng);
        }
        self.tell(notice);
    }
}

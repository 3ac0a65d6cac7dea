//! What an election tells in the log: one line an event, with fields, and nothing that repeats
//! itself every few seconds above debug. What is told elsewhere, where that is wanted, is told from here
//! (see `beside`).

use std::sync::Arc;

use tenure_core::{Notice, Uid};
use tracing::{debug, error, info, warn};

use crate::{
    beside::{Beside, End},
    candidacy::Candidacy,
};

/// The log of one election.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is about something else"
)]
pub(crate) struct Telling {
    candidacy: Arc<Candidacy>,
    term: u64,
    standby_failing: bool,
    renew_failing: bool,
    watch_failing: bool,
    watch_forbidden: bool,
    edits: u32,
    beside: Option<Box<Beside>>,
}

impl Telling {
    pub(crate) fn new(candidacy: Arc<Candidacy>) -> Self {
        let (lock, namespace, identity) = words_of(&candidacy);
        info!(lock, namespace, identity, "leader election started");
        Self {
            candidacy,
            term: 0,
            standby_failing: false,
            renew_failing: false,
            watch_failing: false,
            watch_forbidden: false,
            edits: 0,
            beside: None,
        }
    }

    pub(crate) fn with(mut self, beside: Option<Box<Beside>>) -> Self {
        self.beside = beside;
        self
    }

    /// `lock` is the uid of the lock's object, as it was seen last.
    pub(crate) fn tell(&mut self, notice: &Notice, lock: impl FnOnce() -> Option<Uid>) {
        if let Some(beside) = &mut self.beside {
            tell_beside(beside, notice, lock);
        }
        let (lock, namespace, identity) = words_of(&self.candidacy);
        match notice {
            Notice::Holder(Some(holder)) if *holder.identity == *identity => {}
            Notice::Holder(Some(holder)) => {
                self.standby_failing = false;
                info!(lock, namespace, holder = %holder.identity, "standing by");
            }
            Notice::Holder(None) => info!(lock, namespace, "nobody leads"),
            Notice::Acquired { term, token, again } => {
                self.term = *term;
                self.standby_failing = false;
                self.renew_failing = false;
                self.edits = 0;
                if *again {
                    info!(lock, namespace, identity, term, %token, "lock already owned by this pod: leading again");
                } else {
                    info!(lock, namespace, identity, term, %token, "acquired leadership");
                }
            }
            Notice::Renewed { recovered: true } => {
                self.renew_failing = false;
                info!(lock, namespace, term = self.term, "renewals succeed again");
            }
            Notice::Renewed { recovered: false } => {
                debug!(lock, namespace, term = self.term, "renewed");
            }
            Notice::RenewFailed { error, left } if self.renew_failing => {
                debug!(lock, namespace, term = self.term, %error, ?left, "renew failed again");
            }
            Notice::RenewFailed { error, left } => {
                self.renew_failing = true;
                warn!(lock, namespace, term = self.term, %error, ?left, "renew failed, trying again");
            }
            Notice::StandbyFailed { error, times } => {
                if self.standby_failing {
                    debug!(lock, namespace, %error, times, "cannot stand for election, trying again");
                } else {
                    self.standby_failing = true;
                    warn!(lock, namespace, %error, "cannot stand for election, trying again until it works");
                }
            }
            Notice::AskedToStepDown { by, to: None } => {
                warn!(lock, namespace, term = self.term, %by, "asked to step down");
            }
            Notice::AskedToStepDown { by, to: Some(to) } => {
                warn!(lock, namespace, term = self.term, %by, %to, "asked to hand over");
            }
            Notice::Paused(Some(paused)) => warn!(
                lock, namespace, by = %paused.by, reason = %paused.reason,
                "the lock is paused: nobody takes it until the annotation tenure.dev/paused is removed"
            ),
            Notice::Paused(None) => info!(lock, namespace, "the lock is paused no more"),
            Notice::Stop { reason, .. } => {
                warn!(lock, namespace, term = self.term, %reason, "the work is told to end");
            }
            Notice::Overdue => {
                error!(
                    lock,
                    namespace,
                    term = self.term,
                    "the work has not ended in time"
                );
            }
            Notice::Lost(reason) => {
                warn!(lock, namespace, term = self.term, %reason, "leadership lost");
            }
            Notice::Released => info!(lock, namespace, term = self.term, "released leadership"),
            Notice::ReleaseFailed { error } => {
                warn!(lock, namespace, term = self.term, %error, "failed to release: the lock frees itself as after a crash");
            }
            Notice::Kept => info!(
                lock,
                namespace,
                term = self.term,
                "leadership ended, the lock is kept"
            ),
            Notice::Warn(warning) => self.warn(warning),
            _ => {}
        }
    }

    /// Nobody here believes any more, whatever becomes of the lock.
    pub(crate) fn belief_over(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.belief_over();
        }
    }

    /// Whether somebody here stands, and whether this process leads.
    pub(crate) fn stands(&mut self, stands: bool, leads: bool) {
        if let Some(beside) = &mut self.beside {
            beside.stands(stands, leads);
        }
    }

    /// The election has ended. Ends when what was told last has arrived, or after a bounded time.
    pub(crate) async fn finish(&mut self) {
        if let Some(beside) = self.beside.take() {
            // Boxed: it would be most of the future of each driver, which few need and none for long.
            Box::pin(beside.finish()).await;
        }
    }

    pub(crate) fn watch_opened(&mut self) {
        self.watch_failing = false;
    }

    pub(crate) fn watch_closed(&mut self, error: Option<String>, forbidden: bool) {
        let (lock, namespace, _) = words_of(&self.candidacy);
        let Some(error) = error else { return };
        if forbidden {
            if !self.watch_forbidden {
                self.watch_forbidden = true;
                warn!(lock, namespace, %error, "no right to watch the lock: polling it instead");
            }
        } else if self.watch_failing {
            debug!(lock, namespace, %error, "the watch ended, opening it again");
        } else {
            self.watch_failing = true;
            debug!(lock, namespace, %error, "the watch ended: polling until it is open again");
        }
    }

    fn warn(&mut self, warning: &tenure_core::Warning) {
        use tenure_core::Warning;
        let (lock, namespace, _) = words_of(&self.candidacy);
        match warning {
            Warning::OddDuration { holder, seconds } => warn!(
                lock, namespace, %holder, seconds,
                "the holder wrote an unusually long lease duration, which is honoured; if it is \
                 certain that nobody leads, `tenure release --force {lock} -n {namespace}` and a \
                 restart of the candidates break it"
            ),
            Warning::EditedRecord => {
                self.edits = self.edits.saturating_add(1);
                if self.edits == 1 {
                    warn!(
                        lock,
                        namespace, "somebody edited the lock while it was held: putting it right"
                    );
                } else {
                    debug!(lock, namespace, "somebody edited the lock again");
                }
            }
            Warning::NotALock { why } => warn!(
                lock, namespace, %why,
                "an object of the lock's name is no lock, and is left alone: give the lock another \
                 name, or remove the object"
            ),
            Warning::RemovedOrphan { owner } => {
                info!(lock, namespace, %owner, "removed the lock of an owner that is gone");
            }
            _ => {}
        }
    }
}

/// Lock, namespace and identity.
fn words_of(candidacy: &Candidacy) -> (&str, &str, &str) {
    (&candidacy.lock, &candidacy.namespace, &candidacy.identity)
}

fn tell_beside(beside: &mut Beside, notice: &Notice, lock: impl FnOnce() -> Option<Uid>) {
    let end = match notice {
        Notice::Acquired { term, token, again } => {
            return beside.began(lock(), *term, token, *again);
        }
        Notice::Stop { reason, .. } => return beside.stopping(reason),
        Notice::Lost(reason) => End::Lost(reason.clone()),
        Notice::Released => End::Released,
        Notice::Kept => End::Kept,
        Notice::ReleaseFailed { error } => End::NotReleased(Arc::clone(error)),
        _ => return,
    };
    beside.over(&end);
}

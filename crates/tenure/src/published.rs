//! What the driver publishes and everybody else reads: one writer, many readers, no lock on the
//! way of [`is_leading`](crate::Leadership::is_leading).

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use tenure_core::{Belief, Instant, LossReason, ResourceVersion};
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;

use crate::{candidacy::Candidacy, clock::SharedClock, leadership::Released};

/// One term as its readers see it.
pub(crate) struct Term {
    pub(crate) number: u64,
    pub(crate) token: ResourceVersion,
    pub(crate) candidacy: Arc<Candidacy>,
    /// The candidacy's, at hand.
    clock: SharedClock,
    /// The first moment without belief, in nanoseconds; 0 once belief is over, `FOR_LIFE` where
    /// no time ends it.
    valid_until: AtomicU64,
    /// Cancelled when the work has to end, and when leadership is over.
    told: CancellationToken,
    reason: OnceLock<LossReason>,
    /// When the work must have ended, in nanoseconds; 0 while nobody told it.
    stop_by: AtomicU64,
    /// Set when the lock has been given up, or will not be.
    released: SetOnce<Released>,
}

const FOR_LIFE: u64 = u64::MAX;

impl Term {
    pub(crate) fn new(belief: &Belief, candidacy: Arc<Candidacy>) -> Self {
        Self {
            number: belief.term,
            token: belief.token.clone(),
            clock: candidacy.clock.clone(),
            candidacy,
            valid_until: AtomicU64::new(end_of(belief)),
            told: CancellationToken::new(),
            reason: OnceLock::new(),
            stop_by: AtomicU64::new(0),
            released: SetOnce::new(),
        }
    }

    /// One atomic load and one reading of the clock.
    pub(crate) fn is_leading(&self) -> bool {
        match self.valid_until.load(Ordering::Acquire) {
            0 => false,
            FOR_LIFE => true,
            until => self.clock.mono().as_nanos() < until,
        }
    }

    pub(crate) fn valid_until(&self) -> Option<Instant> {
        match self.valid_until.load(Ordering::Acquire) {
            FOR_LIFE => None,
            until => Some(Instant::from_nanos(until)),
        }
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn told(&self) -> &CancellationToken {
        &self.told
    }

    /// Resolves when it is known what became of the lock.
    pub(crate) async fn released(&self) -> Released {
        self.released.wait().await.clone()
    }

    pub(crate) fn settle(&self, released: Released) {
        // The first one stays.
        let _ = self.released.set(released);
    }

    /// Why this term ended or is about to; `Abandoned` while nothing did.
    pub(crate) fn reason(&self) -> LossReason {
        self.reason.get().cloned().unwrap_or(LossReason::Abandoned)
    }

    pub(crate) fn stop_by(&self) -> Option<Instant> {
        match self.stop_by.load(Ordering::Acquire) {
            0 => None,
            by => Some(Instant::from_nanos(by)),
        }
    }

    /// Belief that has ended stays ended, whatever the driver still believes.
    pub(crate) fn publish(&self, belief: &Belief) {
        let _ = self
            .valid_until
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |until| {
                (until != 0).then(|| end_of(belief))
            });
    }

    pub(crate) fn end_belief(&self) {
        self.valid_until.store(0, Ordering::SeqCst);
    }

    /// The first reason stays.
    pub(crate) fn tell(&self, reason: LossReason, by: Instant) {
        let _ = self.reason.set(reason);
        let _ = self.stop_by.compare_exchange(
            0,
            by.as_nanos().max(1),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        self.told.cancel();
    }
}

fn end_of(belief: &Belief) -> u64 {
    belief
        .valid_until
        .map_or(FOR_LIFE, |until| until.as_nanos().min(FOR_LIFE - 1))
}

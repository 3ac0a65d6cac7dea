//! Who stands, and for which lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenure_core::Instant;

use crate::clock::SharedClock;

/// What all parts of one election have in common, once for all of them.
pub(crate) struct Candidacy {
    /// The name of the lock.
    pub(crate) lock: Box<str>,
    pub(crate) namespace: Box<str>,
    /// What the candidate writes as the holder.
    pub(crate) identity: Arc<str>,
    pub(crate) clock: SharedClock,
    pub(crate) pulse: Pulse,
}

/// Shows whether the driver still does what it is due to do.
#[derive(Debug)]
pub(crate) struct Pulse {
    due: AtomicU64,
}

impl Candidacy {
    pub(crate) fn new(
        lock: impl Into<Box<str>>,
        namespace: impl Into<Box<str>>,
        identity: impl Into<Arc<str>>,
        clock: SharedClock,
    ) -> Arc<Self> {
        Arc::new(Self {
            lock: lock.into(),
            namespace: namespace.into(),
            identity: identity.into(),
            clock,
            pulse: Pulse {
                due: AtomicU64::new(u64::MAX),
            },
        })
    }
}

impl Pulse {
    /// How far behind the driver is.
    pub(crate) fn overdue(&self, now: Instant) -> Duration {
        now.since(Instant::from_nanos(self.due.load(Ordering::Acquire)))
    }

    pub(crate) fn set(&self, due: Instant) {
        self.due.store(due.as_nanos(), Ordering::Release);
    }
}

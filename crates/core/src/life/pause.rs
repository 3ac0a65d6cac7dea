//! How long to wait until the next try (F7).

use std::time::Duration;

use crate::{rng::Rng, time::Instant, timing::LifeTiming};

/// A pause that doubles from try to try.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    first: Duration,
    most: Duration,
    next: Duration,
    until: Instant,
}

impl Pause {
    pub(super) fn new(timing: &LifeTiming) -> Self {
        Self {
            first: timing.retry_first,
            most: timing.retry_most,
            next: timing.retry_first,
            until: Instant::default(),
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Begin a pause: up to a half shorter than its full length, so that many do not fall together.
    pub(super) fn begin(&mut self, now: Instant, rng: &mut Rng) {
        self.until = now.after(rng.jittered(self.next));
        self.next = self.next.saturating_mul(2).min(self.most);
    }

    /// No pause, and the shortest one next.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
        self.until = Instant::default();
    }
}

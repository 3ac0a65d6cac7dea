//! Wall clocks: what the server writes into `creationTimestamp` and `deletionTimestamp`.

use std::time::{Duration, SystemTime};

/// Where the server takes the wall time from.
///
/// Only stamps that people read come from it; nothing in the server waits by it.
pub trait Clock: Send + Sync + 'static {
    /// The present wall time.
    fn now(&self) -> SystemTime;
}

/// The machine's wall clock: the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock that starts at a given time and goes on with tokio's clock, so that it stands still
/// and jumps with tokio's paused time: equal runs write equal stamps.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    start: SystemTime,
    origin: tokio::time::Instant,
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place where this crate reads the wall clock
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl TokioClock {
    /// A clock that reads `start` now.
    pub fn new(start: SystemTime) -> Self {
        Self {
            start,
            origin: tokio::time::Instant::now(),
        }
    }

    /// A clock that reads `seconds` after the epoch now.
    pub fn from_epoch_seconds(seconds: u64) -> Self {
        Self::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> SystemTime {
        self.start + self.origin.elapsed()
    }
}

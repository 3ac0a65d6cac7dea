//! How long chores take. Nobody's leadership hangs on it, so the ordinary clock is good enough.
#![allow(
    clippy::disallowed_types,
    reason = "no leadership is judged by this clock (rule L4)"
)]

use std::time::{Duration, Instant};

/// Since when something is going on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since(Instant);

impl Since {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A duration for people: `0.4 s`, `37 s`, `4 min 5 s`.
pub(crate) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let say = |millis| in_words(Duration::from_millis(millis));
        assert_eq!(say(0), "0.0 s");
        assert_eq!(say(9_990), "9.9 s");
        assert_eq!(say(10_000), "10 s");
        assert_eq!(say(59_999), "59 s");
        assert_eq!(say(60_000), "1 min 0 s");
        assert_eq!(say(754_000), "12 min 34 s");
    }
}

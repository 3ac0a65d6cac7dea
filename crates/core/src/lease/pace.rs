//! How fast one may go: pauses after failures (L16), and the spread of contenders (L17).

use std::{sync::Arc, time::Duration};

use crate::{rng::Rng, time::Instant};

/// The pause between calls that fail. The first failure is followed up at once.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    most: Duration,
    failures: u32,
    until: Instant,
    error: Option<Arc<str>>,
}

/// How crowded this lock has been of late.
#[derive(Clone, Debug)]
pub(super) struct Contention {
    most: Duration,
    calm_after: Duration,
    level: u32,
    since: Instant,
    drawn: Option<(u64, Duration)>,
}

const TOP_LEVEL: u32 = 6;

/// Lease durations without a lost race until the spread is a step smaller. In a crowd whose races follow
/// each other by a third of a lease duration, one in nine loses each; sooner would be one in three.
const CALM: u32 = 3;

impl Pause {
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most,
            failures: 0,
            until: Instant::default(),
            error: None,
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// What went wrong last, for people; nothing once something has succeeded after it.
    pub(super) fn error(&self) -> Option<&Arc<str>> {
        self.error.as_ref()
    }

    /// What the last failure was.
    pub(super) fn blame(&mut self, error: Arc<str>) {
        self.error = Some(error);
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn failed(&mut self, now: Instant, rng: &mut Rng) {
        self.failures = self.failures.saturating_add(1);
        if let Some(doublings) = self.failures.checked_sub(2) {
            let step = self.most / 16 * 2u32.pow(doublings.min(4));
            self.until = now.after(rng.jittered(step));
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.error = None;
        self.failures = 0;
        self.until = Instant::default();
    }
}

impl Contention {
    /// `lease_duration` bounds the spread and sets how fast a crowd is forgotten.
    pub(super) fn new(lease_duration: Duration) -> Self {
        Self {
            most: Duration::from_secs(1).min(lease_duration / 10),
            calm_after: lease_duration * CALM,
            level: 0,
            since: Instant::default(),
            drawn: None,
        }
    }

    /// The longest spread.
    pub(super) fn most(&self) -> Duration {
        self.most
    }

    pub(super) fn lost_a_race(&mut self, now: Instant) {
        self.calm_down(now);
        self.level = (self.level + 1).min(TOP_LEVEL);
        self.since = now;
    }

    /// The delay for the sighting `epoch`: drawn once for each.
    pub(super) fn delay(&mut self, now: Instant, epoch: u64, rng: &mut Rng) -> Duration {
        if let Some((drawn_for, delay)) = self.drawn
            && drawn_for == epoch
        {
            return delay;
        }
        self.calm_down(now);
        let share = 2u32.pow(self.level) - 1;
        let delay = rng.up_to(self.most * share / (2u32.pow(TOP_LEVEL) - 1));
        self.drawn = Some((epoch, delay));
        delay
    }

    /// The delay for the sighting `epoch`, as far as it was drawn.
    pub(super) fn drawn_for(&self, epoch: u64) -> Duration {
        match self.drawn {
            Some((drawn_for, delay)) if drawn_for == epoch => delay,
            _ => Duration::ZERO,
        }
    }

    fn calm_down(&mut self, now: Instant) {
        while self.level > 0 && now.since(self.since) >= self.calm_after {
            self.level -= 1;
            self.since = self.since.after(self.calm_after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l17_the_spread_is_none_at_first_grows_with_races_lost_and_shrinks_with_time() {
        let d = Duration::from_secs(15);
        let mut rng = Rng::new(1);
        let mut crowd = Contention::new(d);
        let now = Instant::from_nanos(1);
        assert_eq!(crowd.delay(now, 1, &mut rng), Duration::ZERO);
        for _ in 0..10 {
            crowd.lost_a_race(now);
        }
        let most = (2..200)
            .map(|epoch| crowd.delay(now, epoch, &mut rng))
            .max()
            .unwrap();
        assert!(
            most <= Duration::from_secs(1) && most > Duration::from_millis(800),
            "{most:?}"
        );
        assert_eq!(
            crowd.delay(now, 199, &mut rng),
            crowd.delay(now, 199, &mut rng)
        );
        let later = now.after(d * CALM * (TOP_LEVEL - 1));
        let least = Duration::from_secs(1) / 63;
        let last = (1000..1200).map(|epoch| crowd.clone().delay(later, epoch, &mut rng));
        let most = last.max().unwrap();
        assert!(most <= least && most > least / 2, "{most:?}");
        let later = now.after(d * CALM * TOP_LEVEL);
        assert_eq!(crowd.delay(later, 1000, &mut rng), Duration::ZERO);
    }

    #[test]
    fn l16_failures_are_followed_up_once_at_once_and_then_ever_more_slowly() {
        let mut rng = Rng::new(1);
        let mut pause = Pause::new(Duration::from_secs(2));
        let now = Instant::from_nanos(5);
        pause.failed(now, &mut rng);
        assert!(pause.until() <= now);
        for _ in 0..100 {
            pause.failed(now, &mut rng);
        }
        let wait = pause.until().since(now);
        assert!(
            wait >= Duration::from_secs(1) && wait <= Duration::from_secs(2),
            "{wait:?}"
        );
    }
}

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
    /// Races since the last that was lost, or since the spread became smaller.
    calm: u32,
    race: Option<Race>,
    drawn: Option<(u64, Duration)>,
}

/// The Lease of a sighting is anybody's.
#[derive(Clone, Copy, Debug)]
struct Race {
    epoch: u64,
    began: Instant,
    lost: bool,
}

const TOP_LEVEL: u32 = 6;

/// Races without losing one until the spread is a step smaller: about one candidate in a dozen loses each.
/// At the longest spread, which is for crowds of which one in a dozen would be many, only those in a row count
/// that took longer than an eighth of it: who is few waits long for the first of them.
const CALM_RACES: u32 = 8;

/// Lease durations without a lost race until the spread is a step smaller, though nobody has raced.
const CALM: u32 = 20;

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
            calm: 0,
            race: None,
            drawn: None,
        }
    }

    /// The longest spread.
    pub(super) fn most(&self) -> Duration {
        self.most
    }

    /// With a write that was sent at `sent`. Others were on their way for as long, too: a spread that is
    /// no longer than that keeps few of them apart.
    pub(super) fn lost_a_race(&mut self, now: Instant, sent: Instant) {
        self.calm_down(now);
        let took = now.since(sent);
        self.level = (self.level + 1).min(TOP_LEVEL);
        while self.level < TOP_LEVEL && self.spread() < took * 2 {
            self.level += 1;
        }
        self.since = now;
        self.calm = 0;
        if let Some(race) = &mut self.race {
            race.lost = true;
        }
    }

    /// The race was won: it says nothing about the others.
    pub(super) fn won_a_race(&mut self) {
        self.race = None;
    }

    /// The delay for the sighting `epoch`: drawn once for each.
    pub(super) fn delay(&mut self, now: Instant, epoch: u64, rng: &mut Rng) -> Duration {
        if let Some((drawn_for, delay)) = self.drawn
            && drawn_for == epoch
        {
            return delay;
        }
        self.race_is_over(now);
        self.calm_down(now);
        let spread = self.spread();
        let mut delay = rng.up_to(spread);
        if self.level == TOP_LEVEL {
            // Most of a large crowd hold back: the later of two.
            delay = delay.max(rng.up_to(spread));
        }
        self.drawn = Some((epoch, delay));
        delay
    }

    fn spread(&self) -> Duration {
        self.most * (2u32.pow(self.level) - 1) / (2u32.pow(TOP_LEVEL) - 1)
    }

    /// The delay for the sighting `epoch`, as far as it was drawn.
    pub(super) fn drawn_for(&self, epoch: u64) -> Duration {
        match self.drawn {
            Some((drawn_for, delay)) if drawn_for == epoch => delay,
            _ => Duration::ZERO,
        }
    }

    /// The Lease of the sighting `epoch` is anybody's: a race that may be lost. Those without a loss are
    /// counted, since a crowd stays a crowd however rarely its leaders change.
    pub(super) fn race_is_on(&mut self, now: Instant, epoch: u64) {
        if self.race.is_none_or(|race| race.epoch != epoch) {
            self.race = Some(Race {
                epoch,
                began: now,
                lost: false,
            });
        }
    }

    /// Something new is seen: whoever won is known.
    fn race_is_over(&mut self, now: Instant) {
        let Some(race) = self.race.take() else { return };
        let slow = now.since(race.began) > self.spread() / 8;
        if race.lost {
            return;
        }
        if self.level == TOP_LEVEL && !slow {
            // The crowd is still there.
            self.calm = 0;
            self.since = now;
            return;
        }
        self.calm += 1;
        if self.calm >= CALM_RACES {
            self.level = self.level.saturating_sub(1);
            self.calm = 0;
        }
    }

    fn calm_down(&mut self, now: Instant) {
        while self.level > 0 && now.since(self.since) >= self.calm_after {
            self.level -= 1;
            self.since = self.since.after(self.calm_after);
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l17_the_spread_shrinks_with_races_that_were_not_lost_at_its_longest_with_slow_ones() {
        let d = Duration::from_secs(15);
        let mut rng = Rng::new(1);
        let mut crowd = Contention::new(d);
        let now = Instant::from_nanos(1);
        for _ in 0..TOP_LEVEL {
            crowd.lost_a_race(now, now);
        }
        let mut races = |crowd: &mut Contention, took: u64| -> Vec<u32> {
            let mut now = now;
            let mut levels = Vec::new();
            for epoch in 1..=80 {
                crowd.delay(now, epoch, &mut rng);
                crowd.race_is_on(now, epoch);
                now = now.after(Duration::from_millis(took));
                crowd.race_is_on(now, epoch);
                levels.push(crowd.level);
            }
            levels
        };
        let quick = races(&mut crowd.clone(), 100);
        assert!(
            quick.iter().all(|level| *level == TOP_LEVEL),
            "it is a crowd still"
        );
        let mut mixed = crowd.clone();
        for (epoch, took) in (1..).zip([130, 130, 130, 130, 130, 130, 130, 100].repeat(9)) {
            let began = now.after(Duration::from_secs(epoch));
            mixed.delay(began, 2 * epoch, &mut Rng::new(1));
            mixed.race_is_on(began, 2 * epoch);
            let over = began.after(Duration::from_millis(took));
            mixed.delay(over, 2 * epoch + 1, &mut Rng::new(1));
        }
        assert_eq!(mixed.level, TOP_LEVEL, "some are slow in any crowd");
        let almost = now.after(d * CALM).after(Duration::from_secs(20));
        mixed.delay(almost, 1000, &mut Rng::new(1));
        assert_eq!(
            mixed.level, TOP_LEVEL,
            "time counts from the newest quick one"
        );
        let slow = races(&mut crowd, 130);
        let at = |level: u32| slow.iter().filter(|seen| **seen == level).count();
        assert!((1..=TOP_LEVEL).all(|level| at(level) == 8), "{slow:?}");
        assert_eq!(slow.last(), Some(&0));
        crowd.lost_a_race(now, now);
        crowd.race_is_on(now, 50);
        crowd.won_a_race();
        crowd.delay(now.after(Duration::from_secs(9)), 51, &mut rng);
        assert_eq!((crowd.level, crowd.calm), (1, 0), "a win says nothing");
    }

    #[test]
    fn l17_the_spread_grows_at_once_to_what_a_slow_race_asks_for() {
        let now = Instant::from_nanos(1_000_000_000);
        let grown = |took: u64| {
            let mut crowd = Contention::new(Duration::from_secs(15));
            crowd.lost_a_race(now, now.before(Duration::from_millis(took)));
            (crowd.level, crowd.spread())
        };
        assert_eq!(grown(5).0, 1);
        assert!(grown(40).1 >= Duration::from_millis(80) && grown(40).0 == 3);
        assert_eq!(grown(900), (TOP_LEVEL, Duration::from_secs(1)));
    }

    #[test]
    fn l17_most_of_a_large_crowd_hold_back() {
        let mut rng = Rng::new(1);
        let now = Instant::from_nanos(1);
        let mut early = |level: u32| {
            let mut crowd = Contention::new(Duration::from_secs(15));
            crowd.level = level;
            let most = crowd.most * (2u32.pow(level) - 1) / 63;
            let delays = (1..=1000).map(|epoch| crowd.clone().delay(now, epoch, &mut rng));
            delays.filter(|delay| *delay < most / 8).count()
        };
        assert!((100..150).contains(&early(TOP_LEVEL - 1)));
        assert!(early(TOP_LEVEL) < 30, "one in sixty-four");
    }

    #[test]
    fn l17_the_spread_is_none_at_first_grows_with_races_lost_and_shrinks_with_time() {
        let d = Duration::from_secs(15);
        let mut rng = Rng::new(1);
        let mut crowd = Contention::new(d);
        let now = Instant::from_nanos(1);
        assert_eq!(crowd.delay(now, 1, &mut rng), Duration::ZERO);
        for _ in 0..10 {
            crowd.lost_a_race(now, now);
        }
        let most = (2..200)
            .map(|epoch| crowd.clone().delay(now, epoch, &mut rng))
            .max()
            .unwrap();
        assert!(
            most <= Duration::from_secs(1) && most > Duration::from_millis(800),
            "{most:?}"
        );
        assert_eq!(
            crowd.delay(now, 199, &mut rng),
            crowd.delay(now, 199, &mut rng),
            "one for each sighting"
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

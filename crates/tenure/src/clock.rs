//! The only place that asks a clock (rule L4).
//!
//! Leadership is judged by a clock that also counts while the machine sleeps; a leader whose
//! laptop was closed must find its lease over when it is opened again.
//!
//! | platform | clock | promised |
//! |---|---|---|
//! | Linux, Android | `CLOCK_BOOTTIME` | yes |
//! | OpenBSD, Fuchsia | `CLOCK_BOOTTIME` | best effort |
//! | macOS, iOS | `CLOCK_MONOTONIC`, which goes on during sleep there | best effort |
//! | Windows | the performance counter, which goes on during sleep | best effort |
//!
//! Elsewhere this does not compile: a clock that stops unnoticed would break rule L4 silently.
//!
//! **Sleeping.** Timers of tokio (like those of epoll below it) stop while the machine sleeps, so
//! one that was set for 8 s would fire 8 s of *waking* time later. [`SystemClock`] therefore
//! sleeps in slices of at most [`LONGEST_SLICE`] and reads the clock after each: after a resume it
//! is late by one slice at most. That delays only *being told*; [`Clock::mono`] is right at once.
//! A timerfd on `CLOCK_BOOTTIME` would not be late at all, at the price of one file descriptor for
//! each election and sleep; processes with a thousand locks do exist.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tenure_core::{Instant, MicroTime, Now};

/// The longest stretch that [`SystemClock`] sleeps without looking at the clock.
pub const LONGEST_SLICE: Duration = Duration::from_secs(2);

/// A future that [`Clock::sleep_until`] returns.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock that many share.
pub type SharedClock = Arc<dyn Clock>;

/// What an election learns about time.
///
/// Everything in one process that compares readings must read one and the same clock.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The clock that leadership is judged by. It never goes back and counts time asleep (rule
    /// L4). It is read by every `is_leading`, so it neither allocates nor locks.
    fn mono(&self) -> Instant;

    /// The clock on the wall, in UTC. Nothing waits by it (rule L2).
    fn wall(&self) -> MicroTime;

    /// Ends when [`mono`](Self::mono) has reached `until`, never before; at once if it has.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping it is all there is to it.
    fn sleep_until(&self, until: Instant) -> Sleep;

    /// Both clocks, the one that validity counts from first (rule L1).
    fn now(&self) -> Now {
        let mono = self.mono();
        let wall = self.wall();
        Now { mono, wall }
    }
}

/// The machine's clock.
pub fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// A clock that follows [`tokio::time`], for tests that pause and advance it.
pub fn tokio_clock() -> SharedClock {
    Arc::new(TokioClock::new())
}

/// The machine's clock. See the [module](self) for which one that is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn mono(&self) -> Instant {
        platform::mono()
    }

    fn wall(&self) -> MicroTime {
        system_wall()
    }

    fn sleep_until(&self, until: Instant) -> Sleep {
        Box::pin(async move {
            loop {
                let now = platform::mono();
                let left = until.since(now);
                if left.is_zero() {
                    return;
                }
                let longest = if left > LONGEST_SLICE {
                    slice_from(now)
                } else {
                    left
                };
                tokio::time::sleep(longest).await;
            }
        })
    }
}

/// Slices end on the clock's even seconds, so that all who sleep in a process look together: one
/// wake-up in two seconds rather than a thousand. Whoever sleeps no longer than one has none.
fn slice_from(now: Instant) -> Duration {
    let slice = u64::try_from(LONGEST_SLICE.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(slice - now.as_nanos() % slice)
}

/// A clock that follows [`tokio::time`]: it stands still while that is paused, and moves when that
/// is advanced. For tests; in production it would stop with the machine (rule L4).
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
    mono: Instant,
    wall: MicroTime,
}

/// Where [`TokioClock::new`] begins: not at zero, so that a test can look back.
const TEST_MONO: Instant = Instant::from_nanos(1_000_000_000_000);
/// 2026-01-01T00:00:00Z.
const TEST_WALL: MicroTime = MicroTime::from_micros(1_767_225_600_000_000);

impl TokioClock {
    /// A clock that begins now, at a fixed moment of the year 2026: equal tests write equal times.
    pub fn new() -> Self {
        Self::starting_at(TEST_MONO, TEST_WALL)
    }

    /// A clock that begins now and shows `mono` and `wall`.
    pub fn starting_at(mono: Instant, wall: MicroTime) -> Self {
        Self {
            start: tokio::time::Instant::now(),
            mono,
            wall,
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn mono(&self) -> Instant {
        self.mono.after(self.start.elapsed())
    }

    fn wall(&self) -> MicroTime {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        MicroTime::from_micros(self.wall.as_micros().saturating_add(elapsed))
    }

    fn sleep_until(&self, until: Instant) -> Sleep {
        let clock = *self;
        Box::pin(async move {
            loop {
                let left = until.since(clock.mono());
                if left.is_zero() {
                    return;
                }
                // tokio's timers count whole milliseconds and round up.
                tokio::time::sleep(left).await;
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
fn system_wall() -> MicroTime {
    let since = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
    };
    MicroTime::from_micros(since)
}

#[cfg(unix)]
mod platform {
    use rustix::time::{ClockId, clock_gettime};
    use tenure_core::Instant;

    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "openbsd",
        target_os = "fuchsia"
    ))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_os = "openbsd",
        target_os = "fuchsia",
        target_vendor = "apple"
    )))]
    compile_error!("no clock is known here that goes on while the machine sleeps (rule L4)");

    pub(super) fn mono() -> Instant {
        let time = clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

#[cfg(windows)]
mod platform {
    use std::sync::OnceLock;

    use tenure_core::Instant;

    /// `std`'s clock is the performance counter here, which counts time asleep.
    #[expect(clippy::disallowed_types, reason = "this is the clock module")]
    pub(super) fn mono() -> Instant {
        static START: OnceLock<std::time::Instant> = OnceLock::new();
        let elapsed = START.get_or_init(std::time::Instant::now).elapsed();
        Instant::from_nanos(1).after(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_moves_forward() {
        let clock = SystemClock;
        let first = clock.mono();
        while clock.mono() == first {
            std::hint::spin_loop();
        }
        assert!(clock.mono() > first);
        assert!(clock.wall().as_micros() > TEST_WALL.as_micros());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn l4_the_machines_clock_is_the_time_since_boot() {
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        // /proc/uptime is CLOCK_BOOTTIME in hundredths, cut off.
        let before = uptime();
        let read = Duration::from_nanos(SystemClock.mono().as_nanos()).as_secs_f64();
        let after = uptime();
        assert!(
            before <= read && read < after + 0.01,
            "{before} {read} {after}"
        );
    }

    #[tokio::test]
    async fn a_sleep_on_the_machines_clock_ends_at_its_moment_and_not_before() {
        let clock = system_clock();
        let until = clock.mono().after(Duration::from_millis(20));
        clock.sleep_until(until).await;
        assert!(clock.mono() >= until);
        clock.sleep_until(until).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_moves_only_with_tokios_time() {
        let clock = tokio_clock();
        let (mono, wall) = (clock.mono(), clock.wall());
        assert_eq!(clock.now(), Now { mono, wall });
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.mono().since(mono), Duration::from_millis(1500));
        assert_eq!(clock.wall().as_micros() - wall.as_micros(), 1_500_000);
        let until = clock.mono().after(Duration::from_micros(10_700));
        clock.sleep_until(until).await;
        assert!(clock.mono() >= until);
    }
}

//! The clock of one process: tokio's paused time is what its timers go by, and an offset over it is
//! what leadership is judged by, which goes on in a suspend (L4).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    task::Context,
    time::Duration,
};

use futures::{FutureExt, task::noop_waker_ref};
use tenure::{
    Instant,
    clock::{Clock, LONGEST_SLICE, Sleep},
};
use tenure_core::MicroTime;

use crate::clock::Nanos;

/// The clock that a process's library reads.
#[derive(Debug)]
pub(super) struct SimClock {
    /// When its runtime began.
    start: tokio::time::Instant,
    /// What the clock shows when the runtime's time is at its start.
    base: AtomicU64,
    /// Microseconds from a reading to the wall clock.
    wall: AtomicI64,
    /// What it shows to somebody who asks about another moment; 0 is nothing.
    pretended: AtomicU64,
    /// How many readings until the process stops within one; 0 is never.
    countdown: AtomicU32,
    /// For how long it then stops.
    stops_for: AtomicU64,
    /// It goes on by then at the latest.
    goes_on: AtomicU64,
    stopped: Mutex<Vec<Stop>>,
    /// How often it has stopped.
    stops: AtomicU32,
    /// How often the library has asked since it was let run.
    asked: AtomicU32,
    timers: Mutex<Timers>,
}

/// So often the library asks for the time within one stretch, and no more.
const MOST_READINGS: u32 = 200_000;

/// A stretch in which the process stood still in the middle of what it was doing, by its readings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) from: Instant,
    pub(super) to: Instant,
    /// Before the first byte of a request.
    pub(super) before_send: bool,
}

/// When something is due, in nanoseconds of the runtime's time.
#[derive(Debug, Default)]
struct Timers {
    next: u64,
    due: Vec<(u64, u64)>,
}

impl SimClock {
    /// Must be called inside the process's runtime.
    pub(super) fn new(reading: Instant) -> Self {
        Self {
            start: tokio::time::Instant::now(),
            base: AtomicU64::new(reading.as_nanos()),
            wall: AtomicI64::new(0),
            pretended: AtomicU64::new(0),
            countdown: AtomicU32::new(0),
            stops_for: AtomicU64::new(0),
            goes_on: AtomicU64::new(u64::MAX),
            stopped: Mutex::default(),
            stops: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            timers: Mutex::default(),
        }
    }

    /// The moment of the runtime's time at which the clock shows `reading`.
    pub(super) fn moment(&self, reading: Instant) -> tokio::time::Instant {
        self.start + Duration::from_nanos(reading.as_nanos().saturating_sub(self.base()))
    }

    /// The machine slept for so long: its timers did not notice.
    pub(super) fn slept(&self, nanos: u64) {
        self.base.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What is to be added to a reading, in microseconds, for the wall clock.
    pub(super) fn set_wall(&self, offset: i64) {
        self.wall.store(offset, Ordering::Relaxed);
    }

    /// The reading at which the wall clock shows that, as it is set now.
    pub(super) fn shows_wall(&self, micros: i64) -> Instant {
        let since = micros.saturating_sub(self.wall.load(Ordering::Relaxed));
        Instant::from_nanos(u64::try_from(since).unwrap_or(0).saturating_mul(1000))
    }

    /// Show `reading` to what `look` asks.
    pub(super) fn pretending<T>(&self, reading: Instant, look: impl FnOnce() -> T) -> T {
        let before = self.pretended.swap(reading.as_nanos(), Ordering::Relaxed);
        let seen = look();
        self.pretended.store(before, Ordering::Relaxed);
        seen
    }

    /// From now on it shows `reading` to everybody: the runtime is about to end.
    pub(super) fn pretend(&self, reading: Instant) {
        self.pretended
            .store(reading.as_nanos().max(1), Ordering::Relaxed);
    }

    /// The process stops for so long, at the `readings`-th reading of its clock from now on.
    pub(super) fn stop_at(&self, readings: u32, nanos: Nanos) {
        self.stops_for.store(nanos, Ordering::Relaxed);
        self.countdown.store(readings.max(1), Ordering::Relaxed);
    }

    /// It does not stop any more by itself. Whether it would have.
    pub(super) fn unstop(&self) -> bool {
        self.countdown.swap(0, Ordering::Relaxed) > 0
    }

    /// Where it has stopped since this was asked last.
    pub(super) fn take_stops(&self) -> Vec<Stop> {
        std::mem::take(&mut *lock(&self.stopped))
    }

    /// Whatever stops it, it goes on at that reading.
    pub(super) fn goes_on_at(&self, reading: Instant) {
        self.goes_on.store(reading.as_nanos(), Ordering::Relaxed);
    }

    /// Stand still for `nanos` of the clock, here and now. Inside the runtime.
    pub(super) fn jump(&self, nanos: Nanos, before_send: bool) {
        let from = self.reading();
        let most = self.goes_on.load(Ordering::Relaxed);
        let nanos = nanos.min(most.saturating_sub(from.as_nanos()));
        if nanos == 0 {
            return;
        }
        // The time moves on in the first poll; what follows would only yield.
        let mut moving = Box::pin(tokio::time::advance(Duration::from_nanos(nanos)));
        let _ = moving.poll_unpin(&mut Context::from_waker(noop_waker_ref()));
        let to = self.reading();
        self.stops.fetch_add(1, Ordering::Relaxed);
        lock(&self.stopped).push(Stop {
            from,
            to,
            before_send,
        });
    }

    /// It is let run.
    pub(super) fn runs(&self) {
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Whoever asks on and on, and lets nobody else run, would hang here.
    fn is_asked(&self) {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(asked < MOST_READINGS, "it does not come to rest");
    }

    /// How often the process has stopped in the middle of something.
    pub(super) fn stops(&self) -> u32 {
        self.stops.load(Ordering::Relaxed)
    }

    /// What it shows, without being asked by the library.
    pub(super) fn reading(&self) -> Instant {
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX / 4);
        Instant::from_nanos(self.base() + elapsed)
    }

    /// The reading at which the next of the known timers is due, after `reading`.
    pub(super) fn next_due(&self, reading: Instant) -> Option<Instant> {
        let (base, now) = (self.base(), reading.as_nanos());
        let mut timers = lock(&self.timers);
        // Those without an owner are over when they are past.
        timers.due.retain(|(id, due)| *id != 0 || base + *due > now);
        let next = timers.due.iter().map(|(_, due)| *due).min()?;
        // tokio's timers go by whole milliseconds, and fire after their time.
        Some(Instant::from_nanos((base + next).max(now + 1_000_000)))
    }

    /// Something outside of this clock's sight is due after that time.
    pub(super) fn expect(&self, after: Duration) {
        let due = self.start.elapsed() + after;
        let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX / 4);
        lock(&self.timers).due.push((0, due));
    }

    fn base(&self) -> u64 {
        self.base.load(Ordering::Relaxed)
    }

    fn register(self: &Arc<Self>, after: Duration) -> Timer {
        let due = self.start.elapsed() + after;
        let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX / 4);
        let mut timers = lock(&self.timers);
        timers.next += 1;
        let id = timers.next;
        timers.due.push((id, due));
        Timer {
            clock: Arc::clone(self),
            id,
        }
    }

    /// A sleep that the world knows of.
    pub(super) async fn sleep(self: Arc<Self>, until: Instant) {
        loop {
            let left = until.since(self.reading());
            if left.is_zero() {
                return;
            }
            // In slices, as the real clock does it: timers stand still in a suspend.
            let slice = left.min(LONGEST_SLICE);
            let _timer = self.register(slice);
            tokio::time::sleep(slice).await;
        }
    }
}

/// What the library holds.
#[derive(Clone, Debug)]
pub(super) struct LibraryClock(pub(super) Arc<SimClock>);

impl Clock for LibraryClock {
    fn mono(&self) -> Instant {
        let clock = &self.0;
        let pretended = clock.pretended.load(Ordering::Relaxed);
        if pretended > 0 {
            return Instant::from_nanos(pretended);
        }
        clock.is_asked();
        let reading = clock.reading();
        let left = clock.countdown.load(Ordering::Relaxed);
        if left > 0 {
            clock.countdown.store(left - 1, Ordering::Relaxed);
            if left == 1 {
                // It was read, and the process stops before anything is done with it.
                clock.jump(clock.stops_for.load(Ordering::Relaxed), false);
            }
        }
        reading
    }

    fn wall(&self) -> MicroTime {
        let micros = i64::try_from(self.mono().as_nanos() / 1000).unwrap_or(i64::MAX / 4);
        MicroTime::from_micros(micros.saturating_add(self.0.wall.load(Ordering::Relaxed)))
    }

    fn sleep_until(&self, until: Instant) -> Sleep {
        Box::pin(Arc::clone(&self.0).sleep(until))
    }
}

struct Timer {
    clock: Arc<SimClock>,
    id: u64,
}

impl Drop for Timer {
    fn drop(&mut self) {
        lock(&self.clock.timers)
            .due
            .retain(|(id, _)| *id != self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How many calls of a set may be under way at once, so that a thousand renewals do not open a
//! thousand connections.
//!
//! The core takes the time that validity counts from before a call waits here (L1), so waiting only
//! makes validity shorter. The call's limit covers it (L16).

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenure_core::Outcome;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};

/// Places for writes at first: enough where a round trip takes a few milliseconds, and few connections, each of
/// which takes more room than five locks.
const FIRST_WRITES: usize = 16;
/// Reads have places of their own: a thousand of them, after an outage, keep no renewal waiting.
const FIRST_READS: usize = 8;
/// The most there ever are: enough for a thousand renewals every two seconds at a round trip of 100 ms.
const MOST: usize = 64;
/// Who has waited for so long asks for more places, where the server is far. A server that stands still for a
/// moment keeps nobody waiting for as long.
const WAITED: Duration = Duration::from_millis(100);
/// Of a server that is far no answer comes sooner. One that answers in less, if not always, is busy: more calls
/// at once would make it no quicker. At this pace the first places are just enough for a thousand renewals every
/// two seconds.
const FAR: Duration = Duration::from_millis(30);
/// Who waits for so long asks too, if not even each place has had an answer meanwhile: they may be stuck.
const LONG_WAIT: Duration = Duration::from_millis(1500);
/// They are doubled no sooner than so long after the last time.
const GROWS_EVERY: Duration = Duration::from_millis(250);
/// Half of them go when nobody has asked for so long, and so long the quickest answer counts: what is under way
/// at once are connections, and those that find no room among the idle ones are closed, and opened again at the
/// next call.
const CALM: Duration = Duration::from_secs(10);

/// The places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    reads: Arc<Places>,
    writes: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    free: Semaphore,
    least: usize,
    most: usize,
    all: Mutex<All>,
}

#[derive(Debug)]
struct All {
    count: usize,
    /// When it was changed last.
    since: Instant,
    /// When somebody asked for more last.
    asked: Instant,
    answers: usize,
    quickest: Quickest,
}

/// The quickest answer of late: how far away the server is, however busy.
#[derive(Debug)]
struct Quickest {
    since: Instant,
    before: Duration,
    lately: Duration,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            reads: Arc::new(Places::new(FIRST_READS, MOST)),
            writes: Arc::new(Places::new(FIRST_WRITES, MOST)),
        }
    }

    /// Make the call once there is a place, within what then is left of `limit`.
    pub(crate) async fn pass<T, F>(
        self,
        write: bool,
        limit: Duration,
        call: impl FnOnce(Duration) -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let came = Instant::now();
        let until = came + limit;
        let places = if write { &self.writes } else { &self.reads };
        let place = match places.free.try_acquire() {
            // Nearly always.
            Ok(place) => Ok(Some(place)),
            // Boxed: a call that need not wait is smaller for it.
            Err(_) => Box::pin(timeout_at(until, places.wait())).await,
        };
        match place {
            Ok(place) => {
                let began = Instant::now();
                let outcome = call(until.saturating_duration_since(began)).await;
                let ended = Instant::now();
                drop(place);
                places.answered(began - came, ended - began, ended);
                outcome
            }
            // It never left.
            Err(_) => Outcome::Refused(
                format!(
                    "not sent: {} other calls of the same set were under way for {limit:?}; the API \
                     server is slow, or the set is too large for its retry period",
                    places.count()
                )
                .into(),
            ),
        }
    }
}

impl Places {
    fn new(least: usize, most: usize) -> Self {
        let now = Instant::now();
        Self {
            free: Semaphore::new(least),
            least,
            most,
            all: Mutex::new(All {
                count: least,
                since: now,
                asked: now,
                answers: 0,
                quickest: Quickest {
                    since: now,
                    before: Duration::MAX,
                    lately: Duration::MAX,
                },
            }),
        }
    }

    /// In the order of those who ask.
    async fn wait(&self) -> Option<SemaphorePermit<'_>> {
        let place = self.free.acquire();
        tokio::pin!(place);
        loop {
            let before = self.all().answers;
            tokio::select! {
                biased;
                // It is never closed.
                place = &mut place => return place.ok(),
                () = sleep(LONG_WAIT) => {
                    let mut all = self.all();
                    if all.answers.wrapping_sub(before) < all.count {
                        self.grow(&mut all, Instant::now());
                    }
                }
            }
        }
    }

    /// There is an answer, `took` after its call, which had waited before.
    fn answered(&self, waited: Duration, took: Duration, now: Instant) {
        let mut all = self.all();
        all.answers = all.answers.wrapping_add(1);
        let far = all.quickest.with(took, now) >= FAR;
        if far && waited >= WAITED {
            self.grow(&mut all, now);
        } else {
            self.calm_down(&mut all, now);
        }
    }

    /// Twice as many, unless it was just so, up to the most.
    fn grow(&self, all: &mut All, now: Instant) {
        all.asked = now;
        let more = all.count.min(self.most - all.count);
        if more > 0 && now - all.since >= GROWS_EVERY {
            self.free.add_permits(more);
            all.count += more;
            all.since = now;
        }
    }

    /// Half as many, where nobody has asked for more of late, down to the least; of those that are free.
    fn calm_down(&self, all: &mut All, now: Instant) {
        let spare = (all.count - self.least).min(all.count / 2);
        if spare > 0 && now - all.since.max(all.asked) >= CALM {
            all.count -= self.free.forget_permits(spare);
            all.since = now;
        }
    }

    fn count(&self) -> usize {
        self.all().count
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quickest {
    /// How long the quickest took, this one among them.
    fn with(&mut self, took: Duration, now: Instant) -> Duration {
        if now - self.since >= CALM {
            self.since = now;
            self.before = std::mem::replace(&mut self.lately, Duration::MAX);
        }
        self.lately = self.lately.min(took);
        self.lately.min(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    async fn all_of(places: &Places) -> SemaphorePermit<'_> {
        let all = u32::try_from(places.count()).unwrap();
        places.free.acquire_many(all).await.unwrap()
    }

    /// The most calls under way at once of a thousand that take so long, and how long all took.
    async fn thousand(write: bool, takes: Duration) -> (usize, Duration) {
        let (gate, counts) = (Gate::new(), Mutex::new((0_usize, 0_usize)));
        let began = Instant::now();
        let one = || {
            gate.clone()
                .pass(write, Duration::from_secs(60), |_| async {
                    {
                        let mut counts = counts.lock().unwrap();
                        counts.0 += 1;
                        counts.1 = counts.1.max(counts.0);
                    }
                    sleep(takes).await;
                    counts.lock().unwrap().0 -= 1;
                    Outcome::Done(())
                })
        };
        futures::future::join_all((0..1000).map(|_| one())).await;
        let most = counts.lock().unwrap().1;
        (most, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_at_a_quick_server_opens_few_connections_and_at_a_slow_one_more() {
        for (write, first) in [(true, FIRST_WRITES), (false, FIRST_READS)] {
            let (most, _) = thousand(write, Duration::from_millis(5)).await;
            assert_eq!(most, first);
            let (most, took) = thousand(write, Duration::from_millis(100)).await;
            assert_eq!(most, MOST);
            assert!(took < Duration::from_millis(2500), "{took:?}");
        }
    }

    /// Renewals of a thousand locks, one every two milliseconds, for so long. The calls that begin before
    /// `slow` take a second, the others five milliseconds.
    async fn renewals(gate: &Gate, seconds: u64, slow: Duration) {
        let began = Instant::now();
        let one = |number: u64| {
            let gate = gate.clone();
            async move {
                sleep(Duration::from_millis(2 * number)).await;
                let call = |_| async {
                    let takes = if began.elapsed() < slow { 1000 } else { 5 };
                    sleep(Duration::from_millis(takes)).await;
                    Outcome::Done(())
                };
                gate.pass(true, Duration::from_secs(60), call).await
            }
        };
        futures::future::join_all((0..seconds * 500).map(one)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_slow_server_asked_for_is_given_back_when_it_is_quick_again() {
        let gate = Gate::new();
        renewals(&gate, 6, Duration::from_secs(4)).await;
        assert_eq!(gate.writes.count(), MOST);
        renewals(&gate, 40, Duration::ZERO).await;
        assert_eq!(gate.writes.count(), FIRST_WRITES);
        assert_eq!(gate.writes.free.available_permits(), FIRST_WRITES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_busy_is_asked_no_more_at_once() {
        let (gate, server) = (Gate::new(), Semaphore::new(1));
        let one = || {
            gate.clone().pass(true, Duration::from_secs(60), |_| async {
                let _turn = server.acquire().await;
                sleep(Duration::from_millis(4)).await;
                Outcome::Done(())
            })
        };
        futures::future::join_all((0..1000).map(|_| one())).await;
        assert_eq!(gate.writes.count(), FIRST_WRITES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_far_from_now_on_is_known_to_be_by_and_by() {
        let gate = Gate::new();
        for far in [false, true] {
            let takes = if far { FAR * 2 } else { FAR / 10 };
            let until = Instant::now() + CALM * 3;
            while Instant::now() < until {
                let one = |_| async {
                    sleep(takes).await;
                    Outcome::Done(())
                };
                let all = (0..80).map(|_| gate.clone().pass(true, LIMIT, one));
                futures::future::join_all(all).await;
            }
            let more = gate.writes.count() > FIRST_WRITES;
            assert_eq!(more, far);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stands_still_for_a_moment_is_no_slow_one() {
        let gate = Gate::new();
        for _ in 0..20 {
            let stall = Instant::now() + Duration::from_millis(60);
            let all = (0..40).map(|_| {
                gate.clone().pass(true, LIMIT, |_| async {
                    tokio::time::sleep_until(stall.max(Instant::now() + FAR / 10)).await;
                    Outcome::Done(())
                })
            });
            futures::future::join_all(all).await;
            assert_eq!(gate.writes.count(), FIRST_WRITES);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_are_stuck_do_not_keep_the_others_waiting_for_ever() {
        let gate = Gate::new();
        let _stuck = all_of(&gate.writes).await;
        let began = Instant::now();
        let call = gate
            .clone()
            .pass(true, LIMIT, |_| async { Outcome::Done(()) });
        assert!(matches!(call.await, Outcome::Done(())));
        assert_eq!(began.elapsed(), LONG_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn l16_waiting_for_a_place_is_part_of_the_calls_limit() {
        let gate = Gate::new();
        let held = all_of(&gate.writes).await;
        let began = Instant::now();
        let call = gate.clone().pass(true, LIMIT, |left| async move {
            assert_eq!(left, Duration::from_millis(600));
            Outcome::Done(())
        });
        let freed = async {
            sleep(Duration::from_millis(1400)).await;
            drop(held);
        };
        let (outcome, ()) = tokio::join!(call, freed);
        assert!(matches!(outcome, Outcome::Done(())));
        assert_eq!(began.elapsed(), Duration::from_millis(1400));
    }

    #[tokio::test(start_paused = true)]
    async fn l6_a_call_that_found_no_place_was_certainly_not_made() {
        let gate = Gate::new();
        while gate.writes.count() < MOST {
            sleep(GROWS_EVERY).await;
            gate.writes.grow(&mut gate.writes.all(), Instant::now());
        }
        let _held = all_of(&gate.writes).await;
        let call = gate.clone().pass(true, LIMIT, |_| async {
            panic!("there was no place");
            #[allow(unreachable_code)]
            Outcome::Done(())
        });
        let Outcome::Refused(text) = call.await else {
            panic!("not refused")
        };
        assert!(text.contains("not sent"), "{text}");
        let read = gate
            .clone()
            .pass(false, LIMIT, |_| async { Outcome::Done(5) });
        assert!(matches!(read.await, Outcome::Done(5)), "reads go on");
    }
}

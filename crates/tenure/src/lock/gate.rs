//! How many calls of a set may be under way at once, so that a thousand renewals do not open a
//! thousand connections; and whose turn it is, where there are more.
//!
//! The core takes the time that validity counts from before a call waits here (L1), so waiting only
//! makes validity shorter. The call's limit covers it (L16).
//!
//! At a server that is too slow for all of them, two things must not happen. Calls that begin too late are given
//! up, which costs a connection each, and the server what it has done for them: so nobody waits to the last. And of
//! many who try again some would never get a place: so whoever has been without an answer for longest goes first.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenure_core::Outcome;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};

/// Places for writes at first: enough where a round trip takes a few milliseconds, and few connections, each of
/// which takes more room than five locks.
const FIRST_WRITES: usize = 16;
/// Reads have places of their own: a thousand of them, after an outage, keep no renewal waiting.
const FIRST_READS: usize = 8;
/// The most there ever are: enough for a thousand renewals every two seconds at a round trip of 100 ms.
pub(crate) const MOST: usize = 64;
/// The fewest, where calls are not answered within their limit.
const FEWEST: usize = 4;
/// An eighth of a call's limit is for the call itself, however long it had to wait.
const FOR_THE_CALL: u32 = 8;
/// Who has waited for so long asks for more places, where the server is far. A server that stands still for a
/// moment keeps nobody waiting for as long.
const WAITED: Duration = Duration::from_millis(100);
/// Of a server that is far no answer comes sooner. One that answers in less, if not always, is busy: more calls
/// at once would make it no quicker. At this pace the first places are just enough for a thousand renewals every
/// two seconds.
const FAR: Duration = Duration::from_millis(30);
/// Who waits for so long asks too, if not even each place has had an answer meanwhile: they may be stuck.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// They are doubled or halved no sooner than so long after the last time.
const CHANGES_EVERY: Duration = Duration::from_millis(250);
/// Half of them go when nobody has asked for so long, and so long the quickest answer counts: what is under way
/// at once are connections.
const CALM: Duration = Duration::from_secs(10);

/// The places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    reads: Arc<Places>,
    writes: Arc<Places>,
}

/// One lock's claim to a place: the longer it has had no answer, the sooner it is its turn.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    since: Option<Instant>,
}

#[derive(Debug)]
struct Places {
    first: usize,
    all: Mutex<All>,
}

#[derive(Debug)]
struct All {
    /// How many there are; more than those may be taken where there were more of late.
    count: usize,
    taken: usize,
    /// By their claims, and the order in which they came.
    waiting: BTreeMap<(Instant, u64), oneshot::Sender<()>>,
    came: u64,
    /// When their number was changed last.
    since: Instant,
    /// When somebody asked for more last.
    asked: Instant,
    /// When a call was given up at its limit.
    given_up: Option<Instant>,
    answers: usize,
    quickest: Quickest,
}

/// A place that is taken.
struct Place<'a>(&'a Places);

/// Somebody who waits for one.
struct Waiting<'a> {
    places: &'a Places,
    key: (Instant, u64),
    turn: oneshot::Receiver<()>,
    over: bool,
}

/// The quickest answer of late: how far away the server is, however busy.
#[derive(Debug)]
struct Quickest {
    since: Instant,
    before: Duration,
    lately: Duration,
}

impl Claim {
    /// Since when: from now on, unless it was laid before.
    pub(crate) fn lay(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now)
    }

    /// There was an answer.
    pub(crate) fn met(&mut self) {
        self.since = None;
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            reads: Arc::new(Places::new(FIRST_READS)),
            writes: Arc::new(Places::new(FIRST_WRITES)),
        }
    }

    /// Make the call once there is a place, within what then is left of `limit`. Of those who wait, the one
    /// with the oldest claim is next.
    pub(crate) async fn pass<T, F>(
        self,
        write: bool,
        claim: Instant,
        limit: Duration,
        call: impl FnOnce(Duration) -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let came = Instant::now();
        let until = came + limit;
        let places = if write { &self.writes } else { &self.reads };
        let place = if let Some(place) = places.take() {
            // Nearly always.
            Ok(place)
        } else {
            let no_longer = until - limit / FOR_THE_CALL;
            // Boxed: a call that need not wait is smaller for it.
            Box::pin(timeout_at(no_longer, places.wait(claim))).await
        };
        match place {
            Ok(place) => {
                let began = Instant::now();
                let outcome = call(until.saturating_duration_since(began)).await;
                let ended = Instant::now();
                drop(place);
                if ended >= until && matches!(outcome, Outcome::Unknown(_)) {
                    places.given_up(ended);
                } else {
                    places.answered(began - came, ended - began, ended);
                }
                outcome
            }
            // It never left.
            Err(_) => Outcome::Refused(
                format!(
                    "not sent: {} other calls of the same set were under way for {:?}; the API server is slow, \
                     or the set is too large for its retry period",
                    places.all().count,
                    came.elapsed()
                )
                .into(),
            ),
        }
    }
}

impl Places {
    fn new(first: usize) -> Self {
        let now = Instant::now();
        Self {
            first,
            all: Mutex::new(All {
                count: first,
                taken: 0,
                waiting: BTreeMap::new(),
                came: 0,
                since: now,
                asked: now,
                given_up: None,
                answers: 0,
                quickest: Quickest {
                    since: now,
                    before: Duration::MAX,
                    lately: Duration::MAX,
                },
            }),
        }
    }

    /// One that is free. Nobody waits where there is one.
    fn take(&self) -> Option<Place<'_>> {
        let mut all = self.all();
        let free = all.taken < all.count;
        all.taken += usize::from(free);
        free.then(|| Place(self))
    }

    async fn wait(&self, claim: Instant) -> Place<'_> {
        let mut waiting = self.queue(claim);
        loop {
            let before = self.all().answers;
            tokio::select! {
                biased;
                _ = &mut waiting.turn => {
                    waiting.over = true;
                    return Place(self);
                }
                () = sleep(LONG_WAIT) => {
                    let mut all = self.all();
                    if all.answers.wrapping_sub(before) < all.count {
                        all.grow(Instant::now());
                    }
                }
            }
        }
    }

    fn queue(&self, claim: Instant) -> Waiting<'_> {
        let (next, turn) = oneshot::channel();
        let mut all = self.all();
        all.came += 1;
        let key = (claim, all.came);
        all.waiting.insert(key, next);
        // One may have become free since.
        all.admit();
        drop(all);
        Waiting {
            places: self,
            key,
            turn,
            over: false,
        }
    }

    /// There is an answer, `took` after its call, which had waited before.
    fn answered(&self, waited: Duration, took: Duration, now: Instant) {
        let mut all = self.all();
        all.answers = all.answers.wrapping_add(1);
        let far = all.quickest.with(took, now) >= FAR;
        if far && waited >= WAITED {
            all.grow(now);
        } else if all.count != self.first && all.calm(now) {
            let back = if all.count < self.first {
                self.first.min(all.count * 2)
            } else {
                self.first.max(all.count / 2)
            };
            all.change(back, now);
        }
    }

    /// A call was given up at its limit: as many at once are too many for this server.
    fn given_up(&self, now: Instant) {
        let mut all = self.all();
        all.given_up = Some(now);
        if now - all.since >= CHANGES_EVERY {
            let fewer = FEWEST.max(all.count / 2);
            all.change(fewer, now);
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    /// Twice as many, up to the most, unless it was just changed, or a call was given up of late.
    fn grow(&mut self, now: Instant) {
        self.asked = now;
        let trouble = self.given_up.is_some_and(|then| now - then < CALM);
        if !trouble && now - self.since >= CHANGES_EVERY {
            self.change(MOST.min(self.count * 2), now);
        }
    }

    fn change(&mut self, count: usize, now: Instant) {
        self.count = count;
        self.since = now;
        self.admit();
    }

    /// For some time nobody has asked for more, nothing was given up, and nothing was changed.
    fn calm(&self, now: Instant) -> bool {
        let last = self.since.max(self.asked);
        now - self.given_up.map_or(last, |then| last.max(then)) >= CALM
    }

    /// Give what is free to those who wait.
    fn admit(&mut self) {
        while self.taken < self.count
            && let Some((_, next)) = self.waiting.pop_first()
        {
            // Whoever is gone has taken himself out.
            self.taken += usize::from(next.send(()).is_ok());
        }
    }

    fn give_back(&mut self) {
        self.taken -= 1;
        self.admit();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.all().give_back();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut all = self.places.all();
        if all.waiting.remove(&self.key).is_none() {
            // It was given one just now.
            all.give_back();
        }
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
mod tests;

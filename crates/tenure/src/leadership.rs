//! The value that stands for leadership, and the cheap questions that can be asked of it.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tenure_core::{Belief, Identity, Instant, InvalidIdentity, LossReason, ResourceVersion};
use tokio_util::sync::CancellationToken;

use crate::{
    candidacy::Candidacy,
    clock,
    orders::{Order, Orders, WeakOrders},
    published::Term,
};

/// Leadership, from [`LeaderElection::acquire`](crate::LeaderElection::acquire) on.
///
/// It is held, not assumed: ask [`is_leading`](LeadershipHandle::is_leading) before every step
/// that only a leader may take, and end the work when [`lost`](LeadershipHandle::lost) resolves.
/// All questions are those of [`LeadershipHandle`], which this dereferences to and which can be
/// cloned.
///
/// End it with [`release`](Self::release), **after** the work has ended (rule L10). Dropping it
/// tells `lost`, stops renewing and does no I/O: the next leader has to wait until the Lease runs
/// out (for leader for life: until this process or its Pod is gone). A drop cannot know whether
/// the work has ended, so it never releases, unless
/// [`release_on_drop`](crate::Builder::release_on_drop) says so.
#[must_use = "leadership ends when this is dropped"]
pub struct Leadership {
    handle: LeadershipHandle,
    orders: Option<Orders>,
    release_on_drop: bool,
}

/// What became of the lock of a leadership that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Released {
    /// It is free: another candidate can lead at once.
    Free,
    /// It was left as it is, as the settings say.
    Kept,
    /// It could not be freed, for this reason; it frees itself as after a crash.
    Failed(Arc<str>),
    /// Leadership was lost before, or the election has ended: there was nothing to give up.
    Lost,
}

/// What can be asked of a term of leadership. Cheap to clone; it keeps nobody in office.
#[derive(Clone)]
pub struct LeadershipHandle {
    term: Arc<Term>,
    /// Weak: asking about a term must not keep its election alive.
    orders: Option<WeakOrders>,
}

impl Leadership {
    pub(crate) fn new(term: Arc<Term>, orders: Orders, release_on_drop: bool) -> Self {
        let handle = LeadershipHandle {
            term,
            orders: Some(orders.downgrade()),
        };
        Self {
            handle,
            orders: Some(orders),
            release_on_drop,
        }
    }

    /// A leadership for people's own tests, without a cluster: it leads until it is dropped or
    /// its [`step_down`](LeadershipHandle::step_down) is called. Its token is `1`.
    pub fn for_tests() -> Self {
        Self::for_tests_until(None)
    }

    /// As [`for_tests`](Self::for_tests), and it stops leading by itself `after` that time of
    /// tokio's clock, which tests can pause and advance.
    pub fn for_tests_until(after: Option<Duration>) -> Self {
        let clock = clock::tokio_clock();
        let until = after.map(|after| clock.mono().after(after));
        let belief = Belief {
            term: 1,
            token: ResourceVersion::new("1"),
            valid_until: until,
        };
        let candidacy = Candidacy::new("test", "", "test", clock.clone());
        let term = Arc::new(Term::new(&belief, candidacy));
        if let Some(until) = until {
            let term = Arc::downgrade(&term);
            tokio::spawn(async move {
                clock.sleep_until(until).await;
                if let Some(term) = term.upgrade() {
                    term.end_belief();
                    term.tell(LossReason::Expired, until);
                }
            });
        }
        Self {
            handle: LeadershipHandle { term, orders: None },
            orders: None,
            release_on_drop: false,
        }
    }

    /// A handle that can be cloned and handed to the work.
    pub fn handle(&self) -> LeadershipHandle {
        self.handle.clone()
    }

    /// Give the lock up, so that another candidate can lead at once. Call it when the work has
    /// ended: belief ends here, before the first byte of the release is sent (rule L10).
    ///
    /// Resolves when the release was answered or given up, with what became of the lock. A release
    /// that fails needs nothing more: the lock then frees itself as after a crash.
    ///
    /// # Cancel safety
    /// The release is ordered by the call itself; a dropped future only stops waiting for it.
    #[allow(
        clippy::manual_async_fn,
        reason = "the order is given by the call, not by the first poll"
    )]
    pub fn release(mut self) -> impl Future<Output = Released> + Send + 'static {
        let term = Arc::clone(&self.handle.term);
        let driven = self.end(true);
        async move {
            if driven {
                term.released().await
            } else {
                Released::Lost
            }
        }
    }

    /// The lock is left as it is for its own time to run out. Belief ends here.
    pub fn abandon(mut self) {
        self.end(false);
    }

    fn end(&mut self, release: bool) -> bool {
        let term = &self.handle.term;
        term.end_belief();
        let reason = if release {
            LossReason::SteppedDown
        } else {
            LossReason::Abandoned
        };
        term.tell(reason, term.clock().mono());
        match self.orders.take() {
            Some(orders) => orders.give(Order::WorkEnded {
                term: Arc::clone(term),
                release,
            }),
            None => false,
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if self.orders.is_some() {
            self.end(self.release_on_drop);
        } else {
            self.handle.term.end_belief();
            self.handle.term.told().cancel();
        }
    }
}

impl std::ops::Deref for Leadership {
    type Target = LeadershipHandle;

    fn deref(&self) -> &LeadershipHandle {
        &self.handle
    }
}

impl LeadershipHandle {
    /// Whether this process may act as the leader now: one reading of the clock, and no lock, no
    /// allocation and no await (rules L1, L4, L9).
    ///
    /// `true` is a statement about the moment of the reading. A process that is frozen between
    /// this answer and its next write is what the [`token`](Self::token) is for.
    #[inline]
    pub fn is_leading(&self) -> bool {
        self.term.is_leading()
    }

    /// The first moment at which this process leads no more unless a renewal succeeds, on the
    /// clock that [`tenure::now`](crate::now) reads. `None` for leader for life, whose leadership
    /// no time ends.
    pub fn valid_until(&self) -> Option<Instant> {
        self.term.valid_until()
    }

    /// The time left until [`valid_until`](Self::valid_until).
    pub fn remaining(&self) -> Option<Duration> {
        self.valid_until()
            .map(|until| until.since(self.term.clock().mono()))
    }

    /// The fencing token: the resourceVersion of the write that acquired the lock (rule L19). It
    /// grows from term to term of one lock; a store that refuses older ones is safe from a leader
    /// that does not know yet that it is none.
    pub fn token(&self) -> &ResourceVersion {
        &self.term.token
    }

    /// The number of this term, for people: `leaseTransitions` (rule L18). Zero for leader for
    /// life, which has none.
    pub fn term(&self) -> u64 {
        self.term.number
    }

    /// The name of the lock.
    pub fn lock(&self) -> &str {
        &self.term.candidacy.lock
    }

    /// What this process wrote as the holder.
    pub fn identity(&self) -> &str {
        &self.term.candidacy.identity
    }

    /// Resolves when the work has to end: leadership is lost, or is about to run out, or somebody
    /// asked to [step down](Self::step_down). Until [`stop_by`](Self::stop_by) the work may finish
    /// what it is doing; [`is_leading`](Self::is_leading) keeps telling the truth meanwhile.
    ///
    /// The future borrows nothing, is `Send + Sync` and can be cloned by calling this again.
    ///
    /// # Cancel safety
    /// Cancel safe: what was told once is told to every later caller too.
    pub fn lost(&self) -> Lost {
        let term = Arc::clone(&self.term);
        let token = term.told().clone();
        Lost {
            term,
            waiting: Box::pin(token.cancelled_owned()),
        }
    }

    /// When the work must have ended, once it was told.
    pub fn stop_by(&self) -> Option<Instant> {
        self.term.stop_by()
    }

    /// Why leadership ended or is about to, once it was told.
    pub fn lost_reason(&self) -> Option<LossReason> {
        self.term.told().is_cancelled().then(|| self.term.reason())
    }

    /// A token that is cancelled when [`lost`](Self::lost) resolves, for everything that takes
    /// one. It is a child: cancelling it ends only what hangs on it.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.term.told().child_token()
    }

    /// Ask the work to end and the lock to be released after it. The work is told by
    /// [`lost`](Self::lost); whoever holds the [`Leadership`] releases it, as `run_as_leader`
    /// does.
    pub fn step_down(&self) {
        self.ask_to_end(None);
    }

    /// As [`step_down`](Self::step_down), and the release names who goes first: a candidate's
    /// identity, or the name or the uid of its Pod (rule L22). The named one takes the Lease at once;
    /// other candidates of ours wait a second for it (a tenth of D, where that is less), and then
    /// it is anybody's. Those that are not ours do not know of it.
    ///
    /// Nobody is asked whether it is there: a name that no candidate answers to costs that wait. Of
    /// several calls during one term the last counts, as long as the release has not been sent. On
    /// the locks for life it is [`step_down`](Self::step_down): they are deleted, and name nobody.
    ///
    /// # Errors
    /// If no candidate can have that name: it is empty, longer than an identity may be, or has
    /// control characters in it. Nothing is asked of anybody then.
    pub fn hand_over_to(&self, candidate: &str) -> Result<(), InvalidIdentity> {
        let candidate = Identity::fixed(candidate)?;
        self.ask_to_end(Some(candidate.as_str().into()));
        Ok(())
    }

    fn ask_to_end(&self, to: Option<Arc<str>>) {
        let term = Arc::clone(&self.term);
        match &self.orders {
            Some(orders) => {
                if let Some(orders) = orders.upgrade() {
                    let term = Some(term);
                    orders.give(Order::StepDown { term, to });
                }
            }
            None => term.tell(LossReason::SteppedDown, term.clock().mono()),
        }
    }

    pub(crate) async fn grace_over(&self) {
        let clock = self.term.clock();
        let by = self.stop_by().unwrap_or_else(|| clock.mono());
        clock.sleep_until(by).await;
    }
}

/// Resolves, with the reason, when the work has to end. See [`LeadershipHandle::lost`].
pub struct Lost {
    term: Arc<Term>,
    waiting: std::pin::Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
}

impl Clone for Lost {
    fn clone(&self) -> Self {
        let term = Arc::clone(&self.term);
        let token = term.told().clone();
        Self {
            term,
            waiting: Box::pin(token.cancelled_owned()),
        }
    }
}

impl Future for Lost {
    type Output = LossReason;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<LossReason> {
        self.waiting.as_mut().poll(cx).map(|()| self.term.reason())
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl fmt::Debug for LeadershipHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("lock", &self.lock())
            .field("term", &self.term.number)
            .field("token", &self.term.token.as_str())
            .field("is_leading", &self.is_leading())
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn send_sync<T: Send + Sync + 'static>() {}
    send_sync::<Leadership>();
    send_sync::<LeadershipHandle>();
    send_sync::<Lost>();
};

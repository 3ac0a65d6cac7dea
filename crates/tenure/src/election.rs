//! An election: the builder, the ways to lead, and what can be seen from outside.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Weak},
    time::Duration,
};

use futures::{FutureExt, Stream, stream};
use tenure_core::{Holder, Identity, InvalidIdentity, Status};
use tokio::sync::{broadcast, oneshot, watch};

use crate::{
    candidacy::Candidacy,
    error::ElectionError,
    holders::Holders,
    leadership::{Leadership, LeadershipHandle},
    orders::{Order, Orders},
};

/// One candidate's part in one election. Cheap to clone; the candidate ends with its last clone
/// (and the last [`Leadership`] of it).
///
/// Built by [`lease_lock`](Self::lease_lock), [`config_map_lock`](Self::config_map_lock),
/// [`leader_lock`](Self::leader_lock) or [`always`](Self::always). It outlives any outage of the
/// API server: it keeps trying and says so in its [`status`](Self::status).
#[derive(Clone)]
pub struct LeaderElection {
    orders: Orders,
    status: watch::Receiver<Status>,
    holders: Weak<Holders>,
    candidacy: Arc<Candidacy>,
}

impl LeaderElection {
    pub(crate) fn new(
        orders: Orders,
        status: watch::Receiver<Status>,
        holders: &Arc<Holders>,
        candidacy: Arc<Candidacy>,
    ) -> Self {
        Self {
            orders,
            status,
            holders: Arc::downgrade(holders),
            candidacy,
        }
    }

    /// Wait for leadership, run `work`, and give the lock up when it has ended.
    ///
    /// - `Ok(Some(value))`: the work ended by itself. That includes the grace after it was told
    ///   that leadership is lost: then [`LeadershipHandle::lost_reason`] of the handle it was
    ///   given says so, and what it did after the loss was done by nobody's leader.
    /// - `Ok(None)`: leadership was lost. The work was told first
    ///   ([`LeadershipHandle::lost`]), had until [`LeadershipHandle::stop_by`] to end, and was
    ///   then dropped (rule L10). Stand again by calling this again, or use
    ///   [`run_until_done`](Self::run_until_done).
    ///
    /// # Errors
    /// [`ElectionError::Application`] is the work's own error; the lock was released after it.
    /// [`ElectionError::Ended`]: the election's task is gone. An unreachable or refusing API
    /// server is no error of a running election.
    ///
    /// # Panics
    /// A panic of the work goes on after the lock was given up.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it stands no more. Dropped while the work runs, it drops the work
    /// and then leadership, without a release (see [`Leadership`]).
    pub async fn run_as_leader<W, F, T, E>(&self, work: W) -> Result<Option<T>, ElectionError<E>>
    where
        W: FnOnce(LeadershipHandle) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let leadership = self.acquire().await.map_err(ElectionError::retype)?;
        let outcome = {
            let work = AssertUnwindSafe(async { work(leadership.handle()).await }).catch_unwind();
            tokio::pin!(work);
            tokio::select! {
                biased;
                outcome = &mut work => Some(outcome),
                _ = leadership.lost() => tokio::select! {
                    biased;
                    outcome = &mut work => Some(outcome),
                    () = leadership.grace_over() => None,
                },
            }
        };
        // The work has ended: it returned, panicked, or was dropped just above (L10).
        leadership.release().await;
        match outcome {
            None => Ok(None),
            Some(Ok(Ok(value))) => Ok(Some(value)),
            Some(Ok(Err(error))) => Err(ElectionError::Application(error)),
            Some(Err(panic)) => resume_unwind(panic),
        }
    }

    /// [`run_as_leader`](Self::run_as_leader), standing again after each loss, until the work has
    /// ended by itself.
    pub async fn run_until_done<W, F, T, E>(&self, mut work: W) -> Result<T, ElectionError<E>>
    where
        W: FnMut(LeadershipHandle) -> F,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            if let Some(value) = self.run_as_leader(&mut work).await? {
                return Ok(value);
            }
        }
    }

    /// Wait for leadership. Candidates of this election in this process lead one after the other,
    /// in the order in which they called.
    ///
    /// # Errors
    /// [`ElectionError::Ended`] if the election's task is gone.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped while it waits, it stands no more; leadership that was gained just then
    /// is given back.
    pub async fn acquire(&self) -> Result<Leadership, ElectionError> {
        let (sender, receiver) = oneshot::channel();
        if !self.orders.give(Order::Acquire(sender)) {
            return Err(ElectionError::Ended);
        }
        let mut waiting = Waiting {
            receiver,
            orders: &self.orders,
        };
        (&mut waiting.receiver)
            .await
            .map_err(|_| ElectionError::Ended)
    }

    /// Ask whoever leads in this election's name to end its work and to release the lock, as
    /// [`LeadershipHandle::step_down`] does. Nothing happens if nobody here leads.
    pub fn step_down(&self) {
        self.ask_to_end(None);
    }

    /// As [`step_down`](Self::step_down), and this candidate goes first, as with
    /// [`LeadershipHandle::hand_over_to`].
    ///
    /// # Errors
    /// As there.
    pub fn hand_over_to(&self, candidate: &str) -> Result<(), InvalidIdentity> {
        let candidate = Identity::fixed(candidate)?;
        self.ask_to_end(Some(candidate.as_str().into()));
        Ok(())
    }

    fn ask_to_end(&self, to: Option<Arc<str>>) {
        self.orders.give(Order::StepDown { term: None, to });
    }

    /// Stand no more, and wait until nothing of this candidate is under way. A lock that was being
    /// acquired at this very moment is then free again; a program that simply ended would leave it to run
    /// out.
    ///
    /// A candidate ends with the last clone of its election and the last [`Leadership`] of it: where there
    /// are others, this waits for them. Else it takes as long as calls that are under way, and a release
    /// after them: twice the call limit at most.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped, it is as if the election had been dropped.
    pub async fn close(self) {
        let mut status = self.status();
        drop(self);
        while status.changed().await.is_ok() {}
    }

    /// Where the election stands. For people and dashboards: leadership is asked for by
    /// [`LeadershipHandle::is_leading`].
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The holders as they are observed from now on, this process included; `None` is nobody.
    /// The stream ends with the election. A reader that lags behind by more than 64 changes misses
    /// the oldest.
    pub fn leader_changes(&self) -> impl Stream<Item = Option<Holder>> + Send + 'static {
        let receiver = self.holders.upgrade().map(|holders| holders.listen());
        stream::unfold(receiver, |receiver| async move {
            let mut receiver = receiver?;
            loop {
                match receiver.recv().await {
                    Ok(holder) => return Some((holder, Some(receiver))),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }

    /// The answer to a liveness probe: whether the election's own task is at most `max_overdue`
    /// behind what it is due to do. An unreachable API server does not make it unhealthy; a
    /// starved runtime does. A few seconds are a good bound.
    pub fn healthy(&self, max_overdue: Duration) -> bool {
        let Candidacy { pulse, clock, .. } = &*self.candidacy;
        !self.orders.is_closed() && pulse.overdue(clock.mono()) <= max_overdue
    }

    /// What this candidate writes as the holder.
    pub fn identity(&self) -> &str {
        &self.candidacy.identity
    }

    /// The name of the lock.
    pub fn lock_name(&self) -> &str {
        &self.candidacy.lock
    }

    /// The namespace of the lock.
    pub fn namespace(&self) -> &str {
        &self.candidacy.namespace
    }
}

/// Tells the driver when somebody who waited is gone.
struct Waiting<'a> {
    receiver: oneshot::Receiver<Leadership>,
    orders: &'a Orders,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        // Leadership that came just now is given back: nobody has worked under it.
        if let Ok(leadership) = self.receiver.try_recv() {
            drop(leadership.release());
        }
        self.orders.give(Order::Recount);
    }
}

impl fmt::Debug for LeaderElection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderElection")
            .field("lock", &self.lock_name())
            .field("namespace", &self.namespace())
            .field("identity", &self.identity())
            .finish_non_exhaustive()
    }
}

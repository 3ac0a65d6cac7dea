//! What the library promises the program around it, beside leadership itself: that changes of the
//! holder are told once, that an election ends with its last handle and not before, that work has
//! the time that it was promised and no more, and that a release is answered by what is true.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use tenure::{LeaderElection, LeadershipHandle, Released};
use tokio::sync::Notify;

use crate::trace::Happening;

use super::inside::{Inside, Out};

/// So far behind an election may be that has nothing to do.
const ILL: Duration = Duration::from_secs(3);
/// A release is answered, or given up, within that: a call that is under way, some tries of its own,
/// and the longest sleep of a machine.
const RELEASED_WITHIN: Duration = Duration::from_secs(120);
/// So long work may go on over its time before the library must have dropped it.
const DROPPED_WITHIN: Duration = Duration::from_secs(5);

/// What the program was told, and what it did.
#[derive(Default)]
pub(super) struct Promises {
    /// As whom it holds a Lease; none for the locks for life.
    holds_as: Mutex<Option<Arc<str>>>,
    /// The holder that it was told of last.
    heard: Mutex<Option<Option<Arc<str>>>>,
    /// The program itself drops what it is doing.
    pub(super) dropping: AtomicBool,
}

impl Inside {
    pub(super) fn broken(&self, what: impl Into<String>) {
        self.tell(Happening::Broken {
            process: Some(self.id),
            what: what.into(),
        });
    }

    /// It is a candidate for a Lease, of that name.
    pub(super) fn holds_as(&self, identity: Arc<str>) {
        *locked(&self.promises.holds_as) = Some(identity);
    }

    /// It has renewed: by then it knows that it holds the Lease.
    pub(super) fn has_heard_of_itself(&self) -> bool {
        let me = locked(&self.promises.holds_as).clone();
        me.is_none() || *locked(&self.promises.heard) == Some(me)
    }

    /// Take down the changes of the holder, until the election ends.
    pub(super) fn hears_of_holders(self: &Arc<Self>, election: &LeaderElection) {
        let mut changes = Box::pin(election.leader_changes());
        let inside = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(holder) = changes.next().await {
                let holder = holder.map(|holder| holder.identity);
                let before = locked(&inside.promises.heard).replace(holder.clone());
                let is_lease = locked(&inside.promises.holds_as).is_some();
                // For life, each term of one Pod is another one's.
                if is_lease && before == Some(holder) {
                    inside.broken("told of one change of the holder twice");
                }
            }
        });
    }

    /// Whoever rests is well: the election has nothing to do that it has not done.
    pub(super) async fn feels_the_pulse(&self, election: &LeaderElection) {
        for _ in 0..3 {
            // What has just woken up together with this one comes first.
            if election.healthy(ILL) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.broken("shows itself ill, and has nothing to do");
    }

    /// Wait for a release, and see whether what it says is so.
    pub(super) async fn is_released(&self, release: impl Future<Output = Released>) {
        match tokio::time::timeout(RELEASED_WITHIN, release).await {
            Ok(Released::Free) => self.emit(Out::Freed),
            Ok(Released::Kept) => self.broken("keeps a lock that was to be released"),
            Ok(_) => {}
            Err(_) => self.broken("a release is not answered"),
        }
    }

    /// An election that somebody still holds has ended.
    pub(super) fn has_lost_its_election(&self) {
        self.broken("the election has ended by itself");
    }
}

/// Work that the library runs, and may drop.
pub(super) struct Entrusted {
    inside: Arc<Inside>,
    leadership: LeadershipHandle,
    over: Arc<Notify>,
    ended: bool,
    late: u32,
}

impl Entrusted {
    /// `over` is notified when it has come to an end.
    pub(super) fn begin(
        inside: &Arc<Inside>,
        leadership: &LeadershipHandle,
        over: &Arc<Notify>,
    ) -> Self {
        Self {
            inside: Arc::clone(inside),
            leadership: leadership.clone(),
            over: Arc::clone(over),
            ended: false,
            late: 0,
        }
    }

    /// It goes on.
    pub(super) fn goes_on(&mut self) {
        let reading = self.inside.clock.reading();
        let by = self.leadership.stop_by();
        if by.is_none_or(|by| reading < by.after(DROPPED_WITHIN)) {
            return;
        }
        // What has slept until now is dropped before it is asked a second time.
        self.late += 1;
        if self.late == 3 {
            self.inside
                .broken("its work goes on, and its time was over (L10)");
        }
    }

    /// It has ended by itself.
    pub(super) fn has_ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for Entrusted {
    fn drop(&mut self) {
        self.over.notify_one();
        if self.ended || self.inside.promises.dropping.load(Ordering::Relaxed) {
            return;
        }
        let reading = self.inside.clock.reading();
        let told = self.leadership.lost_reason().is_some();
        let by = self.leadership.stop_by().filter(|_| told);
        if by.is_none_or(|by| reading < by) {
            self.inside
                .broken("its work was dropped before its time was over (L10)");
        }
    }
}

/// Wait until work has ended, and then for the release after it.
pub(super) async fn released_after(over: &Notify) {
    over.notified().await;
    tokio::time::sleep(RELEASED_WITHIN).await;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

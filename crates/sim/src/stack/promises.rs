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
use serde_json::Value;
use tenure::{Instant, LeaderElection, LeadershipHandle, Released};
use tokio::sync::Notify;

use crate::trace::Happening;

use super::{
    inside::{Inside, Out},
    record,
};

/// So far behind an election may be that has nothing to do.
const ILL: Duration = Duration::from_secs(3);
/// So often it is asked, every 20 ms: after a sleep of the machine an election looks at its clock within a
/// second.
const LOOKS: u32 = 100;
/// A release is answered, or given up, within that: a call that is under way, some tries of its own,
/// and the longest sleep of a machine.
const RELEASED_WITHIN: Duration = Duration::from_secs(120);
/// So long work may go on over its time before the library must have dropped it.
const DROPPED_WITHIN: Duration = Duration::from_secs(5);

/// What the program was told, and what it did.
#[derive(Default)]
pub(super) struct Promises {
    /// As whom it holds a Lease, and how long it trusts a write; none for the locks for life.
    holds_as: Mutex<Option<(Arc<str>, Duration)>>,
    /// The `renewTime` that it has written last, by its own clock.
    renewed: Mutex<Option<Instant>>,
    /// Whom its leadership shall be handed over to.
    successor: Mutex<Option<String>>,
    /// The holder that it was told of last.
    heard: Mutex<Heard>,
    /// The program itself drops what it is doing.
    pub(super) dropping: AtomicBool,
    /// For how long work that is lost may go on.
    grace: Mutex<Duration>,
}

#[derive(Default, PartialEq, Eq)]
enum Heard {
    #[default]
    Nothing,
    Of(Option<Arc<str>>),
}

impl Inside {
    pub(super) fn broken(&self, what: impl Into<String>) {
        self.tell(Happening::Broken {
            process: Some(self.id),
            what: what.into(),
        });
    }

    /// It is a candidate for a Lease, of that name, and trusts its writes for so long.
    pub(super) fn holds_as(&self, identity: Arc<str>, trusts: Duration) {
        *locked(&self.promises.holds_as) = Some((identity, trusts));
    }

    fn me(&self) -> Option<Arc<str>> {
        let holds_as = locked(&self.promises.holds_as);
        holds_as.as_ref().map(|(me, _)| Arc::clone(me))
    }

    /// Its leadership shall be handed over, or end for nobody in particular.
    pub(super) fn is_to_hand_over(&self, successor: Option<&str>) {
        *locked(&self.promises.successor) = successor.map(str::to_owned);
    }

    /// A write leaves it.
    pub(super) fn writes(&self, body: &[u8]) {
        let Some(me) = self.me() else { return };
        let object: Value = serde_json::from_slice(body).unwrap_or_default();
        let holder = object["spec"]["holderIdentity"].as_str();
        let renewed = object["spec"]["renewTime"].as_str();
        if holder == Some(&*me) {
            let renewed = renewed.and_then(record::micros);
            *locked(&self.promises.renewed) = renewed.map(|time| self.clock.shows_wall(time));
        }
        let annotations = &object["metadata"]["annotations"];
        let others_ask = [record::STEP_DOWN, record::PAUSED];
        let mark = annotations[record::WRITE].as_str().unwrap_or_default();
        let mark: Value = serde_json::from_str(mark).unwrap_or_default();
        if mark["released"] != true || others_ask.iter().any(|ask| !annotations[ask].is_null()) {
            return;
        }
        let successor = locked(&self.promises.successor).take();
        if successor.is_some() && mark["successor"].as_str() != successor.as_deref() {
            self.broken("releases its Lease, and not to whom it was to hand over (L22)");
        }
    }

    /// Belief until then rests on a write whose `renewTime` was read before the moment from which it
    /// counts (L1).
    pub(super) fn trusts_too_long(&self, until: Option<Instant>) -> bool {
        let trusts = locked(&self.promises.holds_as)
            .as_ref()
            .map(|(_, trusts)| *trusts);
        let renewed = *locked(&self.promises.renewed);
        let (Some(trusts), Some(until), Some(renewed)) = (trusts, until, renewed) else {
            return false;
        };
        renewed.after(trusts + Duration::from_micros(1)) < until
    }

    /// Lost work has its grace, and no more (L10).
    pub(super) fn gives_too_long(&self, lost: Instant, by: Instant) -> bool {
        let grace = *locked(&self.promises.grace);
        by > lost.after(grace + Duration::from_millis(1))
    }

    /// Its work has so long to end.
    pub(super) fn has_grace(&self, grace: Duration) {
        *locked(&self.promises.grace) = grace;
    }

    /// It has renewed: by then it knows that it holds the Lease.
    pub(super) fn has_heard_of_itself(&self) -> bool {
        let me = self.me();
        me.is_none() || *locked(&self.promises.heard) == Heard::Of(me)
    }

    /// Take down the changes of the holder, until the election ends.
    pub(super) fn hears_of_holders(self: &Arc<Self>, election: &LeaderElection) {
        let mut changes = Box::pin(election.leader_changes());
        let inside = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(holder) = changes.next().await {
                let holder = holder.map(|holder| holder.identity);
                let holder = Heard::Of(holder);
                let mut heard = locked(&inside.promises.heard);
                let is_twice = *heard == holder;
                *heard = holder;
                drop(heard);
                let is_lease = locked(&inside.promises.holds_as).is_some();
                // For life, each term of one Pod is another one's.
                if is_lease && is_twice {
                    inside.broken("told of one change of the holder twice");
                }
            }
        });
    }

    /// Whoever rests is well: the election has nothing to do that it has not done.
    pub(super) async fn feels_the_pulse(&self, election: &LeaderElection) {
        for _ in 0..LOOKS {
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

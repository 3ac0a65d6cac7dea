//! The program around the library: it waits for leadership in one of the library's ways, works,
//! and gives up.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tenure::{LeaderElection, Leadership, LeadershipHandle};
use tenure_core::Notice;
use tokio::sync::Notify;

use crate::{rng::Rng, trace::Happening};

use super::{
    inside::{Inside, Out},
    promises::{self, Entrusted},
};

/// The program of one process.
pub(super) struct Program {
    pub(super) inside: Arc<Inside>,
    pub(super) election: LeaderElection,
    pub(super) grace: Duration,
    pub(super) rng: Rng,
    /// For what is done beside all that.
    pub(super) beside: Rng,
    /// It ends as soon as it can.
    pub(super) hurries: bool,
    /// A leadership that was lost.
    pub(super) last: Option<Leadership>,
}

impl Program {
    /// Stand, lead and stand again, until the process shall leave.
    pub(super) async fn run(mut self) {
        self.inside.hears_of_holders(&self.election);
        while !self.is_leaving() {
            let style = self.rng.below(4);
            let inside = Arc::clone(&self.inside);
            let dropping = &inside.promises.dropping;
            dropping.store(false, Ordering::Relaxed);
            tokio::select! {
                biased;
                () = async {
                    inside.cancel.notified().await;
                    dropping.store(true, Ordering::Relaxed);
                } => {}
                () = self.turn(style) => {}
            }
            drop(self.inside.kept());
            self.inside.is_done_with();
            self.inside.set_idle(true);
            if self.hurries {
                return;
            }
            let longest = if self.rng.chance(150) { 20 } else { 2 };
            let pause = Duration::from_nanos(self.rng.below(longest * 1_000_000_000));
            self.sleep(pause).await;
            self.inside.feels_the_pulse(&self.election).await;
            self.inside.set_idle(false);
        }
    }

    fn is_leaving(&self) -> bool {
        self.inside.leaving.load(Ordering::Relaxed)
    }

    async fn turn(&mut self, style: u64) {
        match style {
            0 => self.run_as_leader().await,
            1 => self.guarded().await,
            2 => self.careless().await,
            _ => self.scoped().await,
        }
    }

    /// The library runs the work.
    async fn run_as_leader(&mut self) {
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        let over = Arc::new(Notify::new());
        let ends = Arc::clone(&over);
        let leads = self.election.run_as_leader(|handle| async move {
            inside.leads(handle.clone());
            let mut entrusted = Entrusted::begin(&inside, &handle, &ends);
            work(inside, handle, grace, rng, Some(&mut entrusted)).await;
            entrusted.has_ended();
            Ok::<(), Infallible>(())
        });
        tokio::select! {
            biased;
            ended = leads => if ended.is_err() {
                self.inside.has_lost_its_election();
            },
            () = promises::released_after(&over) => self.inside.broken("a release is not answered"),
        }
    }

    async fn acquire(&self) -> Option<Leadership> {
        let acquired = self.election.acquire().await;
        if acquired.is_err() {
            self.inside.has_lost_its_election();
        }
        acquired.ok()
    }

    /// The program holds the leadership beside the work.
    async fn guarded(&mut self) {
        let acquired = if self.beside.chance(250) {
            self.acquire_beside_another().await
        } else {
            self.acquire().await
        };
        let Some(leadership) = acquired else {
            return;
        };
        if self.beside.chance(750) {
            self.inside.leads(leadership.handle());
            return self.works_under(leadership).await;
        }
        // Somebody else of this program comes after it.
        let election = self.election.clone();
        let inside = Arc::clone(&self.inside);
        inside.leads(leadership.handle());
        // It may come while lost work still ends.
        let next = async {
            let next = election.acquire().await;
            match &next {
                Ok(next) => inside.leads(next.handle()),
                Err(_) => inside.has_lost_its_election(),
            }
            next
        };
        let (next, ()) = futures::join!(next, self.works_under(leadership));
        match next {
            Ok(next) if next.is_leading() => self.works_under(next).await,
            // It came and went while the work before it ended.
            Ok(next) => self.give_up(next).await,
            Err(_) => {}
        }
    }

    async fn works_under(&mut self, leadership: Leadership) {
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        work(inside, leadership.handle(), grace, rng, None).await;
        self.give_up(leadership).await;
    }

    /// Somebody else of this program waits, too, for a while.
    async fn acquire_beside_another(&mut self) -> Option<Leadership> {
        let election = self.election.clone();
        let patience = Duration::from_nanos(self.beside.below(8_000_000_000));
        let mut ours = std::pin::pin!(self.acquire());
        tokio::select! {
            biased;
            leadership = &mut ours => return leadership,
            _ = tokio::time::timeout(patience, election.acquire()) => {}
        }
        ours.await
    }

    /// The work is dropped as soon as leadership is about to be lost.
    async fn scoped(&mut self) {
        let Some(leadership) = self.acquire().await else {
            return;
        };
        self.inside.leads(leadership.handle());
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        tokio::select! {
            biased;
            _ = leadership.lost() => {}
            () = work(inside, leadership.handle(), grace, rng, None) => {}
        }
        self.give_up(leadership).await;
    }

    /// The leadership is kept where it outlives the runtime, and dropped while the work still runs
    /// elsewhere; and what was lost is kept until the next one is there.
    async fn careless(&mut self) {
        let Some(leadership) = self.acquire().await else {
            return;
        };
        let last = self.last.take();
        self.inside.leads(leadership.handle());
        drop(last);
        let handle = leadership.handle();
        self.inside.keep(leadership);
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        let work = EndsWith(tokio::spawn(work(inside, handle.clone(), grace, rng, None)));
        let pause = Duration::from_nanos(self.rng.below(20_000_000_000));
        tokio::select! {
            biased;
            _ = handle.lost() => {}
            () = self.sleep(pause) => {}
        }
        if handle.is_leading() {
            self.inside.gives_up(&handle, Notice::Kept);
            drop(self.inside.kept());
        } else {
            self.last = self.inside.kept();
        }
        work.await;
    }

    async fn give_up(&mut self, leadership: Leadership) {
        if self.rng.chance(100) {
            self.inside.gives_up(&leadership, Notice::Kept);
            leadership.abandon();
            return;
        }
        self.inside.gives_up(&leadership, Notice::Released);
        if self.is_leaving() && self.beside.chance(500) {
            // It does not wait for what comes of it.
            if leadership.is_leading() {
                self.inside.emit(Out::Ordered);
            }
            drop(leadership.release());
            self.hurries = true;
            return;
        }
        self.inside.is_released(leadership.release()).await;
    }

    async fn sleep(&self, time: Duration) {
        sleep(&self.inside, time).await;
    }

    fn fork(&mut self) -> Rng {
        Rng::new(self.rng.next_u64(), 60)
    }
}

/// Work that asks before each step, writes to a resource that checks tokens, and ends within the
/// grace once it is told; or does not, where it is stubborn.
async fn work(
    inside: Arc<Inside>,
    leadership: LeadershipHandle,
    grace: Duration,
    mut rng: Rng,
    mut entrusted: Option<&mut Entrusted>,
) {
    let _running = Running::begin(&inside);
    let token = leadership.token().as_str().parse().unwrap_or(0);
    let mut lost = leadership.lost();
    loop {
        if leadership.is_leading() {
            inside.emit(Out::Fence(token));
        }
        let pause = Duration::from_nanos(rng.between(500_000_000, 6_000_000_000));
        tokio::select! {
            biased;
            _ = &mut lost => break,
            () = sleep(&inside, pause) => {}
        }
    }
    let share = u32::try_from(rng.below(95)).unwrap_or(0);
    sleep(&inside, grace * share / 100).await;
    while inside.stubborn.load(Ordering::Relaxed) {
        match &mut entrusted {
            Some(entrusted) => entrusted.goes_on(),
            None if leadership.is_leading() => inside.emit(Out::Fence(token)),
            None => {}
        }
        sleep(&inside, Duration::from_millis(500)).await;
    }
}

async fn sleep(inside: &Inside, time: Duration) {
    let until = inside.clock.reading().after(time);
    Arc::clone(&inside.clock).sleep(until).await;
}

/// A task that ends with whoever waits for it.
struct EndsWith(tokio::task::JoinHandle<()>);

impl Future for EndsWith {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells that work runs, for as long as it is there.
struct Running(Arc<Inside>);

impl Running {
    fn begin(inside: &Arc<Inside>) -> Self {
        Self::tell(inside, true);
        Self(Arc::clone(inside))
    }

    fn tell(inside: &Inside, runs: bool) {
        inside.tell(Happening::Work {
            process: inside.id,
            runs,
            obedient: !inside.stubborn.load(Ordering::Relaxed),
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        Self::tell(&self.0, false);
    }
}

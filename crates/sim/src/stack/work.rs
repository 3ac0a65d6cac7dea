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

use tenure::{LeaderElection, Leadership, LeadershipHandle, Released};
use tenure_core::Notice;

use crate::{rng::Rng, trace::Happening};

use super::inside::{Inside, Out};

/// The program of one process.
pub(super) struct Program {
    pub(super) inside: Arc<Inside>,
    pub(super) election: LeaderElection,
    pub(super) grace: Duration,
    pub(super) rng: Rng,
    /// A leadership that was lost.
    pub(super) last: Option<Leadership>,
}

impl Program {
    /// Stand, lead and stand again, until the process shall leave.
    pub(super) async fn run(mut self) {
        while !self.is_leaving() {
            let style = self.rng.below(4);
            let inside = Arc::clone(&self.inside);
            tokio::select! {
                biased;
                () = inside.cancel.notified() => {}
                () = self.turn(style) => {}
            }
            drop(self.inside.kept());
            self.inside.is_done_with();
            self.inside.set_idle(true);
            let longest = if self.rng.chance(150) { 20 } else { 2 };
            let pause = Duration::from_nanos(self.rng.below(longest * 1_000_000_000));
            self.sleep(pause).await;
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
        let _ = self
            .election
            .run_as_leader(|handle| async move {
                inside.leads(handle.clone());
                work(inside, handle, grace, rng, false).await;
                Ok::<(), Infallible>(())
            })
            .await;
    }

    /// The program holds the leadership beside the work.
    async fn guarded(&mut self) {
        let Ok(leadership) = self.election.acquire().await else {
            return;
        };
        self.inside.leads(leadership.handle());
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        work(inside, leadership.handle(), grace, rng, true).await;
        self.give_up(leadership).await;
    }

    /// The work is dropped as soon as leadership is about to be lost.
    async fn scoped(&mut self) {
        let Ok(leadership) = self.election.acquire().await else {
            return;
        };
        self.inside.leads(leadership.handle());
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        tokio::select! {
            biased;
            _ = leadership.lost() => {}
            () = work(inside, leadership.handle(), grace, rng, true) => {}
        }
        self.give_up(leadership).await;
    }

    /// The leadership is kept where it outlives the runtime, and dropped while the work still runs
    /// elsewhere; and what was lost is kept until the next one is there.
    async fn careless(&mut self) {
        let Ok(leadership) = self.election.acquire().await else {
            return;
        };
        let last = self.last.take();
        self.inside.leads(leadership.handle());
        drop(last);
        let handle = leadership.handle();
        self.inside.keep(leadership);
        let (inside, grace, rng) = (Arc::clone(&self.inside), self.grace, self.fork());
        let work = EndsWith(tokio::spawn(work(inside, handle.clone(), grace, rng, true)));
        let pause = Duration::from_nanos(self.rng.below(20_000_000_000));
        tokio::select! {
            biased;
            _ = handle.lost() => {}
            () = self.sleep(pause) => {}
        }
        if handle.is_leading() {
            self.inside.gives_up(Notice::Kept);
            drop(self.inside.kept());
        } else {
            self.last = self.inside.kept();
        }
        work.await;
    }

    async fn give_up(&mut self, leadership: Leadership) {
        if self.rng.chance(100) {
            self.inside.gives_up(Notice::Kept);
            leadership.abandon();
            return;
        }
        self.inside.gives_up(Notice::Released);
        let released = leadership.release().await;
        debug_assert!(matches!(
            released,
            Released::Free | Released::Kept | Released::Failed(_) | Released::Lost
        ));
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
    waits: bool,
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
        if waits && leadership.is_leading() {
            inside.emit(Out::Fence(token));
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

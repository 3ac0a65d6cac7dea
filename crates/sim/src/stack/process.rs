//! One process: a runtime of its own, whose time only moves when the world lets it.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Once, OnceLock, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use tenure::{Builder, Connection, ContextInfo, ElectionError, Instant, LeaderElectionSet};
use tokio::runtime::{self, Runtime};

use crate::{
    clock::{MachineClock, Nanos},
    rng::Rng,
    trace::ProcessId,
};

use super::{
    api::NAME,
    foreign::Foreign,
    inside::Inside,
    net::Network,
    sim_clock::{LibraryClock, SimClock},
    work::Program,
};

/// One process.
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) seat: usize,
    pub(super) inside: Arc<Inside>,
    runtime: Option<Runtime>,
    /// What its clock showed when it last ran.
    pub(super) at: Instant,
    pub(super) sleep: Option<Sleep>,
    /// When it runs next, in true time.
    pub(super) runs_at: Option<Nanos>,
    /// By which fault it is cut off for good, if it is.
    pub(super) cut_off: Option<u32>,
    pub(super) leaving: bool,
    /// Its next write to the lock is answered, and in the same moment it is cancelled.
    pub(super) cancel_soon: bool,
    pub(super) cancel_at: Option<Nanos>,
    /// It is no foreign candidate.
    pub(super) is_ours: bool,
    /// What it wrote last.
    pub(super) last_write: Bytes,
    /// Which fault stops it where it next reads its clock, or sends something.
    pub(super) stops: Option<u32>,
    pub(super) stops_before_send: Option<u32>,
    /// It has ordered a release at that moment, and has sent nothing since.
    pub(super) ordered: Option<Nanos>,
    /// What it is called where it holds the lock.
    pub(super) identity: Arc<str>,
}

/// A stretch of time in which a process does nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleep {
    pub(super) since: Nanos,
    pub(super) until: Nanos,
    pub(super) kind: SleepKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SleepKind {
    /// The process alone: all clocks and timers go on.
    Frozen,
    /// The machine: timers stand still.
    Suspended,
    /// The virtual machine: everything stands still.
    Paused,
}

/// What a process is made of.
pub(super) struct Birth {
    pub(super) id: ProcessId,
    pub(super) seat: usize,
    pub(super) machine: MachineClock,
    pub(super) now: Nanos,
    pub(super) context: ContextInfo,
    pub(super) builder: Builder,
    /// It is part of a set.
    pub(super) in_set: bool,
    /// How long it trusts its writes to a Lease, where it is a candidate for one.
    pub(super) trusts: Option<Duration>,
    pub(super) limit: Duration,
    pub(super) grace: Duration,
    /// For its program.
    pub(super) seed: u64,
    /// What it is called and which collection it writes to, where it is a foreign candidate.
    pub(super) foreign: Option<(Arc<str>, String)>,
}

/// The longest time for which a process without anything due is not looked at.
const QUIET: Nanos = 1_000_000_000;
/// The same, while it may wait for something that the world does not see: to open a watch again.
const WATCHFUL: Nanos = 50_000_000;

impl Process {
    pub(super) fn start(birth: Birth) -> Result<Self, ElectionError> {
        let Birth {
            id,
            seat,
            machine,
            now,
            context,
            builder,
            in_set,
            trusts,
            limit,
            grace,
            seed,
            foreign,
        } = birth;
        let at = machine.reads(now);
        let is_ours = foreign.is_none();
        // The hook needs what only the runtime can make.
        let slot: Arc<OnceLock<Arc<Inside>>> = Arc::default();
        let hook = Arc::clone(&slot);
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || {
                if let Some(inside) = hook.get() {
                    let reading = inside.clock.reading();
                    inside.look(reading, true);
                    inside.look_back(reading);
                    inside.gate.parks();
                }
            })
            .build()
            .map_err(|error| {
                ElectionError::Kubernetes(Box::new(kube::Error::Service(error.into())))
            })?;
        let entered = runtime.enter();
        let clock = Arc::new(SimClock::new(at));
        clock.set_wall(wall_offset(&machine, now));
        let inside = Arc::new(Inside::new(id, Arc::clone(&clock), machine));
        let _ = slot.set(Arc::clone(&inside));
        let network = Network {
            inside: Arc::clone(&inside),
            limit,
        };
        let identity = if let Some((identity, collection)) = foreign {
            let known = Arc::clone(&identity);
            tokio::spawn(Foreign::new(network, known, seed, collection, NAME).run());
            identity
        } else {
            let builder = builder.clock(Arc::new(LibraryClock(clock)));
            let client = kube::Client::new(network, "default");
            let election = if in_set {
                LeaderElectionSet::over(&Connection::over(client), context).add(builder)?
            } else {
                builder.build_over(client, context)?
            };
            inside.shows(election.status());
            let identity: Arc<str> = election.identity().into();
            if let Some(trusts) = trusts {
                inside.holds_as(Arc::clone(&identity), trusts);
            }
            inside.has_grace(grace);
            let program = Program {
                inside: Arc::clone(&inside),
                election,
                grace,
                rng: Rng::new(seed, 61),
                beside: Rng::new(seed, 63),
                hurries: false,
                last: None,
            };
            tokio::spawn(program.run());
            identity
        };
        drop(entered);
        Ok(Self {
            id,
            seat,
            inside,
            runtime: Some(runtime),
            at,
            sleep: None,
            runs_at: None,
            cut_off: None,
            leaving: false,
            cancel_soon: false,
            cancel_at: None,
            is_ours,
            last_write: Bytes::new(),
            stops: None,
            stops_before_send: None,
            ordered: None,
            identity,
        })
    }

    /// Let it run until its clock shows `to`, or until it sends something.
    ///
    /// # Errors
    /// What went wrong inside.
    pub(super) fn run(&mut self, to: Instant) -> Result<(), String> {
        self.drive(to, false, &mut || {}).map(|_| ())
    }

    /// Until when its machine is paused with its clock, if it is.
    pub(super) fn paused_until(&self) -> Option<Nanos> {
        let paused = |sleep: &Sleep| sleep.kind == SleepKind::Paused;
        self.sleep.filter(paused).map(|sleep| sleep.until)
    }

    /// Let it run until its clock shows `to`, then hand it something, and let it come to rest.
    ///
    /// # Errors
    /// What went wrong inside.
    pub(super) fn hand(&mut self, to: Instant, hand: impl FnOnce()) -> Result<(), String> {
        let mut hand = Some(hand);
        let mut once = || {
            if let Some(hand) = hand.take() {
                hand();
            }
        };
        // It stops early where it sends something.
        while !self.drive(to, false, &mut once)? {}
        Ok(())
    }

    /// Go on after a stretch in which it did nothing, at the reading `to`: everything that was due
    /// in between is due now.
    ///
    /// # Errors
    /// What went wrong inside.
    pub(super) fn thaw(&mut self, to: Instant) -> Result<(), String> {
        self.drive(to, true, &mut || {}).map(|_| ())
    }

    /// It slept together with its timers: its clock shows `to`, and they did not notice.
    pub(super) fn resume(&mut self, to: Instant) {
        let lasted = to.as_nanos().saturating_sub(self.at.as_nanos());
        self.inside.clock.slept(lasted);
        self.at = to.max(self.at);
    }

    /// The machine's clocks have changed at that moment.
    pub(super) fn set_machine(&self, machine: &MachineClock, now: Nanos) {
        self.inside.clock.set_wall(wall_offset(machine, now));
        self.inside.set_machine(machine.clone());
    }

    /// Look at what it shows, at a moment at which it does not run.
    pub(super) fn look(&self, reading: Instant) {
        self.inside.look(reading.max(self.at), true);
    }

    /// When it has something to do next, in true time, as far as that can be known.
    pub(super) fn next(&self, machine: &MachineClock) -> Nanos {
        let cap = if self.inside.streams.load(Ordering::Relaxed) > 0 {
            QUIET
        } else {
            WATCHFUL
        };
        let cap = machine.truth(self.at).saturating_add(cap);
        match self.inside.clock.next_due(self.at) {
            Some(due) => machine.truth(due).min(cap),
            None => cap,
        }
    }

    /// Let its program end. What is left behind then, or went wrong, is given back.
    pub(super) fn winds_down(&mut self) -> Option<String> {
        let clock = Arc::clone(&self.inside.clock);
        clock.unstop();
        let inside = Arc::clone(&self.inside);
        let mut to = self.at;
        let mut went = self.hand(to, || inside.cancel.notify_one());
        // As long as any call may take, and the work.
        for _ in 0..60 {
            if went.is_err() || self.tasks() == 0 {
                break;
            }
            to = to.after(Duration::from_secs(1));
            went = self.hand(to, || {});
        }
        match (went, self.tasks()) {
            (Err(what), _) => Some(what),
            (Ok(()), 0) => None,
            (Ok(()), many) => Some(format!("left {many} tasks behind")),
        }
    }

    fn tasks(&self) -> usize {
        self.runtime
            .as_ref()
            .map_or(0, |runtime| runtime.metrics().num_alive_tasks())
    }

    /// End it at once.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.inside.clock.pretend(self.at);
        let runtime = self.runtime.take();
        guarded(|| drop(runtime))?;
        if self.inside.leads_still() {
            return Err("a leadership leads on after the end of its runtime".into());
        }
        drop(self.inside.kept());
        Ok(())
    }

    /// Whether it has reached `to`.
    fn drive(
        &mut self,
        to: Instant,
        at_once: bool,
        then: &mut dyn FnMut(),
    ) -> Result<bool, String> {
        let (inside, at) = (Arc::clone(&self.inside), self.at);
        let Some(runtime) = &self.runtime else {
            return Ok(true);
        };
        let gate = &inside.gate;
        gate.stop.store(false, Ordering::Relaxed);
        gate.idle.store(false, Ordering::Relaxed);
        inside.clock.runs();
        let moment = inside.clock.moment(to);
        let mut reached = false;
        let rests = guarded(|| {
            runtime.block_on(async {
                if at_once && to > at {
                    // Time moves before anything else is polled.
                    tokio::time::advance(moment - tokio::time::Instant::now()).await;
                }
                let mut sleep = std::pin::pin!(tokio::time::sleep_until(moment));
                let mut polls = 0_u32;
                poll_fn(|cx| {
                    polls += 1;
                    if polls > MOST_POLLS {
                        return Poll::Ready(None);
                    }
                    gate.wakes(cx.waker());
                    if !reached && sleep.as_mut().poll(cx).is_ready() {
                        reached = true;
                        then();
                        gate.stop.store(true, Ordering::Relaxed);
                        // What this has made due comes first.
                        gate.idle.store(false, Ordering::Relaxed);
                        return Poll::Pending;
                    }
                    let idle = gate.idle.swap(false, Ordering::Relaxed);
                    if idle && gate.stop.load(Ordering::Relaxed) {
                        Poll::Ready(Some(inside.clock.reading()))
                    } else {
                        Poll::Pending
                    }
                })
                .await
            })
        })?;
        self.at = rests.ok_or("it does not come to rest")?;
        Ok(reached)
    }
}

/// So often the outermost future is polled within one stretch, and no more.
const MOST_POLLS: u32 = 20_000;

fn wall_offset(machine: &MachineClock, now: Nanos) -> i64 {
    let micros = i64::try_from(machine.reads(now).as_nanos() / 1000).unwrap_or(0);
    machine.wall(now).as_micros() - micros
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANICKED: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs something of a process's. A panic in it, in whichever task, is an error: a runtime would
/// keep it to itself.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                PANICKED.set(Some(format!("panicked: {info}")));
            } else {
                usual(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(before);
    match (outcome, PANICKED.take()) {
        (_, Some(what)) => Err(what),
        (Err(_), None) => Err("panicked".into()),
        (Ok(value), None) => Ok(value),
    }
}

//! The queue of what happens when, in true time, and what becomes of each thing in it.
//!
//! A process runs up to its next timer, or until something is handed to it. What it does meanwhile
//! goes into the queue at the true time at which it did so; nothing is ever taken back, but for what
//! a process would have done after its end.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, atomic::Ordering},
};

use serde_json::Value;
use tenure::Instant;
use tokio::sync::oneshot;

use crate::{
    clock::{MILLI, MachineClock, Nanos, SECOND},
    core_depth::{Sink, weather::On},
    fault::FaultKind,
    plan::Plan,
    provoked::Provoked,
    rng::hashed,
    trace::{Against, Author, Believed, Happening, ProcessId, Write},
};

use super::{
    api::{Api, State},
    cluster::Cluster,
    inside::{Out, Outgoing},
    net::{Answer, Piece},
    process::{Process, Sleep, SleepKind},
    record,
    traffic::{Arrival, ServerWatch},
};

#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a moment of the run that was reached"
)]
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Nanos,
    pub(super) api: Api,
    pub(super) cluster: Cluster,
    pub(super) seats: Vec<Seat>,
    pub(super) processes: Vec<Option<Process>>,
    pub(super) beliefs: Vec<Option<Believed>>,
    pub(super) on: Vec<On>,
    pub(super) watches: Vec<Option<ServerWatch>>,
    /// Answers that never come.
    pub(super) limbo: Vec<oneshot::Sender<Answer>>,
    /// How many events watches were to show.
    pub(super) shown: u64,
    /// Since when the lock says what it says.
    pub(super) since: Nanos,
    /// The longest duration that anybody ever wrote.
    pub(super) longest: Nanos,
    queue: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    due: Vec<Option<Due>>,
    free: Vec<usize>,
    pushed: u64,
    /// The highest token that the fenced resource has taken.
    fenced: u64,
    sink: Sink<'a>,
    provoked: Provoked,
    over: bool,
    peaceful: bool,
    settled: bool,
    /// The sink wants no more.
    stopped: bool,
}

/// A machine with the Pod of one candidate.
pub(super) struct Seat {
    pub(super) clock: MachineClock,
    /// The work does not end when it is told to, until then.
    pub(super) stubborn_until: Nanos,
    /// No watch can be opened until then.
    pub(super) no_watch_until: Nanos,
    /// Its clock runs beyond rho.
    pub(super) beyond: bool,
}

/// Something that happens at its time.
pub(super) enum Due {
    Start(usize),
    Run(ProcessId),
    Tell(Option<ProcessId>, Box<Happening>),
    Leaves(ProcessId, Box<Outgoing>),
    Arrives(Box<Arrival>),
    Answers(ProcessId, Box<(oneshot::Sender<Answer>, Answer)>),
    Shows(usize, Piece),
    WatchEnds(usize, bool),
    FenceLeaves(ProcessId, u64),
    FenceArrives(ProcessId, u64),
    Wake(ProcessId),
    End(ProcessId),
    SetRate(usize, u64),
    Collect,
    Cluster(super::cluster::Later),
    Fault(usize),
    FaultEnds(usize),
    Peace,
    Over,
}

/// Nobody is waited for longer: people may write durations of many hours into a Lease, and the core's
/// depth, where they cost nothing, waits them out.
const LONGEST_PEACE: Nanos = 600 * SECOND;
/// How long a run goes on after somebody leads in peace.
const REST: Nanos = 4 * SECOND;
/// Timers go by whole milliseconds: a process may be so far ahead.
const TICK: Nanos = 2 * MILLI;

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, sink: Sink<'a>) -> std::io::Result<Self> {
        let seats = plan.seats.iter().map(|seat| Seat {
            clock: MachineClock::new(
                (seat.number as u64 + 1) * 1000 * SECOND,
                seat.rate,
                seat.wall_off,
            ),
            stubborn_until: 0,
            no_watch_until: 0,
            beyond: false,
        });
        let copies = plan
            .faults
            .iter()
            .any(|fault| fault.kind == FaultKind::Restore);
        let api = Api::new(plan.seed, plan.lock, copies)?;
        let mut world = Self {
            plan,
            now: 0,
            api,
            cluster: Cluster::new(plan),
            seats: seats.collect(),
            processes: Vec::new(),
            beliefs: Vec::new(),
            on: Vec::new(),
            watches: Vec::new(),
            limbo: Vec::new(),
            shown: 0,
            since: 0,
            longest: 0,
            queue: BinaryHeap::new(),
            due: Vec::new(),
            free: Vec::new(),
            pushed: 0,
            fenced: 0,
            sink,
            provoked: Provoked::new(plan),
            over: false,
            peaceful: false,
            settled: false,
            stopped: false,
        };
        for seat in &plan.seats {
            world.at(seat.starts, Due::Start(seat.number));
        }
        for (index, fault) in plan.faults.iter().enumerate() {
            world.at(fault.at, Due::Fault(index));
        }
        world.at(plan.faults_end, Due::Peace);
        Ok(world)
    }

    pub(super) fn run(mut self) -> Nanos {
        self.tell_settings();
        self.set_up_cluster();
        while !self.over {
            let Some(Reverse((at, _, slot))) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(at);
            let Some(due) = self.due[slot].take() else {
                continue;
            };
            self.free.push(slot);
            self.happen(due);
        }
        self.look_for_leftovers();
        self.now
    }

    fn tell_settings(&mut self) {
        let seats = &self.plan.seats;
        let struck = [
            (
                FaultKind::ClockRates,
                seats.iter().any(|seat| seat.rate != 1_000_000),
            ),
            (
                FaultKind::MixedTimings,
                seats.iter().any(|seat| seat.timing != seats[0].timing),
            ),
            (
                FaultKind::ForeignHolder,
                !self.plan.lock.is_for_life() && seats.iter().any(|seat| seat.foreign),
            ),
        ];
        for (kind, is_so) in struck {
            if is_so {
                self.struck(u32::MAX, kind, None);
            }
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Start(seat) => self.start(seat, None),
            Due::Run(id) => self.run_process(id),
            Due::Tell(by, what) => {
                // What a process would have done after its end was not done.
                if by.is_none_or(|id| self.process(id).is_some()) {
                    self.tell(*what);
                }
            }
            Due::Leaves(id, request) => {
                if self.process(id).is_some() {
                    self.leaves(id, *request);
                }
            }
            Due::Arrives(arrival) => self.arrives(*arrival),
            Due::Answers(id, answer) => {
                let to = |answer| Due::Answers(id, answer);
                if let Some(answer) = self.awake(id, answer, false, to) {
                    self.hand(id, move || {
                        let (to, answer) = *answer;
                        let _ = to.send(answer);
                    });
                }
            }
            Due::Shows(watch, piece) => self.shows(watch, piece),
            Due::WatchEnds(watch, broken) => self.watch_ends(watch, broken),
            Due::FenceLeaves(id, token) => {
                if self.process(id).is_some() {
                    let latency = self.latency(hashed([self.now, token, 15]));
                    self.at(self.now + latency, Due::FenceArrives(id, token));
                }
            }
            Due::FenceArrives(process, token) => {
                let accepted = token >= self.fenced;
                self.fenced = self.fenced.max(token);
                self.tell(Happening::Fenced {
                    process,
                    token,
                    accepted,
                });
            }
            Due::Wake(id) => self.wake(id),
            Due::End(id) => self.end(id),
            Due::SetRate(seat, rate) => self.set_rate(seat, rate),
            Due::Collect => self.collect_garbage(),
            Due::Cluster(later) => self.cluster_later(later),
            Due::Fault(index) => {
                if self.provoked.begins(index) {
                    self.fault(index);
                }
            }
            Due::FaultEnds(index) => self.fault_ends(index),
            Due::Peace => self.peace(),
            Due::Over => self.over = true,
        }
    }

    /// A process starts; one that starts beside `twin_of` has its identity.
    pub(super) fn start(&mut self, seat: usize, twin_of: Option<ProcessId>) {
        let taken = self
            .living()
            .any(|process| process.seat == seat && !process.leaving && process.cut_off.is_none());
        if taken && twin_of.is_none() {
            return;
        }
        if let Some(wakes) = self.machine_sleeps(seat) {
            // Nothing starts on a machine that sleeps.
            if twin_of.is_none() {
                self.at(wakes + MILLI, Due::Start(seat));
            }
            return;
        }
        let id = ProcessId(u32::try_from(self.processes.len()).unwrap_or(u32::MAX));
        let Some((birth, started)) = self.newcomer(id, seat, twin_of) else {
            return;
        };
        let grace = birth.grace;
        let ours = birth.foreign.is_none();
        match Process::start(birth) {
            Ok(process) => {
                let identity = started.unwrap_or_else(|| Arc::clone(&process.identity));
                self.processes.push(Some(process));
                self.beliefs.push(None);
                self.tell(Happening::Started {
                    process: id,
                    seat,
                    identity,
                    ours,
                    grace: u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX),
                    trusts: (!self.plan.lock.is_for_life())
                        .then(|| self.plan.seats[seat].timing.trusts()),
                });
                self.started(id);
                if self.seats[seat].beyond {
                    self.tell(Happening::Excused {
                        process: id,
                        kind: FaultKind::ClockBeyond,
                        against: Against::Everybody,
                        for_good: true,
                    });
                }
                self.run_process(id);
            }
            Err(error) => self.tell(Happening::Broken {
                process: None,
                what: format!("an election cannot begin: {error}"),
            }),
        }
    }

    fn machine_sleeps(&self, seat: usize) -> Option<Nanos> {
        self.living()
            .filter(|process| process.seat == seat)
            .filter_map(|process| process.sleep)
            .find(|sleep| sleep.kind != SleepKind::Frozen && sleep.until > self.now)
            .map(|sleep| sleep.until)
    }

    /// Let a process run up to now.
    pub(super) fn run_process(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if process.runs_at.is_some_and(|at| at > now) || process.sleep.is_some() {
            return;
        }
        process.runs_at = None;
        self.with(id, Process::run);
    }

    /// Hand a process something, now.
    pub(super) fn hand(&mut self, id: ProcessId, hand: impl FnOnce()) {
        self.with(id, |process, to| process.hand(to, hand));
    }

    /// Let something of a process run, at what its clock shows now, and take what comes of it.
    pub(super) fn with(
        &mut self,
        id: ProcessId,
        run: impl FnOnce(&mut Process, Instant) -> Result<(), String>,
    ) {
        let now = self.now;
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let to = self.seats[process.seat].clock.reads(now).max(process.at);
        let went = run(process, to);
        self.collect(id);
        if let Err(what) = went {
            self.tell(Happening::Broken {
                process: Some(id),
                what,
            });
            self.end(id);
        }
        self.arm(id);
    }

    /// Put what a process did into the queue.
    pub(super) fn collect(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let out = process.inside.take_out();
        let stops = process.inside.clock.take_stops();
        let clock = self.seats[process.seat].clock.clone();
        let (in_work, before_send) = (process.stops, process.stops_before_send);
        for stop in stops {
            let (fault, kind) = if stop.before_send {
                (before_send, FaultKind::FreezeBeforeSend)
            } else {
                (in_work, FaultKind::Freeze)
            };
            let (since, until) = (clock.truth(stop.from), clock.truth(stop.to));
            let struck = Happening::Struck {
                fault: fault.unwrap_or(u32::MAX),
                kind,
                process: Some(id),
            };
            self.at(since, Due::Tell(Some(id), Box::new(struck)));
            let slept = Happening::Slept { process: id, since };
            self.at(until, Due::Tell(Some(id), Box::new(slept)));
        }
        for (at, out) in out {
            let due = match out {
                Out::Tell(what) => Due::Tell(Some(id), Box::new(what)),
                Out::Request(request) => Due::Leaves(id, Box::new(request)),
                Out::Fence(token) => Due::FenceLeaves(id, token),
            };
            self.at(at, due);
        }
    }

    /// Set when a process runs next.
    pub(super) fn arm(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        if process.sleep.is_some() {
            return;
        }
        let next = process.next(&self.seats[process.seat].clock).max(self.now);
        if process.runs_at != Some(next) {
            process.runs_at = Some(next);
            self.at(next, Due::Run(id));
        }
    }

    /// Nothing comes of what a process that ended would have got; and what one that is asleep gets
    /// waits until it wakes, in an order of chance.
    pub(super) fn awake<T>(
        &mut self,
        id: ProcessId,
        what: T,
        in_order: bool,
        due: impl FnOnce(T) -> Due,
    ) -> Option<T> {
        let process = self.process(id)?;
        let until = match process.sleep {
            Some(sleep) => sleep.until,
            None => self.ahead(process),
        };
        if until <= self.now {
            return Some(what);
        }
        let jitter = if in_order {
            MILLI / 10
        } else {
            hashed([self.plan.seed, until, self.pushed]) % (MILLI / 5)
        };
        self.at(until + jitter, due(what));
        None
    }

    /// Up to when a process has run already; now where it has not run ahead.
    fn ahead(&self, process: &Process) -> Nanos {
        let clock = &self.seats[process.seat].clock;
        let reached = clock.truth(process.at);
        if reached > self.now + TICK {
            reached
        } else {
            self.now
        }
    }

    /// Whether a process does nothing at this moment.
    pub(super) fn is_asleep(&self, id: ProcessId) -> bool {
        self.process(id)
            .is_none_or(|process| process.sleep.is_some() || self.ahead(process) > self.now)
    }

    /// Let a process do nothing until then.
    pub(super) fn put_to_sleep(&mut self, id: ProcessId, until: Nanos, kind: SleepKind) {
        let since = self.now;
        // Up to now it has been running.
        self.with(id, Process::run);
        if let Some(process) = self.process_mut(id) {
            process.sleep = Some(Sleep { since, until, kind });
            process.runs_at = None;
            self.at(until, Due::Wake(id));
        }
    }

    fn wake(&mut self, id: ProcessId) {
        let due = self
            .process(id)
            .and_then(|process| process.sleep)
            .is_some_and(|sleep| sleep.until <= self.now);
        if due {
            self.wake_now(id);
        }
    }

    pub(super) fn wake_now(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let Some(sleep) = process.sleep.take() else {
            return;
        };
        let seat = process.seat;
        self.tell(Happening::Slept {
            process: id,
            since: sleep.since,
        });
        match sleep.kind {
            SleepKind::Frozen => self.with(id, Process::thaw),
            SleepKind::Suspended => self.with(id, |process, to| {
                process.resume(to);
                process.run(to)
            }),
            SleepKind::Paused => {
                self.seats[seat].clock.stood_still(sleep.since, now);
                self.clock_changed(seat);
                self.with(id, Process::run);
            }
        }
    }

    /// A seat's clock goes otherwise from now on.
    pub(super) fn clock_changed(&mut self, seat: usize) {
        let (now, clock) = (self.now, self.seats[seat].clock.clone());
        for id in self.sitting(seat) {
            if let Some(process) = self.process(id) {
                process.set_machine(&clock, now);
                // The clock of a paused machine stands where it stood.
                if process.paused_until().is_none() {
                    process.look(clock.reads(now));
                }
            }
            self.collect(id);
            self.arm(id);
        }
    }

    fn set_rate(&mut self, seat: usize, rate: u64) {
        // What a process has done ahead was done by the clock as it was; and while a machine is
        // paused, its clock has no rate.
        let ahead = self
            .living()
            .filter(|process| process.seat == seat)
            .map(|process| self.ahead(process).max(process.paused_until().unwrap_or(0)))
            .max()
            .unwrap_or(0);
        if ahead > self.now {
            self.at(ahead + MILLI, Due::SetRate(seat, rate));
            return;
        }
        self.seats[seat].clock.drift(self.now, rate);
        self.clock_changed(seat);
    }

    pub(super) fn end(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].take() else {
            return;
        };
        let seat = process.seat;
        self.beliefs[id.0 as usize] = None;
        self.tell(Happening::Ended { process: id });
        for watch in &mut self.watches {
            if watch.as_ref().is_some_and(|watch| watch.process == id) {
                *watch = None;
            }
        }
        if let Err(what) = process.end() {
            self.tell(Happening::Broken {
                process: Some(id),
                what,
            });
        }
        self.has_ended(id, seat);
    }

    /// Tell what was written to the lock by the request that was applied just now, and show it to
    /// whoever watches.
    #[allow(clippy::needless_pass_by_value, reason = "each write keeps its own")]
    pub(super) fn publish(
        &mut self,
        by: Author,
        base: Option<(Arc<str>, u64)>,
        sent: Nanos,
    ) -> bool {
        let kind = self.plan.lock;
        let writes = self.api.take_writes(self.now);
        let wrote = !writes.is_empty();
        for (before, state) in writes {
            let snapshot = |state: &State| record::snapshot(kind, &state.object);
            let after = (!state.gone).then(|| snapshot(&state));
            let since = if before.is_some() {
                self.since
            } else {
                self.now
            };
            let warrant = match (by, &before, &after) {
                (Author::Process(id), Some(before), None) => self.warrant(id, &before.object),
                _ => None,
            };
            let same = !state.gone
                && before.as_ref().is_some_and(|before| {
                    record::says(kind, &before.object) == record::says(kind, &state.object)
                });
            if !same {
                self.since = self.now;
                if let Some(after) = &after {
                    self.longest = self.longest.max(after.protects);
                }
            }
            let write = Write {
                by,
                base: base.clone(),
                before: before.as_ref().map(snapshot),
                after,
                since,
                sent,
                warrant,
            };
            // Others' labels and the like are no write that anybody goes by.
            if !same || matches!(by, Author::Process(_)) {
                self.tell(Happening::Wrote(write));
            }
        }
        if wrote {
            self.spread();
        }
        wrote
    }

    /// Everything was put back to what it was: tell it, and end the watches.
    pub(super) fn was_restored(&mut self, before: Option<&State>) {
        let snapshot = |state: &State| record::snapshot(self.plan.lock, &state.object);
        let write = Write {
            by: Author::Restore,
            base: None,
            before: before.map(snapshot),
            after: self.api.lock().map(snapshot),
            since: self.now,
            sent: self.now,
            warrant: None,
        };
        self.since = self.now;
        self.tell(Happening::Wrote(write));
        self.spread();
    }

    fn peace(&mut self) {
        self.peaceful = true;
        let within = self.make_peace();
        self.tell(Happening::Peace { within });
        self.at(self.now + within.min(LONGEST_PEACE) + SECOND, Due::Over);
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is made to be told")]
    pub(super) fn tell(&mut self, what: Happening) {
        if let Some((at, index)) = self.provoked.by(self.plan, self.now, &what) {
            self.at(at, Due::Fault(index));
        }
        if self.over {
            return;
        }
        if let Happening::Belief { process, belief } = &what {
            if let Some(known) = self.beliefs.get_mut(process.0 as usize) {
                *known = *belief;
            }
            if self.peaceful && belief.is_some() && !self.settled {
                self.settled = true;
                self.at(self.now + REST, Due::Over);
            }
        }
        if !(self.sink)(self.now, &what) {
            self.over = true;
            self.stopped = true;
        }
    }

    pub(super) fn struck(&mut self, fault: u32, kind: FaultKind, process: Option<ProcessId>) {
        self.tell(Happening::Struck {
            fault,
            kind,
            process,
        });
    }

    /// What comes of the present beliefs, and of `holder`'s, is not covered.
    pub(super) fn excuse(&mut self, kind: FaultKind, against: Against, holder: Option<ProcessId>) {
        let mut excused = self.believers();
        excused.extend(
            holder.filter(|holder| self.process(*holder).is_some() && !excused.contains(holder)),
        );
        for process in excused {
            self.tell(Happening::Excused {
                process,
                kind,
                against,
                for_good: false,
            });
        }
    }

    /// Whoever believes at this moment.
    pub(super) fn believers(&self) -> Vec<ProcessId> {
        let believes = |process: &&Process| {
            self.beliefs[process.id.0 as usize]
                .is_some_and(|belief| belief.until.is_none_or(|until| self.now < until))
        };
        let living = self.living().filter(believes);
        living.map(|process| process.id).collect()
    }

    /// The living processes of a seat.
    pub(super) fn sitting(&self, seat: usize) -> Vec<ProcessId> {
        self.living()
            .filter(|process| process.seat == seat)
            .map(|process| process.id)
            .collect()
    }

    pub(super) fn at(&mut self, at: Nanos, due: Due) {
        let slot = if let Some(slot) = self.free.pop() {
            self.due[slot] = Some(due);
            slot
        } else {
            self.due.push(Some(due));
            self.due.len() - 1
        };
        self.pushed += 1;
        self.queue.push(Reverse((at, self.pushed, slot)));
    }

    pub(super) fn latency(&self, number: u64) -> Nanos {
        MILLI / 2 + hashed([self.plan.seed, number, 14]) % self.plan.latency
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().flatten()
    }

    pub(super) fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn process_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.processes.get_mut(id.0 as usize)?.as_mut()
    }

    /// A process that is left alone ends all its tasks.
    fn look_for_leftovers(&mut self) {
        if self.stopped {
            return;
        }
        let mut broken = Vec::new();
        for process in self.processes.iter_mut().flatten() {
            process.inside.leaving.store(true, Ordering::Relaxed);
            process.inside.stubborn.store(false, Ordering::Relaxed);
            if let Some(what) = process.winds_down() {
                broken.push((process.id, what));
            }
        }
        self.limbo.clear();
        for (id, what) in broken {
            let now = self.now;
            (self.sink)(
                now,
                &Happening::Broken {
                    process: Some(id),
                    what,
                },
            );
        }
    }

    /// The process whose record stands in the lock.
    pub(super) fn holder(&self) -> Option<ProcessId> {
        let writer = record::writer(&self.api.lock()?.object)?;
        self.process_of(&writer)
    }

    /// A person sends something about the lock.
    pub(super) fn by_hand(&mut self, method: &http::Method, path: &str, object: &Value) -> bool {
        let (status, _) = self.api.send(self.now, method, path, object);
        self.publish(Author::Person, None, self.now) && (200..300).contains(&status)
    }
}

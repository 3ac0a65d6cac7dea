//! The queue, and what becomes of each thing in it.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use tenure_core::{Action, CallId, Command, Elector as _, Event, Notice, Now, Outcome, Sight};

use crate::{
    clock::{MILLI, MachineClock, NEVER, Nanos, SECOND},
    fault::FaultKind,
    plan::{FASTEST, Plan, SLOWEST},
    provoked::Provoked,
    rng::{Rng, hashed},
    trace::{Against, Happening, ProcessId, Seeing},
};

use super::{
    Sink,
    model::{Desk, Limits, Model, Newcomer},
    seats::{Process, Seat, SleepKind, Watch, Work},
    weather::{Fate, Instead, On, fate},
};

pub(super) struct World<'a, M: Model> {
    pub(super) plan: &'a Plan,
    pub(super) now: Nanos,
    pub(super) model: M,
    pub(super) seats: Vec<Seat>,
    pub(super) processes: Vec<Option<Process<M>>>,
    pub(super) on: Vec<On>,
    queue: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    due: Vec<Option<Due<M>>>,
    free: Vec<usize>,
    pushed: u64,
    /// How many events watches were to show.
    shown: u64,
    /// The highest token that the fenced resource has taken.
    fenced: u64,
    sink: Sink<'a>,
    provoked: Provoked,
    over: bool,
    /// Since when somebody has led after the faults.
    settled: Option<Nanos>,
    peaceful: bool,
}

/// Something that happens at its time.
pub(super) enum Due<M: Model> {
    Start(usize),
    Tick(ProcessId),
    Arrive(Box<Arrival<M>>),
    Answer(ProcessId, CallId, Box<Outcome<M::Answer>>),
    GiveUp(ProcessId, CallId),
    Show(ProcessId, u64, Box<Sight<M::Object>>),
    WatchOpens(ProcessId, u64),
    Stand(ProcessId),
    WorkActs(ProcessId, u64),
    FenceArrives(ProcessId, u64),
    WorkEnds(ProcessId, u64),
    Wake(ProcessId),
    Retire(ProcessId),
    End(ProcessId),
    Later(Box<M::Later>),
    Fault(usize),
    FaultEnds(usize),
    Peace,
    Over,
}

/// A request on its way.
pub(super) struct Arrival<M: Model> {
    process: ProcessId,
    id: CallId,
    request: M::Request,
    sent: Nanos,
    fate: Fate,
    first: bool,
}

/// What is held up on its way lands within that time.
pub(super) const LATEST: Nanos = 60 * SECOND;

/// How long peace is looked at, at most.
const LONGEST_PEACE: Nanos = 600 * SECOND;

/// A leader that was told to end is at rest this long after peace has a leader.
const QUIET: Nanos = 4 * SECOND;

impl<'a, M: Model> World<'a, M> {
    pub(super) fn new(plan: &'a Plan, sink: Sink<'a>) -> Self {
        let seats = plan.seats.iter().map(|seat| Seat {
            clock: MachineClock::new(
                (seat.number as u64 + 1) * 1000 * SECOND,
                seat.rate,
                seat.wall_off,
            ),
            stubborn_until: 0,
        });
        let mut world = Self {
            plan,
            now: 0,
            model: M::new(plan),
            seats: seats.collect(),
            processes: Vec::new(),
            on: Vec::new(),
            queue: BinaryHeap::new(),
            due: Vec::new(),
            free: Vec::new(),
            pushed: 0,
            shown: 0,
            fenced: 0,
            sink,
            provoked: Provoked::new(plan),
            over: false,
            settled: None,
            peaceful: false,
        };
        for seat in &plan.seats {
            world.at(seat.starts, Due::Start(seat.number));
        }
        for (index, fault) in plan.faults.iter().enumerate() {
            world.at(fault.at, Due::Fault(index));
        }
        world.at(plan.faults_end, Due::Peace);
        world
    }

    pub(super) fn run(mut self) -> Nanos {
        self.tell_settings();
        while let Some(Reverse((at, _, slot))) = self.queue.pop() {
            self.now = self.now.max(at);
            let Some(due) = self.due[slot].take() else {
                continue;
            };
            self.free.push(slot);
            self.happen(due);
            if self.over {
                break;
            }
        }
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
                seats.iter().any(|seat| seat.foreign),
            ),
        ];
        for (kind, is_so) in struck {
            if is_so {
                self.tell(Happening::Struck {
                    fault: u32::MAX,
                    kind,
                    process: None,
                });
            }
        }
    }

    fn happen(&mut self, due: Due<M>) {
        match due {
            Due::Start(seat) => self.start(seat, None),
            Due::Tick(id) => self.tick(id),
            Due::Arrive(arrival) => self.arrive(*arrival),
            Due::Answer(id, call, outcome) => {
                if let Some(outcome) = self.awake(id, outcome, |id, o| Due::Answer(id, call, o)) {
                    self.answer(id, call, *outcome);
                }
            }
            Due::GiveUp(id, call) => self.give_up(id, call),
            Due::Show(id, stream, sight) => {
                if let Some(sight) = self.awake(id, sight, |id, s| Due::Show(id, stream, s)) {
                    self.show(id, stream, *sight);
                }
            }
            Due::WatchOpens(id, stream) => {
                if self
                    .awake(id, (), |id, ()| Due::WatchOpens(id, stream))
                    .is_some()
                {
                    self.watch_opens(id, stream);
                }
            }
            Due::Stand(id) => {
                if self.awake(id, (), |id, ()| Due::Stand(id)).is_some()
                    && self.process(id).is_some_and(|process| !process.leaving)
                {
                    self.give(id, Event::Command(Command::Stand));
                }
            }
            Due::WorkActs(id, token) => {
                if self
                    .awake(id, (), |id, ()| Due::WorkActs(id, token))
                    .is_some()
                {
                    self.work_acts(id, token);
                }
            }
            Due::FenceArrives(id, token) => {
                let accepted = token >= self.fenced;
                if accepted {
                    self.fenced = token;
                }
                self.tell(Happening::Fenced {
                    process: id,
                    token,
                    accepted,
                });
            }
            Due::WorkEnds(id, token) => {
                if self
                    .awake(id, (), |id, ()| Due::WorkEnds(id, token))
                    .is_some()
                {
                    self.work_ends(id, token, true);
                }
            }
            Due::Wake(id) => self.wake(id),
            Due::Retire(id) => {
                if self.awake(id, (), |id, ()| Due::Retire(id)).is_some() {
                    self.retire(id);
                }
            }
            Due::End(id) => self.end(id),
            Due::Later(what) => {
                let mut desk = Desk::new(self.now, self.believers());
                self.model.later(&mut desk, *what);
                self.clear(desk);
            }
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

    /// Nothing comes of what a process that ended would have done; and what one that is asleep
    /// would do waits until it wakes, in an order of chance.
    fn awake<T>(
        &mut self,
        id: ProcessId,
        what: T,
        due: impl FnOnce(ProcessId, T) -> Due<M>,
    ) -> Option<T> {
        let until = match self.process(id)?.sleep {
            Some(sleep) if self.now < sleep.until => sleep.until,
            _ => return Some(what),
        };
        let due = due(id, what);
        let jitter = match due {
            // A stream stays in order.
            Due::Show(..) | Due::WatchOpens(..) => MILLI / 10,
            _ => hashed([self.plan.seed, until, self.pushed]) % (MILLI / 5),
        };
        self.at(until + jitter, due);
        None
    }

    pub(super) fn start(&mut self, seat: usize, twin_of: Option<ProcessId>) {
        if self.plan.seats[seat].starts == NEVER {
            return;
        }
        // Nothing starts on a machine that is asleep.
        let asleep = self
            .living()
            .filter(|process| process.seat == seat)
            .filter_map(|process| process.sleep)
            .find(|sleep| sleep.kind != SleepKind::Frozen && self.now < sleep.until);
        if let Some(sleep) = asleep {
            self.at(sleep.until + 1, Due::Start(seat));
            return;
        }
        let taken = self
            .living()
            .any(|process| process.seat == seat && !process.leaving && !process.cut_off);
        if twin_of.is_none() && !self.model.vacant(self.now, seat, taken) {
            return;
        }
        let id = ProcessId(u32::try_from(self.processes.len()).unwrap_or(u32::MAX));
        let newcomer = Newcomer {
            plan: self.plan,
            seat,
            process: id,
            twin_of,
            seed: hashed([self.plan.seed, id.0.into(), 6]),
        };
        let mut desk = Desk::new(self.now, Vec::new());
        let elector = self.model.start(&mut desk, &newcomer);
        self.processes.push(Some(Process {
            id,
            seat,
            elector,
            limits: Limits::of(self.plan, seat),
            sleep: None,
            tick_at: None,
            calls: Vec::new(),
            sent: 0,
            watch: Watch::default(),
            work: None,
            stop_before_send: None,
            cut_off: false,
            leaving: false,
            withdrawn: false,
            knows: false,
            shown: None,
            status: None,
        }));
        self.clear(desk);
        if !(SLOWEST..=FASTEST).contains(&self.seats[seat].clock.rate()) {
            self.tell(Happening::Excused {
                process: id,
                kind: FaultKind::ClockBeyond,
                against: Against::Everybody,
                for_good: true,
            });
        }
        self.give(id, Event::Command(Command::Stand));
        self.open_watch(id, self.latency(id.0.into()));
    }

    /// Let something happen to a process that is awake.
    pub(super) fn give(&mut self, id: ProcessId, event: Event<M::Answer, M::Object>) {
        let sees = M::sees(&event);
        self.hand_over(id, event, sees);
    }

    fn hand_over(
        &mut self,
        id: ProcessId,
        event: Event<M::Answer, M::Object>,
        sees: Option<(u64, Seeing)>,
    ) {
        let now = self.now;
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        match &event {
            Event::Command(Command::Stand) => process.withdrawn = false,
            Event::Command(Command::Withdraw) => process.withdrawn = true,
            _ => {}
        }
        let clock = &self.seats[process.seat].clock;
        let reading = Now {
            mono: clock.reads(now),
            wall: clock.wall(now),
        };
        process.elector.handle(reading, event);
        // What was said of a lock for life once is enough.
        let known = process.knows;
        process.knows |= sees.is_some_and(|(_, how)| how != Seeing::Absent);
        if let Some((version, how)) = sees.filter(|_| !known || !self.plan.lock.is_for_life()) {
            self.tell(Happening::Sees {
                process: id,
                version,
                how,
            });
        }
        self.show_belief(id);
        while let Some(action) = self.process_mut(id).and_then(|p| p.elector.poll()) {
            match action {
                Action::Call { id: call, request } => self.send(id, call, request),
                Action::Notify(notice) => self.notice(id, notice),
            }
        }
        self.arm(id);
    }

    /// Tell what may be believed from now on, where that has changed.
    pub(super) fn show_belief(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let belief = process.belief(&self.seats[process.seat].clock);
        let status = process.elector.status();
        let ours = !self.plan.seats[process.seat].foreign || self.plan.lock.is_for_life();
        let came_back = ours && process.withdrawn && process.shown.is_none() && belief.is_some();
        let new_belief = (process.shown != belief).then(|| {
            process.shown = belief;
            belief
        });
        let leads = |status: Option<&tenure_core::Status>| {
            status.map(|status| (status.leads(), std::mem::discriminant(status)))
        };
        let changed = leads(process.status.as_ref()) != leads(Some(&status));
        if let Some(belief) = new_belief {
            self.tell(Happening::Belief {
                process: id,
                belief,
            });
        }
        if came_back {
            self.tell(Happening::Broken {
                process: Some(id),
                what: "began to lead, and had been told to stand no more (L9, F4)".into(),
            });
        }
        if changed {
            self.tell(Happening::Status {
                process: id,
                status: status.clone(),
            });
            if let Some(process) = self.process_mut(id) {
                process.status = Some(status);
            }
        }
    }

    /// Set the timer to the elector's deadline.
    pub(super) fn arm(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let clock = &self.seats[process.seat].clock;
        let next = process
            .elector
            .deadline()
            .map(|deadline| clock.truth(deadline).max(now));
        if next == process.tick_at {
            return;
        }
        process.tick_at = next;
        if let Some(next) = next {
            self.at(next, Due::Tick(id));
        }
    }

    fn tick(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if process.tick_at.is_none_or(|due| due > now) {
            return;
        }
        if let Some(sleep) = process.sleep.filter(|sleep| now < sleep.until) {
            // After a suspend a timer is late by a slice of a sleep, at most a second.
            let late = match sleep.kind {
                SleepKind::Suspended => hashed([now, id.0.into(), 7]) % SECOND,
                _ => hashed([now, id.0.into(), 7]) % (MILLI / 5),
            };
            process.tick_at = Some(sleep.until + late);
            self.at(sleep.until + late, Due::Tick(id));
            return;
        }
        process.tick_at = None;
        self.give(id, Event::Tick);
    }

    fn send(&mut self, id: ProcessId, call: CallId, request: M::Request) {
        let plan = self.plan;
        let (seed, latency) = (plan.seed, plan.latency);
        self.tell(Happening::Asked { process: id });
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let mut leaves = self.now;
        let mut struck = None;
        if let Some((length, fault)) = process.stop_before_send.take() {
            leaves += length;
            struck = Some(fault);
        }
        process.sent += 1;
        let number = (u64::from(id.0) << 32) | process.sent;
        let clock = &self.seats[process.seat].clock;
        let gives_up = clock.truth(clock.reads(leaves).after(process.limits.call));
        process.calls.push((call, gives_up));
        let (seat, cut_off) = (process.seat, process.cut_off);
        if let Some(fault) = struck {
            let kind = FaultKind::FreezeBeforeSend;
            self.struck(fault, kind, Some(id));
            self.sleep(id, leaves, SleepKind::Frozen);
        }
        if let Some(outcome) = self.model.local(id, &request) {
            self.at(
                leaves + MILLI / 10,
                Due::Answer(id, call, Box::new(outcome)),
            );
            return;
        }
        self.at(gives_up, Due::GiveUp(id, call));
        let fate = fate(&self.on, self.now, seat, number, latency, seed);
        for (fault, kind) in &fate.struck {
            self.struck(*fault, *kind, Some(id));
        }
        if cut_off {
            self.struck(u32::MAX, FaultKind::NodeLost, Some(id));
        }
        // Now and then what seems to be lost is only held up, and lands when nobody waits for it.
        let mut fate = fate;
        if fate.lost && plan.lock.is_for_life() && hashed([seed, number, 15]).is_multiple_of(4) {
            fate.lost = false;
            fate.answer_lost = true;
            fate.there += hashed([seed, number, 16]) % LATEST;
        }
        if fate.lost || cut_off {
            return;
        }
        let arrives = leaves + fate.there;
        if let Some(later) = fate.again {
            let again = Arrival {
                process: id,
                id: call,
                request: request.clone(),
                sent: leaves,
                fate: Fate::default(),
                first: false,
            };
            self.at(arrives + later, Due::Arrive(Box::new(again)));
        }
        let first = Arrival {
            process: id,
            id: call,
            request,
            sent: leaves,
            fate,
            first: true,
        };
        self.at(arrives, Due::Arrive(Box::new(first)));
    }

    fn arrive(&mut self, arrival: Arrival<M>) {
        let Arrival {
            process,
            id,
            request,
            sent,
            fate,
            first,
        } = arrival;
        let outcome = match fate.instead {
            Some(Instead { code, after: false }) => refusal(code),
            instead => {
                let mut answered = None;
                self.at_desk(|model, desk| {
                    desk.sent = sent;
                    answered = Some(model.apply(desk, process, request));
                });
                match (instead, answered) {
                    (None, Some(outcome)) => outcome,
                    (Some(Instead { code, .. }), _) => refusal(code),
                    (None, None) => Outcome::Unknown("no answer".into()),
                }
            }
        };
        if !first || fate.answer_lost {
            return;
        }
        let outcome = match outcome {
            Outcome::Done(_) if fate.truncated => Outcome::Unknown("the answer broke off".into()),
            outcome => outcome,
        };
        self.at(
            self.now + fate.back,
            Due::Answer(process, id, Box::new(outcome)),
        );
    }

    fn answer(&mut self, id: ProcessId, call: CallId, outcome: Outcome<M::Answer>) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let open = process.calls.iter().position(|(open, _)| *open == call);
        if let Some(place) = open {
            process.calls.swap_remove(place);
            self.give(id, Event::Answer { id: call, outcome });
        } else {
            // Nobody waits for it any more (L9), whoever hands it over.
            self.hand_over(id, Event::Answer { id: call, outcome }, None);
        }
    }

    fn give_up(&mut self, id: ProcessId, call: CallId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let Some((_, due)) = process
            .calls
            .iter()
            .find(|(open, _)| *open == call)
            .copied()
        else {
            return;
        };
        if due > now {
            self.at(due, Due::GiveUp(id, call));
        } else if self.awake(id, (), |id, ()| Due::GiveUp(id, call)).is_some() {
            self.answer(id, call, Outcome::Unknown("no answer in time".into()));
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used up here")]
    fn notice(&mut self, id: ProcessId, notice: Notice) {
        self.tell(Happening::Notice {
            process: id,
            notice: notice.clone(),
        });
        match notice {
            Notice::Acquired { .. } => self.work_begins(id),
            Notice::Stop { .. } => self.work_is_told(id),
            Notice::Lost(_) | Notice::Released | Notice::Kept | Notice::ReleaseFailed { .. } => {
                self.drop_work(id);
                let pause = hashed([self.plan.seed, self.now, id.0.into()]) % (2 * SECOND);
                self.at(self.now + pause, Due::Stand(id));
            }
            _ => {}
        }
    }

    fn work_begins(&mut self, id: ProcessId) {
        let obedient = self.is_obedient(id);
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let token = process.shown.map_or(0, |belief| belief.token);
        process.work = Some(Work { token, told: false });
        self.tell(Happening::Work {
            process: id,
            runs: true,
            obedient,
        });
        self.at(self.now + MILLI, Due::WorkActs(id, token));
    }

    fn work_is_told(&mut self, id: ProcessId) {
        let (now, obedient) = (self.now, self.is_obedient(id));
        let Some(process) = self.processes[id.0 as usize].as_mut() else {
            return;
        };
        let Some(work) = process.work.as_mut() else {
            return;
        };
        work.told = true;
        let token = work.token;
        if obedient {
            let mut rng = Rng::new(hashed([self.plan.seed, now, token]), 8);
            let share = u32::try_from(rng.below(95)).unwrap_or(0);
            let clock = &self.seats[process.seat].clock;
            let ends = clock.truth(clock.reads(now).after(process.limits.grace * share / 100));
            self.at(ends, Due::WorkEnds(id, token));
        }
    }

    pub(super) fn work_ends(&mut self, id: ProcessId, token: u64, release: bool) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if process.work.is_none_or(|work| work.token != token) {
            return;
        }
        self.drop_work(id);
        self.give(id, Event::Command(Command::WorkEnded { release }));
    }

    fn drop_work(&mut self, id: ProcessId) {
        if self
            .process_mut(id)
            .and_then(|process| process.work.take())
            .is_some()
        {
            self.tell(Happening::Work {
                process: id,
                runs: false,
                obedient: true,
            });
        }
    }

    fn work_acts(&mut self, id: ProcessId, token: u64) {
        let (now, seed) = (self.now, self.plan.seed);
        let Some(process) = self.processes[id.0 as usize].as_ref() else {
            return;
        };
        if process.work.is_none_or(|work| work.token != token) {
            return;
        }
        let mut rng = Rng::new(hashed([seed, now, token]), 9);
        if process.leads(&self.seats[process.seat].clock, now) {
            // Now and then a process is stopped between its check and its write.
            let late = if rng.chance(50) {
                rng.below(30 * SECOND)
            } else {
                0
            };
            let arrives = now + rng.below(self.plan.latency) + late;
            self.at(arrives, Due::FenceArrives(id, token));
        }
        self.at(
            now + rng.between(SECOND / 2, 6 * SECOND),
            Due::WorkActs(id, token),
        );
    }

    fn is_obedient(&self, id: ProcessId) -> bool {
        self.process(id)
            .is_none_or(|process| self.seats[process.seat].stubborn_until <= self.now)
    }

    /// A watch opens after that time.
    pub(super) fn open_watch(&mut self, id: ProcessId, after: Nanos) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        process.watch.stream += 1;
        let stream = process.watch.stream;
        self.at(self.now + after, Due::WatchOpens(id, stream));
    }

    fn watch_opens(&mut self, id: ProcessId, stream: u64) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if process.watch.stream != stream {
            return;
        }
        process.watch.open = true;
        self.tell(Happening::Watching {
            process: id,
            open: true,
        });
        self.give(id, Event::WatchOpened);
    }

    fn show(&mut self, id: ProcessId, stream: u64, sight: Sight<M::Object>) {
        let current = self
            .process(id)
            .is_some_and(|process| process.watch.open && process.watch.stream == stream);
        if current {
            let version = M::shown(&sight);
            self.give(id, Event::Watch(sight));
            if let Some(version) = version {
                self.tell(Happening::Shown {
                    process: id,
                    version,
                });
            }
        }
    }

    /// Send what the model has to show to everybody who watches.
    fn spread(&mut self, sight: &Sight<M::Object>) {
        self.shown += 1;
        for index in 0..self.processes.len() {
            let Some(process) = &self.processes[index] else {
                continue;
            };
            if process.watch.open && !process.cut_off {
                self.spread_to(process.id, process.seat, sight);
            }
        }
    }

    fn spread_to(&mut self, id: ProcessId, seat: usize, sight: &Sight<M::Object>) {
        let number = (u64::from(id.0) << 32) | self.shown;
        let mut rng = Rng::new(hashed([self.plan.seed, number, 10]), 11);
        let mut at = self.now + MILLI / 2 + rng.below(self.plan.latency);
        let (mut copies, mut in_order) = (1, true);
        let mut struck = Vec::new();
        for on in self.on.iter().filter(|on| on.is_on(self.now, seat)) {
            let mut rng = Rng::new(hashed([on.fault.salt, number, 12]), 13);
            match on.fault.kind {
                FaultKind::WatchSilent
                | FaultKind::PartitionIn
                | FaultKind::PartitionFlapping
                | FaultKind::PartitionLong => copies = 0,
                FaultKind::WatchDuplicated => {
                    copies *= 2;
                    in_order = false;
                }
                FaultKind::WatchReordered => {
                    at += rng.below(12 * SECOND);
                    in_order = false;
                }
                FaultKind::StaleServer => at += lag(on.fault.salt),
                FaultKind::Delays => at += rng.below(3 * SECOND),
                _ => continue,
            }
            struck.push((on.fault.id, on.fault.kind));
        }
        for (fault, kind) in struck {
            self.struck(fault, kind, Some(id));
        }
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if in_order {
            at = at.max(process.watch.last + 1);
            process.watch.last = at;
        }
        let stream = process.watch.stream;
        for copy in 0..copies {
            let at = at + copy * rng.below(3 * SECOND);
            self.at(at, Due::Show(id, stream, Box::new(sight.clone())));
        }
    }

    /// Let the model do something, and carry out what it wants.
    pub(super) fn at_desk(&mut self, work: impl FnOnce(&mut M, &mut Desk<M>)) {
        let mut desk = Desk::new(self.now, Vec::new());
        work(&mut self.model, &mut desk);
        self.clear(desk);
    }

    pub(super) fn clear(&mut self, desk: Desk<M>) {
        for what in desk.told {
            self.tell(what);
        }
        for sight in desk.news {
            self.spread(&sight);
        }
        for (at, what) in desk.later {
            self.at(at, Due::Later(Box::new(what)));
        }
        for id in desk.cut_off {
            if let Some(process) = self.process_mut(id) {
                process.cut_off = true;
            }
        }
        for id in desk.retire {
            self.at(self.now, Due::Retire(id));
        }
        for (id, within) in desk.ask_to_end {
            self.ask_to_end(id, within);
        }
        for id in desk.end {
            self.end(id);
        }
        for (at, seat) in desk.start {
            self.at(at, Due::Start(seat));
        }
    }

    pub(super) fn end(&mut self, id: ProcessId) {
        let Some(process) = self.processes[id.0 as usize].take() else {
            return;
        };
        self.tell(Happening::Ended { process: id });
        self.at_desk(|model, desk| model.ended(desk, id, process.seat));
    }

    fn peace(&mut self) {
        self.peaceful = true;
        self.make_peace();
        let mut within = 0;
        self.at_desk(|model, desk| within = model.peace(desk));
        self.tell(Happening::Peace { within });
        // A duration of years, written by a person, is not waited out.
        self.at(self.now + within.min(LONGEST_PEACE) + SECOND, Due::Over);
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is used up here")]
    pub(super) fn tell(&mut self, what: Happening) {
        if let Some((at, index)) = self.provoked.by(self.plan, self.now, &what) {
            self.at(at, Due::Fault(index));
        }
        if !(self.sink)(self.now, &what) {
            self.over = true;
        }
        if let (true, Happening::Belief { belief, .. }) = (self.peaceful, &what)
            && let (true, None) = (belief.is_some(), self.settled)
        {
            self.settled = Some(self.now);
            self.at(self.now + QUIET, Due::Over);
        }
    }

    pub(super) fn struck(&mut self, fault: u32, kind: FaultKind, process: Option<ProcessId>) {
        self.tell(Happening::Struck {
            fault,
            kind,
            process,
        });
    }

    pub(super) fn at(&mut self, at: Nanos, due: Due<M>) {
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

    /// Who may say at this moment that it leads.
    pub(super) fn believers(&self) -> Vec<ProcessId> {
        self.living()
            .filter(|process| process.leads(&self.seats[process.seat].clock, self.now))
            .map(|process| process.id)
            .collect()
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Process<M>> {
        self.processes.iter().flatten()
    }

    pub(super) fn process(&self, id: ProcessId) -> Option<&Process<M>> {
        self.processes.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn process_mut(&mut self, id: ProcessId) -> Option<&mut Process<M>> {
        self.processes.get_mut(id.0 as usize)?.as_mut()
    }
}

/// How far behind a stale server is.
pub(super) fn lag(salt: u64) -> Nanos {
    SECOND + salt % (25 * SECOND)
}

/// What rule L6 makes of an answer with that code that is none of the object's.
fn refusal<A>(code: u16) -> Outcome<A> {
    let text: Arc<str> = match code {
        401 => "401 Unauthorized".into(),
        403 => "403 Forbidden".into(),
        404 => "404, which does not speak of the object".into(),
        410 => "410 Gone".into(),
        429 => "429 Too Many Requests, Retry-After: 3600".into(),
        code => code.to_string().into(),
    };
    match code {
        409 => Outcome::Conflict,
        401 | 403 | 410 => Outcome::Refused(text),
        _ => Outcome::Unknown(text),
    }
}

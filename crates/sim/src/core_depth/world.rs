//! The queue, and what becomes of each thing in it.

use std::{cmp::Reverse, collections::BinaryHeap};

use tenure_core::{CallId, Command, Event, Outcome, Sight};

use crate::{
    clock::{MILLI, MachineClock, Nanos, SECOND},
    fault::FaultKind,
    plan::Plan,
    provoked::Provoked,
    rng::hashed,
    trace::{Happening, ProcessId},
};

use super::{
    Sink,
    model::{Desk, Model},
    post::Arrival,
    seats::{Process, Seat},
    weather::On,
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
    pub(super) shown: u64,
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

/// How long peace is looked at, at most.
const LONGEST_PEACE: Nanos = 600 * SECOND;

/// No more than this happens in one nanosecond.
const MOST_AT_ONCE: u32 = 100_000;

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
        let mut at_once = 0;
        while let Some(Reverse((at, _, slot))) = self.queue.pop() {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            if at_once > MOST_AT_ONCE {
                self.tell(Happening::Broken {
                    process: None,
                    what: "time stands still: somebody wants to be woken at once, without end"
                        .into(),
                });
                break;
            }
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
            (
                FaultKind::Cooldown,
                seats.iter().any(|seat| seat.cooldown != seats[0].cooldown),
            ),
            (
                FaultKind::TrustedClocks,
                seats.iter().any(|seat| seat.max_skew.is_some()),
            ),
            (FaultKind::Sets, seats.iter().any(|seat| seat.in_set)),
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
    pub(super) fn awake<T>(
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

//! What a kind of lock brings to the world: its elector, its server, and what people do to it.

use std::{fmt::Debug, sync::Arc, time::Duration};

use tenure_core::{Elector, Event, Outcome, Sight};

use crate::{
    clock::Nanos,
    fault::{Fault, FaultKind},
    plan::Plan,
    trace::{Against, Happening, ProcessId, Seeing},
};

/// A kind of lock, with everything about it that is no candidate.
pub(super) trait Model: Sized {
    /// What decides who leads.
    type Elector: Elector<Request = Self::Request, Answer = Self::Answer, Object = Self::Object>;
    /// What it asks for.
    type Request: Clone + Debug;
    /// What it gets.
    type Answer: Clone + Debug;
    /// What its watch shows.
    type Object: Clone + Debug;
    /// Something of the model's own that happens later.
    type Later: Clone + Debug;

    fn new(plan: &Plan) -> Self;

    /// Whether a process is to be started in that seat now; `taken` tells whether one sits there.
    fn vacant(&self, _now: Nanos, _seat: usize, taken: bool) -> bool {
        !taken
    }

    /// A process starts: its elector, which stands by.
    fn start(&mut self, desk: &mut Desk<Self>, newcomer: &Newcomer<'_>) -> Self::Elector;

    /// What a process calls itself, where it can be named as a successor (L22).
    fn identity(&self, _process: ProcessId) -> Option<Arc<str>> {
        None
    }

    /// A process has ended.
    fn ended(&mut self, _desk: &mut Desk<Self>, _process: ProcessId, _seat: usize) {}

    /// The answer to a request that never leaves the machine.
    fn local(
        &mut self,
        _process: ProcessId,
        _request: &Self::Request,
    ) -> Option<Outcome<Self::Answer>> {
        None
    }

    /// Whether it is a look at the lock.
    fn reads(request: &Self::Request) -> bool;

    /// Whether it creates the lock.
    fn creates(request: &Self::Request) -> bool;

    /// A request arrives at the server.
    fn apply(
        &mut self,
        desk: &mut Desk<Self>,
        process: ProcessId,
        request: Self::Request,
    ) -> Outcome<Self::Answer>;

    /// What an event shows a process of the lock.
    fn sees(event: &Event<Self::Answer, Self::Object>) -> Option<(u64, Seeing)> {
        match event {
            Event::Watch(Sight::Seen(object)) => Some((Self::version(object), Seeing::Watched)),
            Event::Watch(Sight::Gone(version)) => {
                let version = version.resource_version.as_str().parse();
                Some((version.unwrap_or(0), Seeing::Gone))
            }
            Event::Answer { outcome, .. } => match outcome {
                Outcome::Done(answer) => Some((Self::answered(answer), Seeing::Answered)),
                Outcome::NotFound(_) => Some((0, Seeing::Absent)),
                Outcome::AlreadyExists => Some((0, Seeing::Exists)),
                Outcome::Conflict => Some((0, Seeing::Answered)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The resourceVersion of the lock that an answer holds, where it matters who has seen which.
    fn answered(_answer: &Self::Answer) -> u64 {
        0
    }

    /// The resourceVersion of what a watch shows, where it matters who has seen which.
    fn version(_object: &Self::Object) -> u64 {
        0
    }

    /// The resourceVersion of what a watch shows, where whoever is shown it has to go by it at once.
    fn shown(_sight: &Sight<Self::Object>) -> Option<u64> {
        None
    }

    /// What the watch of a server that is behind by that much shows first.
    fn old_state(&self, then: Nanos) -> Option<Sight<Self::Object>>;

    /// A fault strikes the lock, the server or the Pods. False where it could do nothing.
    fn strike(&mut self, desk: &mut Desk<Self>, fault: &Fault, victim: Option<Victim>) -> bool;

    /// A fault of the model's that lasts has ended.
    fn strike_ends(&mut self, _desk: &mut Desk<Self>, _fault: &Fault) {}

    /// A process shall not stand again, and live on: whether nobody has to wait for it then.
    fn retires(&mut self, _process: ProcessId) -> bool {
        true
    }

    /// What was to happen later happens.
    fn later(&mut self, _desk: &mut Desk<Self>, _what: Self::Later) {}

    /// The faults are over: people put right what only they can. Then somebody leads within the
    /// time that is given back.
    fn peace(&mut self, desk: &mut Desk<Self>) -> Nanos;
}

/// Who starts, and as what.
pub(super) struct Newcomer<'a> {
    pub(super) plan: &'a Plan,
    pub(super) seat: usize,
    pub(super) process: ProcessId,
    /// The identity of the process beside which it starts as a twin.
    pub(super) twin_of: Option<ProcessId>,
    /// A number of its own.
    pub(super) seed: u64,
}

/// Whom a fault strikes, as the world found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    pub(super) process: ProcessId,
    pub(super) seat: usize,
}

/// What a model asks the world to do.
pub(super) struct Desk<M: Model> {
    pub(super) now: Nanos,
    /// When the request that is applied left its process.
    pub(super) sent: Nanos,
    /// Who believes at this moment.
    pub(super) believers: Vec<ProcessId>,
    pub(super) told: Vec<Happening>,
    /// What watches shall show.
    pub(super) news: Vec<Sight<M::Object>>,
    pub(super) later: Vec<(Nanos, M::Later)>,
    /// Processes that end now.
    pub(super) end: Vec<ProcessId>,
    /// Processes that are told to end, and end within that time.
    pub(super) ask_to_end: Vec<(ProcessId, Nanos)>,
    /// Processes that stand no more, and live on.
    pub(super) retire: Vec<ProcessId>,
    /// Processes that are cut off from now on.
    pub(super) cut_off: Vec<ProcessId>,
    /// Seats in which a process starts at that moment, if they are vacant.
    pub(super) start: Vec<(Nanos, usize)>,
}

impl<M: Model> Desk<M> {
    pub(super) fn new(now: Nanos, believers: Vec<ProcessId>) -> Self {
        Self {
            now,
            sent: now,
            believers,
            told: Vec::new(),
            news: Vec::new(),
            later: Vec::new(),
            end: Vec::new(),
            ask_to_end: Vec::new(),
            retire: Vec::new(),
            cut_off: Vec::new(),
            start: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, what: Happening) {
        self.told.push(what);
    }

    /// What comes of the present beliefs, and of `holder`'s, is not covered.
    pub(super) fn excuse(&mut self, kind: FaultKind, against: Against, holder: Option<ProcessId>) {
        let mut excused = self.believers.clone();
        excused.extend(holder.filter(|holder| !self.believers.contains(holder)));
        for process in excused {
            self.tell(Happening::Excused {
                process,
                kind,
                against,
                for_good: false,
            });
        }
    }
}

/// How long a candidate of this seat waits for an answer, and its work has to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) call: Duration,
    pub(super) grace: Duration,
}

impl Limits {
    pub(super) fn of(plan: &Plan, seat: usize) -> Self {
        if plan.lock.is_for_life() {
            let timing = crate::plan::SeatTiming::life();
            return Self {
                call: timing.call_limit,
                grace: timing.grace,
            };
        }
        let seat = &plan.seats[seat];
        Self {
            call: seat.call_limit(),
            grace: seat.timing.lease().grace(),
        }
    }
}

/// What a process is called where its seat's Pod is named.
pub(super) fn pod_name(seat: usize) -> Arc<str> {
    format!("c{seat}").into()
}

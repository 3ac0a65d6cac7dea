//! The queue of what happens when, in true time, and what becomes of each thing in it.
//!
//! A process runs up to its next timer, or until something is handed to it. What it does meanwhile
//! goes into the queue at the true time at which it did so; nothing is ever taken back, but for what
//! a process would have done after its end.

use std::{cmp::Reverse, collections::BinaryHeap, sync::atomic::Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::{MILLI, MachineClock, Nanos, SECOND},
    core_depth::{Sink, weather::On},
    fault::FaultKind,
    plan::Plan,
    provoked::Provoked,
    rng::hashed,
    trace::{Believed, Happening, ProcessId},
};

use super::{
    api::Api,
    cluster::Cluster,
    inside::Outgoing,
    net::{Answer, Piece},
    process::Process,
    traffic::Arrival,
    watching::ServerWatch,
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
    /// Answers of which the rest never comes.
    pub(super) unfinished: Vec<mpsc::UnboundedSender<Piece>>,
    /// How many events watches were to show.
    pub(super) shown: u64,
    /// When history was taken back last.
    pub(super) restored: Nanos,
    /// Since when the lock says what it says.
    pub(super) since: Nanos,
    /// Who has replaced the lock last, where that is one of the fleet.
    pub(super) by: Option<ProcessId>,
    /// The longest duration that anybody ever wrote.
    pub(super) longest: Nanos,
    pub(super) queue: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    pub(super) due: Vec<Option<Due>>,
    pub(super) free: Vec<usize>,
    pub(super) pushed: u64,
    /// The highest token that the fenced resource has taken.
    pub(super) fenced: u64,
    pub(super) sink: Sink<'a>,
    pub(super) provoked: Provoked,
    pub(super) over: bool,
    pub(super) peaceful: bool,
    pub(super) settled: bool,
    /// The sink wants no more.
    pub(super) stopped: bool,
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
    Ordered(ProcessId),
    Freed(ProcessId),
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
            unfinished: Vec::new(),
            shown: 0,
            restored: 0,
            since: 0,
            by: None,
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
                    let now = self.now;
                    let cancelled = self.process_mut(id).and_then(|process| {
                        let due = process.cancel_at.take_if(|at| *at <= now);
                        due.map(|_| process.inside.clone())
                    });
                    self.hand(id, move || {
                        let (to, answer) = *answer;
                        let _ = to.send(answer);
                        if let Some(inside) = cancelled {
                            inside.cancel.notify_one();
                        }
                    });
                }
            }
            Due::Shows(watch, piece) => self.shows(watch, piece),
            Due::WatchEnds(watch, broken) => self.watch_ends(watch, broken),
            Due::Ordered(id) => {
                let now = self.now;
                if let Some(process) = self.process_mut(id) {
                    process.ordered = Some(now);
                }
            }
            Due::Freed(id) => {
                if self.holds_by_its_own_hand(id) {
                    self.tell(Happening::Broken {
                        process: Some(id),
                        what: "says that the lock is free, and holds it (L11, F10)".into(),
                    });
                }
            }
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

    fn peace(&mut self) {
        self.peaceful = true;
        let within = self.make_peace();
        self.tell(Happening::Peace { within });
        self.at(self.now + within.min(LONGEST_PEACE) + SECOND, Due::Over);
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
        self.unfinished.clear();
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
}

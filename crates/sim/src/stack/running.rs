//! Processes start, run up to a moment, sleep, wake and end.

use std::sync::Arc;

use tenure::Instant;

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    rng::hashed,
    trace::{Against, Happening, ProcessId},
};

use super::{
    inside::Out,
    process::{Process, Sleep, SleepKind},
    world::{Due, World},
};

/// Timers go by whole milliseconds: a process may be so far ahead.
const TICK: Nanos = 2 * MILLI;
/// A release that was ordered has left by then: a call that is under way comes first.
const FORGOTTEN: Nanos = 10 * SECOND;

impl World<'_> {
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
                    trusts_clocks: self.plan.seats[seat].max_skew.is_some(),
                    cooldown: self.plan.seats[seat].cools_for(),
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

    pub(super) fn machine_sleeps(&self, seat: usize) -> Option<Nanos> {
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
                Out::Tell(what) => Due::Tell(Some(id), what),
                Out::Ordered => Due::Ordered(id),
                Out::Freed => Due::Freed(id),
                Out::Request(request) => Due::Leaves(id, request),
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
    pub(super) fn ahead(&self, process: &Process) -> Nanos {
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

    pub(super) fn wake(&mut self, id: ProcessId) {
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
        process.ordered = process.ordered.map(|_| now);
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

    pub(super) fn set_rate(&mut self, seat: usize, rate: u64) {
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
        let forgotten = process.ordered.is_some_and(|at| self.now > at + FORGOTTEN);
        // It may have stopped in the middle of something.
        let awake = process.sleep.is_none() && self.ahead(&process) <= self.now;
        if forgotten && awake && self.holds_by_its_own_hand(id) {
            self.tell(Happening::Broken {
                process: Some(id),
                what: "never sent a release that was ordered (L10)".into(),
            });
        }
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
}

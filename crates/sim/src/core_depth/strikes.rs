//! Faults that strike processes, machines and their watches; those of the lock and of Pods go on
//! to the model.

use std::sync::Arc;

use tenure_core::{Command, Elector as _, Event};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind, Target},
    plan::{FASTEST, SLOWEST},
    rng::Rng,
    trace::{Against, Happening, ProcessId},
};

use super::{
    model::{Desk, Model, Victim},
    seats::{Sleep, SleepKind},
    watching::lag,
    weather::On,
    world::{Due, World},
};

impl<M: Model> World<'_, M> {
    pub(super) fn fault(&mut self, index: usize) {
        let fault = self.plan.faults[index].clone();
        let victims = self.victims(&fault);
        let first = victims.first().copied();
        match fault.kind {
            FaultKind::ClockDrift | FaultKind::ClockBeyond => {
                self.each_seat(&fault, first, |world, seat| world.drift(&fault, seat));
                self.at(fault.ends(), Due::FaultEnds(index));
            }
            FaultKind::WallStep => {
                let hours = i64::try_from(fault.salt % 8).unwrap_or(0) - 4;
                let micros = hours * 3_600_000_000 + 1_234_567;
                self.each_seat(&fault, first, |world, seat| {
                    world.seats[seat].clock.step_wall(micros);
                });
                self.struck(fault.id, fault.kind, None);
            }
            FaultKind::Freeze | FaultKind::Suspend | FaultKind::VmPause => {
                self.put_to_sleep(&fault, &victims);
            }
            FaultKind::FreezeBeforeSend => {
                for victim in victims {
                    if let Some(process) = self.process_mut(victim.process) {
                        process.stop_before_send = Some((fault.lasts, fault.id));
                    }
                }
            }
            FaultKind::Crash => {
                if let Some(victim) = first {
                    self.struck(fault.id, fault.kind, Some(victim.process));
                    self.end(victim.process);
                    let pause = Rng::new(fault.salt, 20).between(SECOND / 5, 12 * SECOND);
                    self.at(self.now + pause, Due::Start(victim.seat));
                }
            }
            FaultKind::Twin => {
                if let Some(victim) = first {
                    self.struck(fault.id, fault.kind, Some(victim.process));
                    self.start(victim.seat, Some(victim.process));
                }
            }
            FaultKind::Cancel => self.cancel(&fault, first),
            FaultKind::StubbornWork => {
                if let Some(victim) = first {
                    self.struck(fault.id, fault.kind, Some(victim.process));
                    self.seats[victim.seat].stubborn_until = fault.ends();
                }
            }
            FaultKind::StepDown => {
                if let Some(victim) = first.filter(|victim| !self.is_asleep(victim.process)) {
                    self.struck(fault.id, fault.kind, Some(victim.process));
                    self.give(victim.process, Event::Command(Command::StepDown));
                }
            }
            FaultKind::HandOver => {
                if let Some(victim) = first.filter(|victim| !self.is_asleep(victim.process)) {
                    self.struck(fault.id, fault.kind, Some(victim.process));
                    let (process, to) = (victim.process, self.somebody(fault.salt));
                    self.tell(Happening::HandsOver {
                        process,
                        to: to.clone(),
                    });
                    self.give(process, Event::Command(Command::HandOver { to }));
                }
            }
            FaultKind::WatchCut | FaultKind::WatchCompacted => {
                for victim in victims {
                    self.cut_watch(&fault, victim.process);
                }
            }
            FaultKind::StaleServer => {
                for victim in &victims {
                    self.serve_stale(&fault, victim.process);
                }
                self.begin(&fault, index, first);
            }
            _ if is_weather(fault.kind) => self.begin(&fault, index, first),
            _ => self.strike_model(&fault, index, first),
        }
    }

    pub(super) fn fault_ends(&mut self, index: usize) {
        let fault = &self.plan.faults[index];
        match fault.kind {
            FaultKind::ClockDrift | FaultKind::ClockBeyond => {
                for seat in 0..self.seats.len() {
                    let usual = self.plan.seats[seat].rate;
                    if self.seats[seat].clock.rate() != usual {
                        self.set_rate(seat, usual);
                    }
                }
            }
            kind if is_weather(kind) => self.on.retain(|on| on.fault.id != fault.id),
            _ => {
                let fault = fault.clone();
                self.at_desk(|model, desk| model.strike_ends(desk, &fault));
            }
        }
    }

    /// All that the faults did to processes and machines ends.
    pub(super) fn make_peace(&mut self) {
        self.on.clear();
        for seat in 0..self.seats.len() {
            self.seats[seat].stubborn_until = 0;
            let usual = self.plan.seats[seat].rate;
            if self.seats[seat].clock.rate() != usual {
                self.set_rate(seat, usual);
            }
        }
        let ids: Vec<ProcessId> = self.living().map(|process| process.id).collect();
        for id in ids {
            let cut_off = self.process(id).is_some_and(|process| process.cut_off);
            if cut_off {
                self.end(id);
            }
            if let Some(process) = self.process_mut(id) {
                process.stop_before_send = None;
                let open = process.watch.open;
                if process.sleep.is_some() {
                    self.wake_now(id);
                }
                if !open {
                    self.open_watch(id, SECOND / 10);
                }
                // Work that would not end, and had been told to, ends now.
                if let Some(work) = self.process(id).and_then(|p| p.work).filter(|w| w.told) {
                    self.at(self.now + MILLI, Due::WorkEnds(id, work.token));
                }
            }
        }
        for seat in 0..self.seats.len() {
            self.at(self.now + SECOND / 2, Due::Start(seat));
        }
    }

    /// Tell a process to end, and end it.
    pub(super) fn ask_to_end(&mut self, id: ProcessId, within: Nanos) {
        self.retire(id);
        self.at(self.now + within, Due::End(id));
    }

    /// A process stands no more.
    pub(super) fn retire(&mut self, id: ProcessId) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        process.leaving = true;
        if !self.is_asleep(id) {
            self.give(id, Event::Command(Command::StepDown));
            self.give(id, Event::Command(Command::Withdraw));
        }
    }

    pub(super) fn sleep(&mut self, id: ProcessId, until: Nanos, kind: SleepKind) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let sleep = Sleep {
            since: now,
            until,
            kind,
        };
        process.sleep = Some(sleep);
        self.at(until, Due::Wake(id));
    }

    pub(super) fn wake(&mut self, id: ProcessId) {
        let now = self.now;
        let due = self
            .process(id)
            .and_then(|process| process.sleep)
            .is_some_and(|sleep| sleep.until <= now);
        if due {
            self.wake_now(id);
        }
    }

    fn wake_now(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let Some(sleep) = process.sleep.take() else {
            return;
        };
        let seat = process.seat;
        let lasted = now - sleep.since;
        if sleep.kind != SleepKind::Frozen {
            // Timers of calls stood still.
            for (_, gives_up) in &mut process.calls {
                *gives_up += lasted;
            }
        }
        self.tell(Happening::Slept {
            process: id,
            since: sleep.since,
        });
        if sleep.kind == SleepKind::Paused {
            self.seats[seat].clock.stood_still(sleep.since, now);
            self.show_belief(id);
            self.arm(id);
        }
    }

    fn is_asleep(&self, id: ProcessId) -> bool {
        self.process(id)
            .is_none_or(|process| process.is_asleep(self.now))
    }

    fn victims(&self, fault: &Fault) -> Vec<Victim> {
        let of = |process: &super::seats::Process<M>| Victim {
            process: process.id,
            seat: process.seat,
        };
        let sits = |seat: usize| self.living().find(|p| p.seat == seat && !p.cut_off).map(of);
        match fault.target {
            Target::Everybody => self.living().map(of).collect(),
            Target::Seat(seat) => sits(seat).into_iter().collect(),
            Target::LeaderOr(seat) => self
                .living()
                .find(|process| process.elector.belief().is_some() && !process.cut_off)
                .map(of)
                .or_else(|| sits(seat))
                .into_iter()
                .collect(),
        }
    }

    /// From now on it is part of the weather.
    fn begin(&mut self, fault: &Fault, index: usize, victim: Option<Victim>) {
        let seat = match fault.target {
            Target::Everybody => None,
            _ => victim.map(|victim| victim.seat),
        };
        self.on.push(On {
            fault: fault.clone(),
            seat,
        });
        self.at(fault.ends(), Due::FaultEnds(index));
    }

    fn each_seat(
        &mut self,
        fault: &Fault,
        victim: Option<Victim>,
        mut strike: impl FnMut(&mut Self, usize),
    ) {
        match (fault.target, victim) {
            (Target::Everybody, _) => (0..self.seats.len()).for_each(|seat| strike(self, seat)),
            (_, Some(victim)) => strike(self, victim.seat),
            (_, None) => {}
        }
    }

    fn drift(&mut self, fault: &Fault, seat: usize) {
        let mut rng = Rng::new(fault.salt, 21 + seat as u64);
        let beyond = fault.kind == FaultKind::ClockBeyond;
        let rate = match (beyond, rng.below(3)) {
            (true, 0) => rng.between(300_000, 900_000),
            (true, _) => rng.between(1_150_000, 3_000_000),
            (false, 0) => SLOWEST,
            (false, 1) => FASTEST,
            (false, _) => rng.between(SLOWEST, FASTEST),
        };
        let here: Vec<ProcessId> = self
            .living()
            .filter(|process| process.seat == seat)
            .map(|process| process.id)
            .collect();
        for process in here {
            self.struck(fault.id, fault.kind, Some(process));
            if beyond {
                self.tell(Happening::Excused {
                    process,
                    kind: fault.kind,
                    against: Against::Everybody,
                    for_good: true,
                });
            }
        }
        self.set_rate(seat, rate);
    }

    fn set_rate(&mut self, seat: usize, rate: u64) {
        self.seats[seat].clock.drift(self.now, rate);
        let here: Vec<ProcessId> = self
            .living()
            .filter(|process| process.seat == seat)
            .map(|process| process.id)
            .collect();
        for id in here {
            self.show_belief(id);
            self.arm(id);
        }
    }

    fn put_to_sleep(&mut self, fault: &Fault, victims: &[Victim]) {
        let kind = match fault.kind {
            FaultKind::Suspend => SleepKind::Suspended,
            FaultKind::VmPause => SleepKind::Paused,
            _ => SleepKind::Frozen,
        };
        for victim in victims {
            // A machine sleeps with all that runs on it.
            let here: Vec<ProcessId> = self
                .living()
                .filter(|process| match kind {
                    SleepKind::Frozen => process.id == victim.process,
                    _ => process.seat == victim.seat,
                })
                .map(|process| process.id)
                .collect();
            if here.iter().any(|id| self.is_asleep(*id)) {
                continue;
            }
            for id in here {
                self.struck(fault.id, fault.kind, Some(id));
                if kind == SleepKind::Paused {
                    self.tell(Happening::Excused {
                        process: id,
                        kind: fault.kind,
                        against: Against::Everybody,
                        for_good: false,
                    });
                }
                self.sleep(id, fault.ends(), kind);
            }
        }
    }

    /// Whom a leader may name as its successor: somebody who stands, by identity or Pod, or nobody.
    fn somebody(&self, salt: u64) -> Arc<str> {
        let seat = usize::try_from(salt / 4 % 4).unwrap_or(0);
        let sits = self
            .processes
            .iter()
            .flatten()
            .rfind(|process| process.seat == seat);
        match (
            salt % 4,
            sits.and_then(|process| self.model.identity(process.id)),
        ) {
            (0, _) => "nobody-of-that-name".into(),
            (1, _) | (_, None) => format!("c{seat}").into(),
            (_, Some(identity)) => identity,
        }
    }

    fn cancel(&mut self, fault: &Fault, victim: Option<Victim>) {
        let Some(victim) = victim.filter(|victim| !self.is_asleep(victim.process)) else {
            return;
        };
        let id = victim.process;
        self.struck(fault.id, fault.kind, Some(id));
        let work = self.process(id).and_then(|process| process.work);
        // Who does not stand again, and lives on in its Pod, would keep its lock for life.
        let leaving = self.process(id).is_some_and(|process| process.leaving);
        let mut rng = Rng::new(fault.salt, 22);
        let pause = rng.below(8 * SECOND);
        match work {
            Some(work) => {
                let release = leaving || fault.salt.is_multiple_of(2);
                self.work_ends(id, work.token, release);
            }
            // In one seat some never stand again, and live on.
            None if victim.seat == 0 && rng.chance(300) && self.model.retires(id) => {
                self.retire(id);
                return;
            }
            None => self.give(id, Event::Command(Command::Withdraw)),
        }
        self.at(self.now + pause, Due::Stand(id));
    }

    fn cut_watch(&mut self, fault: &Fault, id: ProcessId) {
        let asleep = self.is_asleep(id);
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if !process.watch.open || asleep {
            return;
        }
        process.watch.open = false;
        self.struck(fault.id, fault.kind, Some(id));
        self.tell(Happening::Watching {
            process: id,
            open: false,
        });
        self.give(id, Event::WatchClosed);
        let closed = match fault.kind {
            FaultKind::WatchCompacted => SECOND / 10,
            _ => fault.lasts,
        };
        self.open_watch(id, closed);
    }

    /// The watch is opened anew, at a server that is behind.
    fn serve_stale(&mut self, fault: &Fault, id: ProcessId) {
        let now = self.now;
        let old = self.model.old_state(now.saturating_sub(lag(fault.salt)));
        let Some(process) = self.process_mut(id) else {
            return;
        };
        let stream = process.watch.stream;
        if let Some(sight) = old.filter(|_| process.watch.open) {
            self.struck(fault.id, fault.kind, Some(id));
            let at = now + self.latency(fault.salt);
            self.at(at, Due::Show(id, stream, Box::new(sight)));
        }
    }

    fn strike_model(&mut self, fault: &Fault, index: usize, victim: Option<Victim>) {
        let mut desk = Desk::new(self.now, self.believers());
        if self.model.strike(&mut desk, fault, victim) {
            self.struck(fault.id, fault.kind, victim.map(|victim| victim.process));
        }
        self.clear(desk);
        // It may have begun before its time.
        self.at(self.now + fault.lasts, Due::FaultEnds(index));
    }
}

fn is_weather(kind: FaultKind) -> bool {
    use FaultKind as K;
    !matches!(
        kind,
        K::Restore
            | K::ForceDelete
            | K::Evict
            | K::NodeLost
            | K::NameReuse
            | K::GcLate
            | K::GcOff
            | K::PeopleDelete
            | K::PeopleEdit
            | K::PeopleEmpty
            | K::PeopleReown
            | K::PeopleRecreate
            | K::PeopleLabel
            | K::AskStepDown
            | K::AskNobody
            | K::PauseLease
    )
}

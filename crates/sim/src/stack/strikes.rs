//! Faults that strike processes, machines and their watches, and the end of all of them.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    core_depth::weather::On,
    fault::{Fault, FaultKind, Target},
    plan::{FASTEST, SLOWEST},
    rng::Rng,
    trace::{Against, Happening, ProcessId},
};

use super::{
    process::SleepKind,
    world::{Due, World},
};

impl World<'_> {
    pub(super) fn fault(&mut self, index: usize) {
        let fault = self.plan.faults[index].clone();
        if self.plan.seats.iter().any(|seat| seat.in_set) {
            self.api.neighbour_writes(self.now);
        }
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
                    world.clock_changed(seat);
                });
                self.struck(fault.id, fault.kind, None);
            }
            FaultKind::Freeze => self.freeze(&fault, &victims),
            FaultKind::Suspend | FaultKind::VmPause => self.machines_sleep(&fault, &victims),
            FaultKind::FreezeBeforeSend => {
                for victim in victims {
                    self.stop_before_send(&fault, victim);
                }
            }
            FaultKind::Crash => {
                if let Some(victim) = first {
                    self.struck(fault.id, fault.kind, Some(victim));
                    let seat = self.seat_of(victim);
                    self.end(victim);
                    let pause = Rng::new(fault.salt, 20).between(SECOND / 5, 12 * SECOND);
                    self.crashed(victim, seat, pause);
                }
            }
            FaultKind::Twin => {
                if let Some(victim) = first {
                    self.struck(fault.id, fault.kind, Some(victim));
                    let seat = self.seat_of(victim);
                    self.start(seat, Some(victim));
                }
            }
            FaultKind::Cancel => {
                if let Some(victim) = first.filter(|victim| !self.is_asleep(*victim)) {
                    self.struck(fault.id, fault.kind, Some(victim));
                    self.with(victim, |process, to| {
                        // At times in the very moment in which leadership comes.
                        if fault.salt.is_multiple_of(3) && inside_waits(process) {
                            process.cancel_soon = true;
                            return Ok(());
                        }
                        let inside = process.inside.clone();
                        process.hand(to, move || inside.cancel.notify_one())
                    });
                }
            }
            FaultKind::StubbornWork => {
                if let Some(victim) = first {
                    self.struck(fault.id, fault.kind, Some(victim));
                    let seat = self.seat_of(victim);
                    self.seats[seat].stubborn_until = fault.ends();
                    self.set_stubborn(seat);
                    self.at(fault.ends(), Due::FaultEnds(index));
                }
            }
            FaultKind::StepDown => {
                if let Some(victim) = first.filter(|victim| !self.is_asleep(*victim)) {
                    self.struck(fault.id, fault.kind, Some(victim));
                    self.step_down(victim, None);
                }
            }
            FaultKind::HandOver => {
                if let Some(victim) = first.filter(|victim| !self.is_asleep(*victim)) {
                    self.struck(fault.id, fault.kind, Some(victim));
                    let to = self.somebody(fault.salt);
                    self.step_down(victim, Some(to));
                }
            }
            FaultKind::WatchCut | FaultKind::WatchCompacted => {
                for victim in victims {
                    self.cut_watch(&fault, victim);
                }
            }
            FaultKind::StaleServer => {
                self.begin(&fault, index, first);
                for victim in victims {
                    self.reopen_watch(victim);
                }
            }
            kind if is_weather(kind) => self.begin(&fault, index, first),
            _ => {
                if self.strike_cluster(&fault, first) {
                    self.struck(fault.id, fault.kind, first);
                }
                // It may have begun before its time.
                self.at(self.now + fault.lasts, Due::FaultEnds(index));
            }
        }
    }

    pub(super) fn fault_ends(&mut self, index: usize) {
        let fault = self.plan.faults[index].clone();
        match fault.kind {
            FaultKind::ClockDrift | FaultKind::ClockBeyond => self.usual_rates(),
            FaultKind::StubbornWork => {
                for seat in 0..self.seats.len() {
                    self.set_stubborn(seat);
                }
            }
            kind if is_weather(kind) => self.on.retain(|on| on.fault.id != fault.id),
            _ => self.cluster_strike_ends(&fault),
        }
    }

    /// All faults end. Then somebody leads within the time that is given back.
    pub(super) fn make_peace(&mut self) -> Nanos {
        self.on.clear();
        self.usual_rates();
        for seat in 0..self.seats.len() {
            self.seats[seat].stubborn_until = 0;
            self.seats[seat].no_watch_until = 0;
            self.set_stubborn(seat);
        }
        let ids: Vec<ProcessId> = self.living().map(|process| process.id).collect();
        for id in ids {
            if self
                .process(id)
                .is_some_and(|process| process.cut_off.is_some())
            {
                self.end(id);
                continue;
            }
            let Some(process) = self.process_mut(id) else {
                continue;
            };
            process.inside.clock.unstop();
            process
                .inside
                .stop_before_send
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if process.sleep.is_some() {
                self.wake_now(id);
            }
        }
        for seat in 0..self.seats.len() {
            self.at(self.now + SECOND / 2, Due::Start(seat));
        }
        self.cluster_peace()
    }

    /// Tell a process to end, and end it.
    pub(super) fn ask_to_end(&mut self, id: ProcessId, within: Nanos) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        process.leaving = true;
        process.inside.leaving.store(true, Ordering::Relaxed);
        if !self.is_asleep(id) {
            self.step_down(id, None);
        }
        self.at(self.now + within, Due::End(id));
    }

    fn step_down(&mut self, id: ProcessId, successor: Option<String>) {
        self.with(id, |process, to| {
            let inside = process.inside.clone();
            process.hand(to, move || match (inside.leadership(), successor) {
                (Some(leadership), Some(successor)) => {
                    inside.is_asked_to_end();
                    inside.is_to_hand_over(Some(&successor));
                    let named = leadership.hand_over_to(&successor);
                    debug_assert!(named.is_ok(), "{successor:?}");
                }
                (Some(leadership), None) => {
                    inside.is_asked_to_end();
                    inside.is_to_hand_over(None);
                    leadership.step_down();
                }
                (None, _) => {}
            })
        });
    }

    /// Whoever leads is asked to step down by way of an earlier leadership, which asks nobody.
    pub(super) fn ask_former_terms(&mut self) {
        for id in self.believers() {
            if self.is_asleep(id) {
                continue;
            }
            self.with(id, |process, to| {
                let former = process.inside.former();
                process.hand(to, move || {
                    if let Some(former) = former {
                        former.step_down();
                    }
                })
            });
        }
    }

    /// Whom a leader may name as its successor: somebody who stands, by identity or Pod, or nobody.
    fn somebody(&self, salt: u64) -> String {
        let seat = usize::try_from(salt / 4 % 4).unwrap_or(0);
        let sits = self.living().filter(|process| process.seat == seat).last();
        match (salt % 4, sits) {
            (0, _) => "nobody-of-that-name".to_owned(),
            (1, _) | (_, None) => super::pods::name(seat),
            (_, Some(process)) => process.identity.to_string(),
        }
    }

    fn victims(&self, fault: &Fault) -> Vec<ProcessId> {
        let sits = |seat: usize| {
            self.living()
                .find(|process| process.seat == seat && process.cut_off.is_none())
                .map(|process| process.id)
        };
        match fault.target {
            Target::Everybody => self.living().map(|process| process.id).collect(),
            Target::Seat(seat) => sits(seat).into_iter().collect(),
            Target::LeaderOr(seat) => self
                .believers()
                .into_iter()
                .find(|id| {
                    self.process(*id)
                        .is_some_and(|process| process.cut_off.is_none())
                })
                .or_else(|| sits(seat))
                .into_iter()
                .collect(),
        }
    }

    pub(super) fn seat_of(&self, id: ProcessId) -> usize {
        self.process(id).map_or(0, |process| process.seat)
    }

    /// From now on it is part of the weather.
    fn begin(&mut self, fault: &Fault, index: usize, victim: Option<ProcessId>) {
        let seat = match fault.target {
            Target::Everybody => None,
            _ => victim.map(|victim| self.seat_of(victim)),
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
        victim: Option<ProcessId>,
        mut strike: impl FnMut(&mut Self, usize),
    ) {
        match (fault.target, victim) {
            (Target::Everybody, _) => (0..self.seats.len()).for_each(|seat| strike(self, seat)),
            (_, Some(victim)) => {
                let seat = self.seat_of(victim);
                strike(self, seat);
            }
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
        for process in self.sitting(seat) {
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
        self.seats[seat].beyond |= beyond;
        self.at(self.now, Due::SetRate(seat, rate));
    }

    fn usual_rates(&mut self) {
        for seat in 0..self.seats.len() {
            let usual = self.plan.seats[seat].rate;
            if self.seats[seat].clock.rate() != usual {
                self.seats[seat].beyond = false;
                self.at(self.now, Due::SetRate(seat, usual));
            }
        }
    }

    fn set_stubborn(&self, seat: usize) {
        let stubborn = self.seats[seat].stubborn_until > self.now;
        for process in self.living().filter(|process| process.seat == seat) {
            process.inside.stubborn.store(stubborn, Ordering::Relaxed);
        }
    }

    /// A process stops: at rest, or in the middle of what it does next.
    fn freeze(&mut self, fault: &Fault, victims: &[ProcessId]) {
        let mut rng = Rng::new(fault.salt, 23);
        for id in victims.iter().copied() {
            if self.is_asleep(id) {
                continue;
            }
            if self.plan.lock.is_for_life() && rng.chance(500) {
                let seat = self.seat_of(id);
                self.invent_end(seat, rng.next_u64());
            }
            if rng.chance(400) {
                self.struck(fault.id, fault.kind, Some(id));
                self.put_to_sleep(id, fault.ends(), SleepKind::Frozen);
                continue;
            }
            let readings = u32::try_from(rng.between(1, 40)).unwrap_or(1);
            let most = self.goes_on_by(id, self.plan.faults_end);
            if let Some(process) = self.process_mut(id) {
                process.stops = Some(fault.id);
                process.inside.clock.goes_on_at(most);
                process.inside.clock.stop_at(readings, fault.lasts);
            }
        }
    }

    fn stop_before_send(&mut self, fault: &Fault, id: ProcessId) {
        let most = self.goes_on_by(id, self.plan.faults_end);
        if let Some(process) = self.process_mut(id) {
            process.stops_before_send = Some(fault.id);
            process.inside.clock.goes_on_at(most);
            let mut stop = process
                .inside
                .stop_before_send
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *stop = Some(fault.lasts);
        }
    }

    fn goes_on_by(&self, id: ProcessId, truth: Nanos) -> tenure::Instant {
        self.seats[self.seat_of(id)]
            .clock
            .reads(truth)
            .before(Duration::from_nanos(MILLI))
    }

    /// A machine sleeps with all that runs on it.
    fn machines_sleep(&mut self, fault: &Fault, victims: &[ProcessId]) {
        let kind = match fault.kind {
            FaultKind::Suspend => SleepKind::Suspended,
            _ => SleepKind::Paused,
        };
        for victim in victims.iter().copied() {
            let here = self.sitting(self.seat_of(victim));
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
                self.put_to_sleep(id, fault.ends(), kind);
            }
        }
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

/// Whether it has no leadership now.
fn inside_waits(process: &super::process::Process) -> bool {
    process.inside.leadership().is_none()
}

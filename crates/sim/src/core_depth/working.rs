//! The work of leaders.

use tenure_core::{Command, Event};

use crate::{
    clock::{MILLI, SECOND},
    rng::{Rng, hashed},
    trace::{Happening, ProcessId},
};

use super::{
    model::Model,
    seats::Work,
    world::{Due, World},
};

impl<M: Model> World<'_, M> {
    pub(super) fn work_begins(&mut self, id: ProcessId) {
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

    pub(super) fn work_is_told(&mut self, id: ProcessId) {
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

    pub(super) fn drop_work(&mut self, id: ProcessId) {
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

    pub(super) fn work_acts(&mut self, id: ProcessId, token: u64) {
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

    pub(super) fn is_obedient(&self, id: ProcessId) -> bool {
        self.process(id)
            .is_none_or(|process| self.seats[process.seat].stubborn_until <= self.now)
    }
}

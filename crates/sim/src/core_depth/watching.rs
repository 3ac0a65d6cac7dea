//! What watches show, and when.

use tenure_core::{Event, Sight};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    rng::{Rng, hashed},
    trace::{Happening, ProcessId},
};

use super::{
    model::Model,
    world::{Due, World},
};

impl<M: Model> World<'_, M> {
    /// A watch opens after that time.
    pub(super) fn open_watch(&mut self, id: ProcessId, after: Nanos) {
        let Some(process) = self.process_mut(id) else {
            return;
        };
        process.watch.stream += 1;
        let stream = process.watch.stream;
        self.at(self.now + after, Due::WatchOpens(id, stream));
    }

    pub(super) fn watch_opens(&mut self, id: ProcessId, stream: u64) {
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

    pub(super) fn show(&mut self, id: ProcessId, stream: u64, sight: Sight<M::Object>) {
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
    pub(super) fn spread(&mut self, sight: &Sight<M::Object>) {
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

    pub(super) fn spread_to(&mut self, id: ProcessId, seat: usize, sight: &Sight<M::Object>) {
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
}

/// How far behind a stale server is.
pub(super) fn lag(salt: u64) -> Nanos {
    SECOND + salt % (25 * SECOND)
}

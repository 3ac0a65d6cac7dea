//! When news to a process were last held up: no checker asks for promptness then.

use crate::{
    clock::{Nanos, SECOND},
    trace::{Happening, ProcessId},
};

/// A call that was under way may have been struck that long before.
const BEFORE: Nanos = 12 * SECOND;
/// No fault makes a process sleep for longer.
const LONGEST_SLEEP: Nanos = 25 * SECOND;

#[derive(Default)]
pub(super) struct HeldUp {
    struck: Vec<Nanos>,
}

impl HeldUp {
    pub(super) fn note(&mut self, at: Nanos, what: &Happening) {
        match what {
            Happening::Struck {
                kind,
                process: Some(process),
                ..
            } if !kind.is_by_people() => {
                // Who sleeps is told of it when it wakes.
                let sleeps = if kind.is_a_sleep() { LONGEST_SLEEP } else { 0 };
                self.until(at + sleeps, *process);
            }
            Happening::Slept { process, .. } => self.until(at, *process),
            _ => {}
        }
    }

    /// Whether news from then on may have been held up.
    pub(super) fn since(&self, then: Nanos, process: ProcessId) -> bool {
        let last = self.struck.get(process.0 as usize).copied().unwrap_or(0);
        last > 0 && last + BEFORE >= then
    }

    /// Whether anything that was sent after then may have been held up.
    pub(super) fn after(&self, then: Nanos, process: ProcessId) -> bool {
        let last = self.struck.get(process.0 as usize).copied().unwrap_or(0);
        last > then
    }

    fn until(&mut self, at: Nanos, process: ProcessId) {
        let index = process.0 as usize;
        if self.struck.len() <= index {
            self.struck.resize(index + 1, 0);
        }
        self.struck[index] = self.struck[index].max(at);
    }
}

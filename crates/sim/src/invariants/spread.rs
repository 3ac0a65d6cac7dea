//! Candidates that wait for nothing but time do not do so in step (L16, L17): how long one rests
//! before it looks again is a matter of chance. Rests of exactly the same length are none.

use crate::{
    clock::{MILLI, Nanos},
    ledger::Ledger,
    trace::{Happening, ProcessId},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Spread {
    rests: Vec<Vec<Nanos>>,
}

/// What is shorter is the time that a program takes, not a rest.
const SHORTEST: Nanos = 10 * MILLI;

/// Readings of a clock with a rate of its own are whole nanoseconds.
const EXACTLY: Nanos = 4;

/// So many of one length are no chance.
const MOST: usize = 4;

/// How many are remembered of each process.
const REMEMBERED: usize = 64;

impl Invariant for Spread {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn see(&mut self, _: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        let Happening::Asked {
            process,
            rested: Some(rested),
        } = what
        else {
            return Ok(());
        };
        if *rested < SHORTEST || !ledger.process(*process).ours {
            return Ok(());
        }
        let rests = self.of(*process);
        let same = rests.iter().filter(|one| one.abs_diff(*rested) <= EXACTLY);
        if same.count() + 1 >= MOST {
            return Err(format!(
                "{} rested for exactly {} {MOST} times before it looked again: so does everybody \
                 else (L16, L17)",
                named(ledger, *process),
                seconds(*rested)
            ));
        }
        if rests.len() == REMEMBERED {
            rests.remove(0);
        }
        rests.push(*rested);
        Ok(())
    }
}

impl Spread {
    fn of(&mut self, id: ProcessId) -> &mut Vec<Nanos> {
        let index = id.0 as usize;
        if self.rests.len() <= index {
            self.rests.resize_with(index + 1, Vec::new);
        }
        &mut self.rests[index]
    }
}

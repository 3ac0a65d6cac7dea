//! Nothing panics, hangs, or is left behind. The worlds find it out; here it counts.

use crate::{clock::Nanos, ledger::Ledger, trace::Happening};

use super::{Invariant, named};

pub(super) struct Health;

impl Invariant for Health {
    fn name(&self) -> &'static str {
        "health"
    }

    fn see(&mut self, _: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Broken {
                process: Some(process),
                what,
            } => Err(format!("{}: {what}", named(ledger, *process))),
            Happening::Broken {
                process: None,
                what,
            } => Err(what.clone()),
            _ => Ok(()),
        }
    }
}

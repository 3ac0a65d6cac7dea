//! From the end of the faults, somebody leads soon.

use crate::{clock::Nanos, ledger::Ledger, trace::Happening};

use super::{Invariant, seconds};

#[derive(Default)]
pub(super) struct Liveness {
    by: Option<Nanos>,
    led: bool,
}

impl Invariant for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        if let Happening::Peace { within } = what {
            self.by = Some(at + within);
        }
        let Some(by) = self.by else {
            return Ok(());
        };
        if !self.led {
            self.led = ledger.processes().any(|(_, process)| process.believes(at));
            if !self.led && at > by {
                return Err(self.late(ledger));
            }
        }
        Ok(())
    }

    fn finish(&mut self, at: Nanos, ledger: &Ledger) -> Result<(), String> {
        match self.by {
            Some(by) if !self.led && at > by => Err(self.late(ledger)),
            _ => Ok(()),
        }
    }
}

impl Liveness {
    fn late(&self, ledger: &Ledger) -> String {
        let within = self.by.unwrap_or(0) - ledger.peace().unwrap_or(0);
        format!("nobody leads {} after the faults ended", seconds(within))
    }
}

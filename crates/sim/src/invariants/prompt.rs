//! Whoever has lost the lock knows it soon (L9, F6), unless something keeps the news away.

use crate::{
    clock::{Nanos, SECOND},
    ledger::Ledger,
    trace::{Author, Happening, ProcessId, Write},
};

use super::{Invariant, named, seconds};

/// A renewal and the read after it (L9), for the longest retry period of the fleets.
const LEASE: Nanos = 5 * SECOND;
/// A look at the lock every 30 s at least (F6), by the slowest clock, and a call.
const FOR_LIFE: Nanos = 45 * SECOND;
/// A call that was under way may have been struck that long before.
const BEFORE: Nanos = 12 * SECOND;

#[derive(Default)]
pub(super) struct Prompt {
    ousted: Vec<Ousted>,
    /// When news to each process were last held up.
    struck: Vec<Nanos>,
}

struct Ousted {
    process: ProcessId,
    at: Nanos,
    within: Nanos,
}

impl Invariant for Prompt {
    fn name(&self) -> &'static str {
        "prompt"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Wrote(write) if !matches!(write.by, Author::Restore) => {
                self.wrote(at, write, ledger);
            }
            Happening::Belief {
                process,
                belief: None,
            }
            | Happening::Ended { process } => self.ousted.retain(|each| each.process != *process),
            Happening::Struck {
                kind,
                process: Some(process),
                ..
            } if !kind.is_by_people() => self.held_up(at, *process),
            Happening::Slept { process, .. } => self.held_up(at, *process),
            // Slow news are no late ones, but everything is slower by them.
            Happening::Restored | Happening::Peace { .. } => self.ousted.clear(),
            _ => {}
        }
        self.judge(at, ledger)
    }
}

impl Prompt {
    fn wrote(&mut self, at: Nanos, write: &Write, ledger: &Ledger) {
        let Some(before) = &write.before else { return };
        let goes_on = write.after.as_ref().is_some_and(|after| {
            // A leader for life goes on beside what others put into its lock, which is none then.
            let spoilt = after.protects == 0 && after.holder.is_none();
            let same = after.holder == before.holder || spoilt && after.nonce == before.nonce;
            after.uid == before.uid && same
        });
        if goes_on {
            return;
        }
        let within = if before.protects == 0 {
            FOR_LIFE
        } else {
            LEASE
        };
        let mut holders = ledger.processes().filter(|(_, process)| {
            process.ours && process.alive && Some(&process.identity) == before.holder.as_ref()
        });
        // Of twins nobody can tell from outside who leads.
        if let (Some((process, who)), None) = (holders.next(), holders.next())
            && who.believes(at)
            && write.by != Author::Process(process)
            && !who.bad_clock
        {
            self.ousted.push(Ousted {
                process,
                at,
                within,
            });
        }
    }

    fn judge(&mut self, at: Nanos, ledger: &Ledger) -> Result<(), String> {
        let struck = &self.struck;
        self.ousted.retain(|each| {
            let last = struck.get(each.process.0 as usize).copied().unwrap_or(0);
            last == 0 || last + BEFORE < each.at
        });
        for each in &self.ousted {
            let late = at > each.at + each.within;
            if late && ledger.process(each.process).believes(at) {
                return Err(format!(
                    "{} has lost the lock {} ago, nothing kept the news away, and it still \
                     believes (L9, F6)",
                    named(ledger, each.process),
                    seconds(at - each.at)
                ));
            }
        }
        Ok(())
    }

    fn held_up(&mut self, at: Nanos, process: ProcessId) {
        let index = process.0 as usize;
        if self.struck.len() <= index {
            self.struck.resize(index + 1, 0);
        }
        self.struck[index] = at;
    }
}

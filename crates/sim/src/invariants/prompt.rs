//! Whoever has lost the lock knows it soon (L9, F6), unless something keeps the news away.

use std::sync::Arc;

use crate::{
    clock::{Nanos, SECOND},
    ledger::Ledger,
    trace::{Author, Happening, ProcessId, Write},
};

use super::{Invariant, held_up::HeldUp, named, seconds};

/// A renewal and the read after it (L9), for the longest retry period of the fleets.
const LEASE: Nanos = 5 * SECOND;
/// A look at the lock every 30 s at least (F6), by the slowest clock, and a call.
const FOR_LIFE: Nanos = 45 * SECOND;

#[derive(Default)]
pub(super) struct Prompt {
    ousted: Vec<Ousted>,
    held_up: HeldUp,
    /// Whose nonces are known from their writes.
    nonces: Vec<(Arc<str>, ProcessId)>,
    /// The newest two writes of each process; the older of them has been answered.
    written: Vec<(ProcessId, [u64; 2])>,
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
        self.held_up.note(at, what);
        match what {
            Happening::Wrote(write) => match write.by {
                Author::Restore => self.restored(at, write, ledger),
                Author::Process(process) => {
                    if ledger.restored() {
                        // History repeats versions: by one of them it has the lock again.
                        self.ousted.retain(|each| each.process != process);
                    }
                    self.wrote(at, write, ledger);
                    self.remember(process, write, ledger);
                }
                _ => self.wrote(at, write, ledger),
            },
            Happening::Belief {
                process,
                belief: None,
            }
            | Happening::Ended { process } => self.ousted.retain(|each| each.process != *process),
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
            let same = after.holder == before.holder || spoilt;
            after.uid == before.uid && same && after.nonce == before.nonce
        });
        if goes_on {
            return;
        }
        let within = if before.protects == 0 {
            FOR_LIFE
        } else {
            LEASE
        };
        let holder = self.nonces.iter().find(|(nonce, process)| {
            let who = ledger.process(*process);
            Some(nonce) == before.nonce.as_ref() && Some(&who.identity) == before.holder.as_ref()
        });
        if let Some((_, process)) = holder
            && let (process, who) = (*process, ledger.process(*process))
            && who.alive
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

    /// Who has had an answer that history no longer knows must not go on (L9).
    fn restored(&mut self, at: Nanos, write: &Write, ledger: &Ledger) {
        let now = write.after.as_ref().map_or(0, |after| after.version);
        for (process, [answered, _]) in self.written.drain(..) {
            let who = ledger.process(process);
            if answered > now && who.ours && who.believes(at) && !who.bad_clock {
                let for_life = who.belief.is_some_and(|belief| belief.until.is_none());
                self.ousted.push(Ousted {
                    process,
                    at,
                    within: if for_life { FOR_LIFE } else { LEASE },
                });
            }
        }
    }

    fn remember(&mut self, process: ProcessId, write: &Write, ledger: &Ledger) {
        let nonce = write.after.as_ref().and_then(|after| after.nonce.as_ref());
        if let (Some(nonce), true) = (nonce, ledger.process(process).ours)
            && self.nonces.iter().all(|(known, _)| known != nonce)
        {
            self.nonces.push((Arc::clone(nonce), process));
        }
        let version = write.after.as_ref().map_or(0, |after| after.version);
        match self.written.iter_mut().find(|(who, _)| *who == process) {
            Some((_, newest)) => *newest = [newest[1], version],
            None => self.written.push((process, [0, version])),
        }
    }

    fn judge(&mut self, at: Nanos, ledger: &Ledger) -> Result<(), String> {
        let held_up = &self.held_up;
        self.ousted
            .retain(|each| !held_up.since(each.at, each.process));
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
}

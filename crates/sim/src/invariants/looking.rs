//! Who stands by for a Lease and has no watch looks by itself, every retry period (L15).

use tenure_core::Status;

use crate::{
    clock::{Nanos, SECOND},
    ledger::Ledger,
    trace::{Happening, ProcessId},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Looking {
    candidates: Vec<Candidate>,
}

#[derive(Clone, Default)]
struct Candidate {
    /// It stands by, without a watch, since then.
    since: Option<Nanos>,
    stands_by: bool,
    withdrawn: bool,
    watches: bool,
    asked: Nanos,
}

impl Invariant for Looking {
    fn name(&self) -> &'static str {
        "looking"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Status { process, status } => {
                let stands_by = matches!(status, Status::Standby { .. });
                self.change(at, *process, |candidate| candidate.stands_by = stands_by);
            }
            Happening::Stands { process, stands } => {
                self.change(at, *process, |candidate| candidate.withdrawn = !stands);
            }
            Happening::Watching { process, open } => {
                self.change(at, *process, |candidate| candidate.watches = *open);
            }
            Happening::Asked { process, .. } => {
                let who = ledger.process(*process);
                // A retry period with its jitter, a call that is not answered, and a pause after
                // failures fit into H (L3).
                let longest = who.trusts.map_or(Nanos::MAX, |trusts| trusts + 2 * SECOND);
                let judged = self.asked(at, *process, who.slept_until, longest);
                if who.ours && !who.bad_clock {
                    return judged.map_err(|wrong| format!("{} {wrong}", named(ledger, *process)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Looking {
    fn asked(
        &mut self,
        at: Nanos,
        process: ProcessId,
        slept_until: Nanos,
        longest: Nanos,
    ) -> Result<(), String> {
        let candidate = self.candidate(process);
        let since = candidate
            .since
            .map(|since| since.max(candidate.asked).max(slept_until));
        candidate.asked = at;
        match since
            .map(|since| at - since)
            .filter(|silent| *silent > longest)
        {
            Some(silent) => Err(format!(
                "stood by without a watch, and did not look for {} (L15)",
                seconds(silent)
            )),
            None => Ok(()),
        }
    }

    fn change(&mut self, at: Nanos, process: ProcessId, change: impl FnOnce(&mut Candidate)) {
        let candidate = self.candidate(process);
        change(candidate);
        let blind = candidate.stands_by && !candidate.withdrawn && !candidate.watches;
        candidate.since = blind.then(|| candidate.since.unwrap_or(at));
    }

    fn candidate(&mut self, process: ProcessId) -> &mut Candidate {
        let index = process.0 as usize;
        if self.candidates.len() <= index {
            // Where nothing is told of watches they count as open.
            let unknown = Candidate {
                watches: true,
                ..Candidate::default()
            };
            self.candidates.resize(index + 1, unknown);
        }
        &mut self.candidates[index]
    }
}

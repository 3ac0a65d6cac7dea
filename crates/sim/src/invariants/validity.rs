//! Belief ends H after the moment before the first byte of a write left, of a write that stands or
//! stood in the Lease (L1, L6); and what has ended is over (L9).

use tenure_core::Notice;

use crate::{
    clock::{MILLI, Nanos},
    ledger::Ledger,
    plan::SLOWEST,
    trace::{Author, Happening, ProcessId, Write},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Validity {
    /// When the newest write of each process left that was applied.
    sent: Vec<(ProcessId, Nanos)>,
    /// Until when each process was last known to believe, and by which token.
    known: Vec<(ProcessId, u64, Nanos)>,
    /// Nobody is stopped between a reading of the clock and what comes of it, in a world in which
    /// changes of the holder are told: the pure protocol's.
    fresh: bool,
}

impl Invariant for Validity {
    fn name(&self) -> &'static str {
        "validity"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Wrote(Write {
                by: Author::Process(id),
                after: Some(_),
                sent,
                ..
            }) => {
                self.sent.retain(|(other, _)| other != id);
                self.sent.push((*id, *sent));
                Ok(())
            }
            Happening::Belief {
                process,
                belief: Some(belief),
            } => {
                let Some(until) = belief.until else {
                    return Ok(());
                };
                let goes_on = self.goes_on(at, *process, belief.token, until, ledger);
                if until > at {
                    self.judge(*process, belief.until, ledger)?;
                }
                goes_on
            }
            Happening::Notice {
                notice: Notice::Holder(_),
                ..
            } => {
                self.fresh = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Validity {
    /// A term whose time is over never comes back, whatever answer arrives later (L9).
    fn goes_on(
        &mut self,
        at: Nanos,
        id: ProcessId,
        token: u64,
        until: Nanos,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let process = ledger.process(id);
        let known = self.known.iter().find(|(other, ..)| *other == id).copied();
        self.known.retain(|(other, ..)| *other != id);
        self.known.push((id, token, until));
        // A clock that stands still, or runs as it likes, takes no time for its own; and where history
        // was taken back, tokens come again.
        let excused = process.bad_clock || process.was_paused || ledger.restored();
        if !process.ours || !self.fresh || excused {
            return Ok(());
        }
        match known {
            Some((_, same, ended)) if same == token && ended + MILLI < at && until > at => {
                Err(format!(
                    "{} believes again in a term that was over {} ago (L9)",
                    named(ledger, id),
                    seconds(at - ended)
                ))
            }
            _ => Ok(()),
        }
    }

    fn judge(&self, id: ProcessId, until: Option<Nanos>, ledger: &Ledger) -> Result<(), String> {
        let process = ledger.process(id);
        let (Some(until), Some(trusts)) = (until, process.trusts) else {
            return Ok(());
        };
        // What true time a bad clock takes for H is not covered; nor what was taken back.
        if !process.ours || process.bad_clock || process.was_paused || ledger.restored() {
            return Ok(());
        }
        let sent = self.sent.iter().find(|(other, _)| *other == id);
        let Some((_, sent)) = sent else {
            return Err(format!(
                "{} believes, and has written nothing that was applied (L6)",
                named(ledger, id)
            ));
        };
        let longest = trusts / SLOWEST * 1_000_000 + MILLI;
        if until > sent + longest {
            return Err(format!(
                "{} believes until {} after its last write that was applied had left; {} is the \
                 most (L1)",
                named(ledger, id),
                seconds(until - sent),
                seconds(longest)
            ));
        }
        Ok(())
    }
}

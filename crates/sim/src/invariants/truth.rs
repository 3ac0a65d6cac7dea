//! Status and notices tell the truth: whoever shows that it leads believes so; each change is told
//! once; the work is told in time (L10), and jeopardy is shown before a term runs out.

use tenure_core::{LossReason, Notice, Status};

use crate::{
    clock::{MILLI, Nanos},
    ledger::Ledger,
    trace::{Happening, ProcessId},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Truth {
    known: Vec<Known>,
}

/// What is known of a process's telling.
#[derive(Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Known {
    leads: bool,
    told: bool,
    /// It was asked to step down: then its renewals end, and running out is what was asked for.
    leaving: bool,
    jeopardy: bool,
    /// It was told that the lock is paused.
    paused: bool,
    /// When its validity was last moved on.
    renewed: Nanos,
    shown: Option<bool>,
}

/// How late a timer may be, by the worlds' own rules.
const LATENESS: Nanos = 60 * MILLI;

impl Invariant for Truth {
    fn name(&self) -> &'static str {
        "truth"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        let (Happening::Status { process, .. } | Happening::Notice { process, .. }) = what else {
            return Ok(());
        };
        if !ledger.process(*process).ours {
            return Ok(());
        }
        let wrong = match what {
            Happening::Status { process, status } => self.shows(*process, status, ledger),
            Happening::Notice { process, notice } => self.tells(at, *process, notice, ledger),
            _ => Ok(()),
        };
        wrong.map_err(|wrong| format!("{} {wrong}", named(ledger, *process)))
    }
}

impl Truth {
    fn shows(&mut self, id: ProcessId, status: &Status, ledger: &Ledger) -> Result<(), String> {
        let believes = ledger.process(id).belief.is_some();
        let known = self.of(id);
        known.jeopardy |= matches!(status, Status::Jeopardy { .. });
        known.shown = Some(status.leads());
        if status.leads() == believes {
            Ok(())
        } else {
            Err(format!("shows {status:?}, and believes: {believes}"))
        }
    }

    fn tells(
        &mut self,
        at: Nanos,
        id: ProcessId,
        notice: &Notice,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let process = ledger.process(id);
        let known = self.of(id);
        match notice {
            Notice::Acquired { .. } => {
                let twice = known.leads;
                *known = Known {
                    leads: true,
                    renewed: at,
                    ..*known
                };
                known.told = false;
                known.leaving = false;
                known.jeopardy = false;
                if twice {
                    return Err("told of a new term within a term".into());
                }
                if process.belief.is_none() {
                    return Err("told of a term that it does not believe in".into());
                }
                Ok(())
            }
            Notice::Renewed { .. } => {
                known.renewed = at;
                // Being told to end is final: then running out is no surprise.
                known.leaving |= known.told;
                known.jeopardy = false;
                Ok(())
            }
            Notice::Stop { reason, .. } => {
                let again = std::mem::replace(&mut known.told, true);
                known.leaving = matches!(
                    reason,
                    LossReason::SteppedDown | LossReason::Asked(_) | LossReason::Paused(_)
                );
                if again {
                    return Err("told the work to end twice".into());
                }
                let slept = known.slept_since(process.slept_until) || process.bad_clock;
                match process.belief.and_then(|belief| belief.until) {
                    Some(until) if *reason == LossReason::Expired && !slept => {
                        let left = until.saturating_sub(at) + LATENESS;
                        let least = process.grace / 100 * 88;
                        if left < least {
                            return Err(format!(
                                "told the work to end {} before the end; {} are promised (L10)",
                                seconds(left),
                                seconds(process.grace)
                            ));
                        }
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
            Notice::Paused(paused) => {
                let paused = paused.is_some();
                // What is said of a pause may change while it lasts.
                if !paused && !std::mem::replace(&mut known.paused, paused) {
                    return Err("told of the end of a pause that it was not told of (L26)".into());
                }
                known.paused = paused;
                Ok(())
            }
            Notice::AskedToStepDown { .. } if !known.leads => {
                Err("told of a request, and does not lead (L25)".into())
            }
            Notice::Lost(reason) => {
                let slept = known.slept_since(process.slept_until);
                let ran_out = *reason == LossReason::Expired && !slept;
                let (told, warned) = (known.told, known.jeopardy || known.leaving);
                known.end()?;
                if ran_out && !told {
                    return Err("ran out of time and had not told the work (L10)".into());
                }
                if ran_out && !warned {
                    return Err("ran out of time and had not shown jeopardy".into());
                }
                Ok(())
            }
            Notice::Released | Notice::Kept | Notice::ReleaseFailed { .. } => {
                // An acquisition that came too late is given back without a term.
                if known.leads { known.end() } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn of(&mut self, id: ProcessId) -> &mut Known {
        let index = id.0 as usize;
        if self.known.len() <= index {
            self.known.resize(index + 1, Known::default());
        }
        &mut self.known[index]
    }
}

impl Known {
    /// Whether it slept since the last renewal. A process that was stopped between a renewal's
    /// answer and the next thing it did shows the renewal only when it wakes.
    fn slept_since(&self, until: Nanos) -> bool {
        until > 0 && until.saturating_add(MILLI) > self.renewed
    }

    fn end(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.leads, false) {
            Ok(())
        } else {
            Err("told of the end of a term twice, or of one that never began".into())
        }
    }
}

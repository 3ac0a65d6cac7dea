//! Status and notices tell the truth: whoever shows that it leads believes so; each change is told
//! once; the work is told in time (L10), and jeopardy is shown before a term runs out.

use std::sync::Arc;

use tenure_core::{LossReason, Notice, Status, Warning};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    ledger::Ledger,
    trace::{Happening, ProcessId},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Truth {
    known: Vec<Known>,
}

/// What is known of a process's telling.
#[derive(Clone, Default)]
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
    /// What it shows, and since when.
    shown: Option<(Shown, Nanos)>,
    /// When it began to stand the last time, and when a call of it failed last.
    stood: Nanos,
    failed: Nanos,
    /// The holder that it told last, empty for nobody; none before it told of any.
    holder: Option<Arc<str>>,
    /// Whose odd duration it has warned of last.
    odd: Option<Arc<str>>,
}

/// What a status says, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    StandsBy,
    Paused,
    Leads,
    Jeopardy,
    Lost,
}

/// How late a timer may be, by the worlds' own rules.
const LATENESS: Nanos = 60 * MILLI;

impl Invariant for Truth {
    fn name(&self) -> &'static str {
        "truth"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        let (Happening::Status { process, .. }
        | Happening::Notice { process, .. }
        | Happening::Stands { process, .. }
        | Happening::Asked { process, .. }) = what
        else {
            return Ok(());
        };
        if !ledger.process(*process).ours {
            return Ok(());
        }
        let wrong = match what {
            Happening::Status { process, status } => self.shows(at, *process, status, ledger),
            Happening::Notice { process, notice } => self
                .says(at, *process, notice, ledger)
                .and_then(|()| self.tells(at, *process, notice, ledger)),
            Happening::Stands { process, stands } => {
                self.of(*process).stood = if *stands { at } else { Nanos::MAX };
                Ok(())
            }
            Happening::Asked { process, .. } => self.asks(at, *process, ledger),
            _ => Ok(()),
        };
        wrong.map_err(|wrong| format!("{} {wrong}", named(ledger, *process)))
    }
}

impl Truth {
    fn shows(
        &mut self,
        at: Nanos,
        id: ProcessId,
        status: &Status,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let believes = ledger.process(id).belief.is_some();
        let known = self.of(id);
        known.jeopardy |= matches!(status, Status::Jeopardy { .. });
        known.shown = Some((Shown::by(status), at));
        if status.leads() == believes {
            Ok(())
        } else {
            Err(format!("shows {status:?}, and believes: {believes}"))
        }
    }

    /// Whoever asks for something as a candidate stands, and has not lost (any more).
    fn asks(&mut self, at: Nanos, id: ProcessId, ledger: &Ledger) -> Result<(), String> {
        let process = ledger.process(id);
        // Who stands while it still gives a lock for life up stands when that has come to an end.
        let lease = process.trusts.is_some();
        let within = if lease { SECOND } else { 40 * SECOND };
        let slept = process.slept_until;
        let known = self.of(id);
        match known.shown {
            Some((Shown::Lost, since))
                if known.stood > since && at > known.stood.max(slept).saturating_add(within) =>
            {
                Err("stands again, and still shows that it has lost".into())
            }
            _ => Ok(()),
        }
    }

    /// What goes with a notice is shown with it, and nothing is told twice.
    fn says(
        &mut self,
        at: Nanos,
        id: ProcessId,
        notice: &Notice,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let process = ledger.process(id);
        let known = self.of(id);
        let shown = known.shown;
        match notice {
            Notice::Renewed { .. } => {
                if let Some((Shown::Jeopardy, since)) = shown
                    && known.renewed > since
                {
                    return Err("has renewed twice, and shows jeopardy all the while".into());
                }
                let lease = process.trusts.is_some();
                let told = known.holder.as_ref().filter(|_| lease);
                if told.is_some_and(|told| *told != process.identity) {
                    return Err("renews its Lease, and has told that somebody else holds it".into());
                }
            }
            Notice::RenewFailed { .. } => {
                if let (Some((Shown::Leads, _)), true) = (shown, process.belief.is_some()) {
                    return Err("tells of a look that failed, and shows that all is well".into());
                }
            }
            Notice::StandbyFailed { .. } => known.failed = at.max(1),
            Notice::Paused(Some(_)) => {
                if let Some((Shown::StandsBy, since)) = shown
                    && known.failed < since.max(1)
                {
                    return Err("tells of a pause, and shows that it stands by (L26)".into());
                }
            }
            Notice::Holder(holder) => {
                let holder = holder.as_ref().map(|holder| Arc::clone(&holder.identity));
                let holder = holder.unwrap_or_else(|| "".into());
                let same = known.holder.replace(Arc::clone(&holder));
                // For life, each term of one Pod is another one's.
                if process.trusts.is_some() && same == Some(holder) {
                    return Err("told of one change of the holder twice".into());
                }
            }
            Notice::Warn(Warning::OddDuration { holder, .. }) => {
                let same = known.odd.replace(Arc::clone(holder));
                if same.as_ref() == Some(holder) {
                    return Err("warned of one odd duration twice (L20)".into());
                }
            }
            _ => {}
        }
        Ok(())
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
                known.leads = true;
                known.renewed = at;
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
            self.known.resize_with(index + 1, Known::default);
        }
        &mut self.known[index]
    }
}

impl Shown {
    fn by(status: &Status) -> Self {
        match status {
            Status::Leading { .. } => Self::Leads,
            Status::Jeopardy { .. } => Self::Jeopardy,
            Status::Lost { .. } => Self::Lost,
            Status::Paused { .. } => Self::Paused,
            _ => Self::StandsBy,
        }
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

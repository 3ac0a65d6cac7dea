//! Leaders leave in order (L10): the work has time until validity ends and no longer, renewals go on
//! for the grace that it was promised and no longer, and work that does not end is reported.

use std::sync::Arc;

use tenure_core::{LossReason, Notice};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    ledger::Ledger,
    plan::SLOWEST,
    trace::{Author, Happening, ProcessId, Write},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Leaving {
    told: Vec<Told>,
    /// Until when each process was known to believe.
    ends: Vec<(ProcessId, Nanos)>,
    /// Work that goes on is reported in this world, as changes of the holder are.
    reports: bool,
    /// Who has written a Lease last, and as whose.
    newest: Option<(ProcessId, Arc<str>)>,
    /// Somebody has written it by hand, or it may look so.
    by_hand: bool,
}

/// A leader whose work was told to end.
struct Told {
    process: ProcessId,
    at: Nanos,
    reported: bool,
}

/// A timer's lateness, and a reading of the clock that is older than the telling.
const LATENESS: Nanos = 100 * MILLI;

impl Invariant for Leaving {
    fn name(&self) -> &'static str {
        "leaving"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::GivenUntil { process, by, ends } if ledger.process(*process).ours => {
                self.told.retain(|told| told.process != *process);
                self.told.push(Told {
                    process: *process,
                    at,
                    reported: false,
                });
                match ends {
                    Some(ends) if *by > ends + MILLI => Err(format!(
                        "{} gives its work {} longer than it may lead (L10)",
                        named(ledger, *process),
                        seconds(by - ends)
                    )),
                    _ => Ok(()),
                }
            }
            Happening::Notice { process, notice } if ledger.process(*process).ours => {
                self.notice(at, *process, notice, ledger)
            }
            // By L6 a refusal settles a write: what is found of it later looks like somebody else's.
            Happening::Struck { kind, .. } if kind.misleads() => {
                self.by_hand = true;
                Ok(())
            }
            Happening::Ended { process } => {
                self.told.retain(|told| told.process != *process);
                Ok(())
            }
            Happening::Belief {
                process,
                belief: Some(belief),
            } => {
                let ends = belief.until.unwrap_or(Nanos::MAX);
                self.ends.retain(|(other, _)| other != process);
                self.ends.push((*process, ends));
                Ok(())
            }
            Happening::Wrote(write) => self.wrote(write, ledger),
            _ => Ok(()),
        }
    }
}

impl Leaving {
    fn notice(
        &mut self,
        at: Nanos,
        id: ProcessId,
        notice: &Notice,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let holds = self.is_held_by(id, ledger);
        let wrong = match notice {
            Notice::Released if self.reports && holds => "has released the Lease",
            Notice::ReleaseFailed { error }
                if error.contains("edited") && holds && !self.by_hand =>
            {
                "cannot release what somebody has edited"
            }
            _ => "",
        };
        if !wrong.is_empty() {
            let who = named(ledger, id);
            return Err(format!(
                "{who} tells that it {wrong}, and holds what it has written (L11)"
            ));
        }
        let told = self.told.iter_mut().find(|told| told.process == id);
        match notice {
            Notice::Holder(_) => self.reports = true,
            Notice::Overdue => match told {
                Some(told) if !told.reported => told.reported = true,
                _ => {
                    let who = named(ledger, id);
                    return Err(format!(
                        "{who} reports work that was not told, or twice (L10)"
                    ));
                }
            },
            Notice::Acquired { .. } => self.told.retain(|told| told.process != id),
            Notice::Lost(LossReason::Expired) => {
                if self.reports && told.is_some_and(|told| !told.reported) {
                    return Err(format!(
                        "{} ran out of time under its work, and did not report it (L10)",
                        named(ledger, id)
                    ));
                }
                let process = ledger.process(id);
                let ends = self.ends.iter().find(|(other, _)| *other == id);
                let ends = ends.map_or(Nanos::MAX, |(_, ends)| *ends);
                // After a suspend a timer is late by a slice of a sleep, at most two seconds.
                let slept = process.slept_until + 2 * SECOND + LATENESS > ends;
                // Peace wakes who sleeps, and not its timers.
                let woken = ledger.peace().is_some();
                let excused = slept || woken || process.bad_clock || process.was_paused;
                if self.reports && at > ends.saturating_add(LATENESS) && !excused {
                    return Err(format!(
                        "{} hears {} late that its time is over (L9)",
                        named(ledger, id),
                        seconds(at - ends)
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What it has written last as the holder stands there still.
    fn is_held_by(&self, id: ProcessId, ledger: &Ledger) -> bool {
        let me = &ledger.process(id).identity;
        let newest = self.newest.as_ref();
        newest.is_some_and(|(by, holder)| *by == id && holder == me)
    }

    fn wrote(&mut self, write: &Write, ledger: &Ledger) -> Result<(), String> {
        self.by_hand |= write.by == Author::Person;
        let held = write.after.as_ref().filter(|after| after.protects > 0);
        self.newest = match (write.by, held.and_then(|after| after.holder.clone())) {
            (Author::Process(by), Some(holder)) => Some((by, holder)),
            _ => None,
        };
        let (Author::Process(id), Some(after)) = (write.by, &write.after) else {
            return Ok(());
        };
        let process = ledger.process(id);
        let renews = after.holder.as_ref() == Some(&process.identity)
            && after.protects > 0
            && after.acquired != after.renewed;
        let told = self.told.iter().find(|told| told.process == id);
        let Some(told) = told.filter(|_| renews && process.ours) else {
            return Ok(());
        };
        let slept = process.slept_until + MILLI > told.at;
        let most = process.grace / SLOWEST * 1_000_000 + LATENESS;
        if slept || process.bad_clock || process.was_paused || write.sent <= told.at + most {
            return Ok(());
        }
        Err(format!(
            "{} renews {} after its work was told to end; {} is the most (L10)",
            named(ledger, id),
            seconds(write.sent - told.at),
            seconds(most)
        ))
    }
}

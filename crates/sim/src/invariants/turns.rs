//! Whose turn it is at a lock that nobody holds: who is named in a release goes first (L22), who has
//! left goes last (L23), what is free, or gone, is soon taken by somebody who is ready (L13, F7), and
//! what was taken for nobody is given back (L11, L26, F4).

use std::sync::Arc;

use tenure_core::{Notice, Status};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    ledger::Ledger,
    plan::{FASTEST, SLOWEST},
    trace::{Author, Happening, ProcessId, Snapshot, Write},
};

use super::{Invariant, held_up::HeldUp, named, seconds};

#[derive(Default)]
pub(super) struct Turns {
    /// The release that stands there.
    released: Option<Released>,
    /// Nobody holds the lock, and nobody has to be waited for.
    free: Option<Free>,
    /// Somebody has acquired the lock, and has not led since.
    kept: Option<Free>,
    /// When somebody else than the process that wrote last has written last.
    others: Nanos,
    writer: Option<Author>,
    /// The lock was written before.
    was_there: bool,
    /// The longest duration that was ever written.
    longest: Nanos,
    candidates: Vec<Candidate>,
    held_up: HeldUp,
}

struct Released {
    at: Nanos,
    by: Option<ProcessId>,
    /// Its writer knows that it was applied.
    known: bool,
}

struct Free {
    at: Nanos,
    /// By whose write.
    by: Option<ProcessId>,
}

#[derive(Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Candidate {
    stands: bool,
    stands_by: bool,
    watches: bool,
    /// Nothing is expected of it any more.
    doomed: bool,
    /// When a write of its own may have been called refused.
    misled: Nanos,
    /// When it asked the server for something last.
    asked: Nanos,
    /// Since when it knows that there is no lock for life, and has done nothing.
    knows_absence: Option<Nanos>,
}

/// Patience, spread, a look of who has no watch, and two calls, for the longest retry period.
const SOON: Nanos = 9 * SECOND;

/// Shorter than every call limit for a Lease.
const LATE: Nanos = SECOND / 2;

/// Who knows that a lock for life is gone wakes up at once.
const AWAKE: Nanos = 2 * SECOND;

/// The call limit for life, by the slowest clock, and more.
const LONGEST_CALL: Nanos = 12 * SECOND;

/// News may be late by what struck so long before.
const QUIET: Nanos = 30 * SECOND;

impl Invariant for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        // What a program does of its own holds up no news.
        let of_its_own = matches!(
            what,
            Happening::Struck {
                kind: FaultKind::Cancel | FaultKind::StepDown | FaultKind::HandOver,
                ..
            }
        );
        if !of_its_own {
            self.held_up.note(at, what);
        }
        if let Happening::Struck {
            kind,
            process: Some(process),
            ..
        } = what
            && kind.misleads()
        {
            self.of(*process).misled = at;
        }
        if ledger.restored() {
            return Ok(());
        }
        match what {
            Happening::Wrote(write) => self.wrote(at, write, ledger)?,
            Happening::Notice {
                process,
                notice: Notice::Released,
            } => {
                if let Some(released) = &mut self.released {
                    released.known |= released.by == Some(*process);
                }
            }
            Happening::Notice {
                process,
                notice: Notice::Holder(holder),
            } if ledger.process(*process).trusts.is_none() => {
                let slept = ledger.process(*process).slept_until;
                let candidate = self.of(*process);
                // A call may be under way, and has to be waited for.
                let waits = candidate.asked.max(slept) + LONGEST_CALL < at && candidate.asked > 0;
                let is_due = holder.is_none() && waits && candidate.is_ready();
                candidate.knows_absence = is_due.then_some(at);
            }
            Happening::Asked { process, .. } => {
                let candidate = self.of(*process);
                candidate.asked = at;
                candidate.knows_absence = None;
            }
            Happening::Slept { process, .. } => self.of(*process).knows_absence = None,
            Happening::Status { process, status } => {
                self.of(*process).stands_by = matches!(status, Status::Standby { .. });
            }
            Happening::Stands { process, stands } => {
                let candidate = self.of(*process);
                candidate.stands = *stands;
                candidate.knows_absence = None;
            }
            Happening::Watching { process, open } => self.of(*process).watches = *open,
            Happening::Ended { process } => self.of(*process).doomed = true,
            // A term may be over before anybody has looked whether it led.
            Happening::Belief { process, .. }
            | Happening::Work {
                process,
                runs: true,
                ..
            } => {
                self.kept = self.kept.take().filter(|kept| kept.by != Some(*process));
            }
            Happening::Struck {
                kind:
                    FaultKind::NodeLost
                    | FaultKind::Evict
                    | FaultKind::ForceDelete
                    | FaultKind::NameReuse
                    | FaultKind::PartitionLong,
                process,
                ..
            } => match process {
                Some(process) => self.of(*process).doomed = true,
                None => self.candidates.iter_mut().for_each(|one| one.doomed = true),
            },
            _ => {}
        }
        self.judge(at, ledger)
    }
}

impl Turns {
    fn wrote(&mut self, at: Nanos, write: &Write, ledger: &Ledger) -> Result<(), String> {
        let taken = self.judge_taking(at, write, ledger);
        if self.writer != Some(write.by) {
            self.others = at;
            self.writer = Some(write.by);
        }
        for state in [&write.before, &write.after].into_iter().flatten() {
            self.longest = self.longest.max(state.protects);
        }
        let by = match write.by {
            Author::Process(process) => Some(process),
            _ => None,
        };
        let is_free = |state: &Option<Snapshot>| state.as_ref().is_some_and(|s| s.released);
        let paused = write.after.as_ref().is_some_and(|s| s.paused.is_some());
        if !is_free(&write.after) {
            self.released = None;
        } else if by.is_some() {
            let known = false;
            self.released = Some(Released { at, by, known });
        }
        let acquires = |after: &Snapshot| after.holder.is_some() && after.acquired == after.renewed;
        // Where there was a Lease before, late news of it may forbid a create, which is then waited
        // out (L14).
        let of_a_lease = write.after.as_ref().is_some_and(|s| s.protects > 0);
        let overtaken = of_a_lease && write.before.is_none() && self.was_there;
        self.was_there = true;
        // What arrives so late may belong to a try that was given up, and runs out by itself.
        let given_up = of_a_lease && at > write.sent + LATE;
        let acquired =
            by.is_some() && !overtaken && !given_up && write.after.as_ref().is_some_and(acquires);
        if !by_hand_beside(write) {
            self.kept = acquired.then_some(Free { at, by });
        }
        let begins = by.is_some() && is_free(&write.after) && !paused && self.is_simple(at);
        self.free = begins.then_some(Free { at, by });
        taken
    }

    /// Nobody else than who gave the Lease up has to be waited for by anybody.
    fn is_simple(&self, at: Nanos) -> bool {
        let longest = self.longest / SLOWEST * 1_000_000;
        self.others + longest + QUIET < at
    }

    fn judge_taking(&self, at: Nanos, write: &Write, ledger: &Ledger) -> Result<(), String> {
        let (Author::Process(id), Some(before), Some(after)) =
            (write.by, &write.before, &write.after)
        else {
            return Ok(());
        };
        let process = ledger.process(id);
        let takes = after.holder.is_some() && after.acquired == after.renewed;
        let Some(released) = self.released.as_ref().filter(|_| takes && process.ours) else {
            return Ok(());
        };
        if process.bad_clock || process.was_paused || !before.released {
            return Ok(());
        }
        let patience = SECOND.min(after.protects / 10);
        let waited = at - released.at + MILLI;
        let named_here = before.successor.as_ref();
        let is_named = named_here.is_some_and(|named| answers_to(&process.identity, named));
        if let Some(named_here) = named_here
            && !is_named
            && waited < patience / FASTEST * 1_000_000
        {
            return Err(format!(
                "{} took the Lease {} after it was left to {named_here} (L22)",
                named(ledger, id),
                seconds(at - released.at)
            ));
        }
        let leaves = process.cooldown.min(patience) / FASTEST * 1_000_000;
        if released.by == Some(id) && released.known && !is_named && waited < leaves {
            return Err(format!(
                "{} took the Lease {} after it had left it (L23)",
                named(ledger, id),
                seconds(at - released.at)
            ));
        }
        Ok(())
    }

    fn judge(&mut self, at: Nanos, ledger: &Ledger) -> Result<(), String> {
        // By L3 a call takes less than half of the time that a write is trusted for.
        let within = |kept: &Free| {
            let trusts = kept.by.and_then(|id| ledger.process(id).trusts);
            SOON.max(trusts.unwrap_or(0) / 2)
        };
        if let Some(kept) = self.kept.take_if(|kept| at > kept.at + within(kept))
            && let Some(id) = kept.by
            && let process = ledger.process(id)
            && process.ours
            && process.alive
            && !process.bad_clock
            && !self.is_doomed(id)
            && !self.is_excused(id, kept.at, process.trusts.is_some())
        {
            return Err(format!(
                "{} has acquired the lock {} ago, and neither leads nor gives it back (L11, F4)",
                named(ledger, id),
                seconds(at - kept.at)
            ));
        }
        self.wakes(at, ledger)?;
        let Some(free) = self.free.as_ref().filter(|free| at > free.at + SOON) else {
            return Ok(());
        };
        let then = free.at.saturating_sub(QUIET);
        let ready = ledger.processes().find(|(id, process)| {
            let candidate = self.candidates.get(id.0 as usize);
            Some(*id) != free.by
                && process.ours
                && process.alive
                && !process.bad_clock
                && process.started + QUIET < free.at
                && candidate.is_some_and(Candidate::is_ready)
                && !self.held_up.since(then, *id)
        });
        let result = match ready {
            Some((id, _)) => Err(format!(
                "nobody has taken what is free for {}, and {} is ready (L13)",
                seconds(at - free.at),
                named(ledger, id)
            )),
            None => Ok(()),
        };
        // It was looked at.
        self.free = None;
        result
    }

    fn wakes(&self, at: Nanos, ledger: &Ledger) -> Result<(), String> {
        for (id, candidate) in (0..).map(ProcessId).zip(&self.candidates) {
            let late = candidate
                .knows_absence
                .is_some_and(|since| at > since + AWAKE);
            let process = ledger.process(id);
            if late && process.alive && !process.bad_clock && !candidate.doomed {
                return Err(format!(
                    "{} stands, knows that the lock is gone, and waits on (F7)",
                    named(ledger, id)
                ));
            }
        }
        Ok(())
    }

    /// A candidate for a Lease knows what became of its call within the call limit and a read. Not so
    /// who was told that it was refused (L6), nor who rests after a failure, for life.
    fn is_excused(&self, id: ProcessId, acquired: Nanos, lease: bool) -> bool {
        let misled = self.candidates.get(id.0 as usize).map_or(0, |it| it.misled);
        if lease {
            self.held_up.after(acquired, id) || misled > 0 && misled + QUIET > acquired
        } else {
            self.held_up.since(acquired, id)
        }
    }

    fn is_doomed(&self, id: ProcessId) -> bool {
        let candidate = self.candidates.get(id.0 as usize);
        candidate.is_some_and(|candidate| candidate.doomed)
    }

    fn of(&mut self, id: ProcessId) -> &mut Candidate {
        let index = id.0 as usize;
        if self.candidates.len() <= index {
            self.candidates.resize(index + 1, Candidate::default());
        }
        &mut self.candidates[index]
    }
}

impl Candidate {
    fn is_ready(&self) -> bool {
        self.stands && self.stands_by && self.watches && !self.doomed
    }
}

/// Whether a person has written what people ask for, and nothing else: whose the lock is stays as it was.
fn by_hand_beside(write: &Write) -> bool {
    let (Author::Person, Some(before), Some(after)) = (write.by, &write.before, &write.after)
    else {
        return false;
    };
    let before = Snapshot {
        version: after.version,
        asked: after.asked.clone(),
        paused: after.paused.clone(),
        ..before.clone()
    };
    before == *after
}

/// Whether a candidate is the one that is named: by its identity, its Pod's name or its Pod's uid.
fn answers_to(identity: &Arc<str>, named: &Arc<str>) -> bool {
    let parts: Vec<&str> = identity.splitn(3, '_').collect();
    let of_pod = match parts.as_slice() {
        [pod, uid, _] => **pod == **named || **uid == **named,
        [pod, _] => **pod == **named,
        _ => false,
    };
    *identity == *named || of_pod
}

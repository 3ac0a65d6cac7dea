//! Every write of ours is over exactly the state that it names (L5), erases no successor (L11),
//! keeps what others wrote (L5), counts terms right (L18), and comes after the waits (L2, L13).

use std::sync::Arc;

use tenure_core::Notice;

use crate::{
    clock::{Nanos, SECOND},
    ledger::{Ledger, Process},
    plan::FASTEST,
    trace::{Author, Happening, ProcessId, Snapshot, Write},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct History {
    working: Vec<ProcessId>,
    /// Once history was taken back, one resourceVersion may name two states.
    restored: bool,
    /// The object that each process has acquired last.
    acquired: Vec<Acquired>,
    /// When each process has lost its last term, by anything but its own doing.
    lost: Vec<(ProcessId, Nanos)>,
    /// The newest state of the lock.
    newest: Option<(Arc<str>, u64)>,
}

struct Acquired {
    process: ProcessId,
    uid: Arc<str>,
    created: bool,
}

impl Invariant for History {
    fn name(&self) -> &'static str {
        "history"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Work { process, runs, .. } => {
                self.working.retain(|other| other != process);
                if *runs {
                    self.working.push(*process);
                }
                Ok(())
            }
            // A term that was lost has nothing left to be given up: what becomes of a stray lock is
            // another matter (F4).
            Happening::Ended { process }
            | Happening::Notice {
                process,
                notice: Notice::Lost(_),
            } => {
                self.working.retain(|other| other != process);
                self.lost.retain(|(other, _)| other != process);
                if matches!(what, Happening::Notice { .. }) {
                    self.lost.push((*process, at));
                }
                Ok(())
            }
            // A copy that somebody made of what was created cannot be told from it (L6).
            Happening::Belief {
                process,
                belief: Some(belief),
            } => {
                let copy = self.newest.as_ref();
                let copy = copy.filter(|(_, version)| *version == belief.token);
                let mut acquired = self.acquired.iter_mut();
                let created = acquired.find(|one| one.process == *process && one.created);
                if let (Some(created), Some((uid, _))) = (created, copy) {
                    created.uid = Arc::clone(uid);
                }
                Ok(())
            }
            Happening::Wrote(write) => {
                self.restored = ledger.restored();
                let after = write.after.as_ref();
                self.newest = after.map(|after| (after.uid.clone(), after.version));
                let Author::Process(id) = write.by else {
                    return Ok(());
                };
                let process = ledger.process(id);
                if !process.ours {
                    return Ok(());
                }
                self.judge(at, write, id, process)
                    .map_err(|wrong| format!("{} {wrong}", named(ledger, id)))
            }
            _ => Ok(()),
        }
    }
}

impl History {
    fn acquires(&mut self, process: ProcessId, uid: &Arc<str>, created: bool) {
        self.acquired.retain(|one| one.process != process);
        self.lost.retain(|(other, _)| *other != process);
        self.acquired.push(Acquired {
            process,
            uid: Arc::clone(uid),
            created,
        });
    }

    fn judge(
        &mut self,
        at: Nanos,
        write: &Write,
        id: ProcessId,
        process: &Process,
    ) -> Result<(), String> {
        names_its_base(write)?;
        let gives_up = write
            .after
            .as_ref()
            .is_none_or(|after| after.holder.is_none());
        let own = write
            .before
            .as_ref()
            .is_some_and(|before| before.holder.as_ref() == Some(&process.identity));
        if gives_up && own && self.working.contains(&id) && !self.restored {
            return Err("gave up the lock while its work still ran (L10)".into());
        }
        let (Some(before), Some(after)) = (&write.before, &write.after) else {
            if let Some(after) = &write.after {
                self.acquires(id, &after.uid, true);
            }
            return Ok(());
        };
        if self.restored {
            return Ok(());
        }
        if before.foreign != after.foreign {
            return Err(format!(
                "changed what others had written (L5): {:?} to {:?}",
                before.foreign, after.foreign
            ));
        }
        if before.protects == 0 {
            // A lock for life: only its own Pod may take it up again (F2, F3).
            return match (&before.holder, &after.holder) {
                (Some(was), Some(is)) if was != is => {
                    Err("took the lock of another Pod (F2)".into())
                }
                _ => Ok(()),
            };
        }
        let me = &process.identity;
        match (holds(before, me), &after.holder) {
            // The acquiring write alone says that it was acquired when it was renewed (L18).
            (_, Some(_)) if after.acquired == after.renewed => {
                acquires(before, after)?;
                self.acquires(id, &after.uid, false);
                waited(at, write, before, after, process)
            }
            (true, Some(_)) => {
                let other = |one: &Acquired| one.process == id && one.uid != before.uid;
                if self.acquired.iter().any(other) {
                    return Err("renewed another object than the one it acquired (L9)".into());
                }
                renews(before, after)
            }
            (false, Some(_)) => Err("renewed a Lease that is not its own".into()),
            (true, None) if before.nonce == after.nonce => {
                let lost = self.lost.iter().find(|(other, _)| *other == id);
                if lost.is_some_and(|(_, lost)| write.sent > *lost) {
                    return Err("released a Lease whose term it had lost (L10, L11)".into());
                }
                if !after.released {
                    return Err("released a Lease without its mark (L11)".into());
                }
                releases(before, after)
            }
            (_, None) => Err("released a Lease that is not its own (L11)".into()),
        }
    }
}

fn holds(record: &Snapshot, me: &Arc<str>) -> bool {
    record.holder.as_ref() == Some(me)
}

fn names_its_base(write: &Write) -> Result<(), String> {
    let named = write.base.as_ref();
    match (&write.before, named) {
        (None, None) => Ok(()),
        (Some(before), Some((uid, version)))
            if before.uid == *uid && before.version == *version =>
        {
            Ok(())
        }
        (None, Some(_)) => Err("replaced what is not there (L5)".into()),
        (Some(_), None) => Err("wrote over a lock without naming its state (L5)".into()),
        (Some(before), Some((uid, version))) => Err(format!(
            "named {uid} at {version} and wrote over {} at {} (L5)",
            before.uid, before.version
        )),
    }
}

fn renews(before: &Snapshot, after: &Snapshot) -> Result<(), String> {
    if before.transitions.is_some() && before.transitions != after.transitions {
        // An edit of it is put right; what stood there is compared by those who acquire.
        let edited = after.transitions.is_some_and(|count| count >= 0);
        if !edited {
            return Err("lost count of its term in a renewal (L18)".into());
        }
    }
    Ok(())
}

fn releases(before: &Snapshot, after: &Snapshot) -> Result<(), String> {
    if after.seconds != Some(1) {
        return Err(format!(
            "released for {:?} s instead of 1 (L11)",
            after.seconds
        ));
    }
    if before.transitions == after.transitions {
        Ok(())
    } else {
        Err(format!(
            "released with {:?} transitions instead of {:?} (L11)",
            after.transitions, before.transitions
        ))
    }
}

fn acquires(before: &Snapshot, after: &Snapshot) -> Result<(), String> {
    let counted = before
        .transitions
        .unwrap_or(0)
        .max(0)
        .saturating_add(1)
        .min(i32::MAX.into());
    if after.transitions != Some(counted) {
        return Err(format!(
            "acquired with {:?} transitions instead of {counted} (L18)",
            after.transitions
        ));
    }
    Ok(())
}

/// L2, by true time: no clock within rho can have shown the whole wait before that.
fn waited(
    at: Nanos,
    write: &Write,
    before: &Snapshot,
    after: &Snapshot,
    process: &Process,
) -> Result<(), String> {
    if before.released {
        return Ok(());
    }
    let waits = if before.holder.is_some() {
        before.protects.max(after.protects)
    } else {
        after.protects
    };
    // What stood there before everything is as old as its times say (L24).
    if write.since == 0 && process.trusts_clocks {
        return Ok(());
    }
    let least = waits / FASTEST * 1_000_000;
    let waited = at.saturating_sub(write.since);
    if waited + SECOND / 1000 < least && !process.bad_clock {
        return Err(format!(
            "took a Lease {} after it was written; {} is the least (L2)",
            seconds(waited),
            seconds(least)
        ));
    }
    Ok(())
}

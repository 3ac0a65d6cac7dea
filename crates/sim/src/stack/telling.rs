//! What is told of: writes to the lock, faults, and what is not covered.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    clock::{Nanos, SECOND},
    fault::FaultKind,
    trace::{Against, Author, Happening, ProcessId, Snapshot, Write},
};

use super::{
    api::State,
    process::Process,
    record,
    world::{Due, World},
};

/// How long a run goes on after somebody leads in peace.
const REST: Nanos = 4 * SECOND;

impl World<'_> {
    /// Tell what was written to the lock by the request that was applied just now, and show it to
    /// whoever watches.
    #[allow(clippy::needless_pass_by_value, reason = "each write keeps its own")]
    pub(super) fn publish(
        &mut self,
        by: Author,
        base: Option<(Arc<str>, u64)>,
        sent: Nanos,
    ) -> bool {
        let kind = self.plan.lock;
        let writes = self.api.take_writes(self.now);
        let wrote = !writes.is_empty();
        for (before, state) in writes {
            let snapshot = |state: &State| record::snapshot(kind, &state.object);
            // What is being deleted is gone to all who are judged.
            let before = before.filter(|before| !is_dying(&before.object));
            let after = (!state.gone && !is_dying(&state.object)).then(|| snapshot(&state));
            if before.is_none() && after.is_none() {
                continue;
            }
            let since = if before.is_some() {
                self.since
            } else {
                self.now
            };
            let warrant = match (by, &before, &after) {
                (Author::Process(id), Some(before), None) => self.warrant(id, &before.object),
                _ => None,
            };
            let same = after.is_some()
                && before.as_ref().is_some_and(|before| {
                    record::says(kind, &before.object) == record::says(kind, &state.object)
                });
            if !same {
                self.by = match by {
                    Author::Process(id) if before.is_some() => Some(id),
                    _ => None,
                };
                self.since = self.now;
                if let Some(after) = &after {
                    self.longest = self.longest.max(after.protects);
                }
            }
            let write = Write {
                by,
                base: base.clone(),
                before: before.as_ref().map(snapshot),
                after,
                since,
                sent,
                warrant,
            };
            let ownerless = state.object["metadata"]["ownerReferences"]
                .as_array()
                .is_none_or(Vec::is_empty);
            if let (Author::Process(id), None, true, true) =
                (by, &before, ownerless, kind.is_for_life())
            {
                self.tell(Happening::Broken {
                    process: Some(id),
                    what: "created a lock that no collector will ever remove (F1)".into(),
                });
            }
            if let Author::Process(id) = by
                && !state.gone
                && kind.is_for_life()
                && wants_to_hold_up(&state.object)
            {
                self.tell(Happening::Broken {
                    process: Some(id),
                    what: "holds up the deletion of the Pod that owns its lock (F1)".into(),
                });
            }
            let asks = |state: &Option<Snapshot>| {
                let state = state.as_ref();
                state.map(|state| (state.asked.clone(), state.paused.clone()))
            };
            // Others' labels and the like are no write that anybody goes by.
            let is_asked = asks(&write.before) != asks(&write.after);
            if !same || is_asked || matches!(by, Author::Process(_)) {
                self.tell(Happening::Wrote(write));
            }
        }
        if wrote {
            self.spread();
        }
        wrote
    }

    /// Everything was put back to what it was: tell it, and end the watches.
    pub(super) fn was_restored(&mut self, before: Option<&State>) {
        let snapshot = |state: &State| record::snapshot(self.plan.lock, &state.object);
        let write = Write {
            by: Author::Restore,
            base: None,
            before: before.map(snapshot),
            after: self.api.lock().map(snapshot),
            since: self.now,
            sent: self.now,
            warrant: None,
        };
        self.since = self.now;
        self.restored = self.now;
        self.by = None;
        self.tell(Happening::Wrote(write));
        self.spread();
    }

    /// Whether the lock is held by what this process has put in the place of what stood there.
    pub(super) fn holds_by_its_own_hand(&self, id: ProcessId) -> bool {
        // What is being deleted is given up, whatever holds it up.
        let lock = self.api.lock().filter(|lock| !is_dying(&lock.object));
        let held = lock.is_some_and(|lock| {
            record::snapshot(self.plan.lock, &lock.object)
                .holder
                .is_some()
        });
        held && self.by == Some(id) && self.holder() == Some(id)
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is made to be told")]
    pub(super) fn tell(&mut self, what: Happening) {
        if let Some((at, index)) = self.provoked.by(self.plan, self.now, &what) {
            self.at(at, Due::Fault(index));
        }
        if self.over {
            return;
        }
        if let Happening::Belief { process, belief } = &what {
            if let Some(known) = self.beliefs.get_mut(process.0 as usize) {
                *known = *belief;
            }
            if self.peaceful && belief.is_some() && !self.settled {
                self.settled = true;
                self.at(self.now + REST, Due::Over);
            }
        }
        if !(self.sink)(self.now, &what) {
            self.over = true;
            self.stopped = true;
        }
    }

    pub(super) fn struck(&mut self, fault: u32, kind: FaultKind, process: Option<ProcessId>) {
        self.tell(Happening::Struck {
            fault,
            kind,
            process,
        });
    }

    /// What comes of the present beliefs, and of `holder`'s, is not covered.
    pub(super) fn excuse(&mut self, kind: FaultKind, against: Against, holder: Option<ProcessId>) {
        let mut excused = self.believers();
        excused.extend(
            holder.filter(|holder| self.process(*holder).is_some() && !excused.contains(holder)),
        );
        for process in excused {
            self.tell(Happening::Excused {
                process,
                kind,
                against,
                for_good: false,
            });
        }
    }

    /// Whoever believes at this moment.
    pub(super) fn believers(&self) -> Vec<ProcessId> {
        let believes = |process: &&Process| {
            self.beliefs[process.id.0 as usize]
                .is_some_and(|belief| belief.until.is_none_or(|until| self.now < until))
        };
        let living = self.living().filter(believes);
        living.map(|process| process.id).collect()
    }

    /// A person sends something about the lock.
    pub(super) fn by_hand(&mut self, method: &http::Method, path: &str, object: &Value) -> bool {
        let (status, _) = self.api.send(self.now, method, path, object);
        self.publish(Author::Person, None, self.now) && (200..300).contains(&status)
    }

    /// The process whose record stands in the lock.
    pub(super) fn holder(&self) -> Option<ProcessId> {
        let writer = record::writer(&self.api.lock()?.object)?;
        self.process_of(&writer)
    }
}

/// Whether an owner reference asks for more than to be collected with its owner.
fn wants_to_hold_up(object: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| {
        let set = |flag: &str| owner[flag].as_bool().is_some();
        set("controller") || set("blockOwnerDeletion")
    })
}

fn is_dying(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

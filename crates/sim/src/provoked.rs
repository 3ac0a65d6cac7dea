//! Bad luck at the worst moment: in some runs, what people do to the lock, and what ends a term, does
//! not come at a time of its own but right after the lock has changed hands; and what has to come at one
//! moment to matter at all comes then.

use std::sync::Arc;

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    plan::Plan,
    rng::{Rng, hashed},
    trace::{Author, Happening, ProcessId, Seeing, Snapshot},
};

/// Which faults of a plan have begun.
pub(crate) struct Provoked {
    begun: Vec<bool>,
    /// Who has acquired the lock by the newest write, and does not know it yet.
    acquired: Option<ProcessId>,
    /// Whether that one is ousted when it asks: where nothing else is brought on before.
    ousts: bool,
}

impl Provoked {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            begun: vec![false; plan.faults.len()],
            acquired: None,
            ousts: !plan.provoked && hashed([plan.seed, 0, 91]).is_multiple_of(4),
        }
    }

    /// A fault is due. False if it has begun before its time.
    pub(crate) fn begins(&mut self, fault: usize) -> bool {
        !std::mem::replace(&mut self.begun[fault], true)
    }

    /// Which fault this brings on, and when.
    pub(crate) fn by(
        &mut self,
        plan: &Plan,
        now: Nanos,
        what: &Happening,
    ) -> Option<(Nanos, usize)> {
        let kinds = self.provokes(plan, what)?;
        let expected = if matches!(kinds, Kinds::Ousting) {
            self.ousts
        } else {
            plan.provoked
        };
        if !expected {
            return None;
        }
        let mut waiting = plan.faults.iter().enumerate();
        let (index, fault) = waiting.find(|(index, fault)| {
            !self.begun[*index] && fault.at > now + 3 * SECOND && kinds.have(fault.kind)
        })?;
        let mut rng = Rng::new(fault.salt, 90);
        let soon = match kinds {
            // Before who was told of it can look.
            Kinds::Deletion => plan.latency,
            // When it was read, and before the answer is there.
            Kinds::Ousting => 2 * plan.latency,
            Kinds::Request => 400 * MILLI,
            _ => [60 * MILLI, 400 * MILLI, 3 * SECOND][rng.index(3)],
        };
        Some((now + rng.below(soon), index))
    }

    fn provokes(&mut self, plan: &Plan, what: &Happening) -> Option<Kinds> {
        match what {
            // Whoever was told that there is one looks for it, and finds nothing.
            Happening::Sees {
                how: Seeing::Exists,
                ..
            } if !plan.lock.is_for_life() => Some(Kinds::Deletion),
            // Whoever reads what became of its try is told of a later state first.
            Happening::Asked {
                process,
                rested: Some(_),
            } if self.acquired == Some(*process) => Some(Kinds::Ousting),
            Happening::Belief { process, .. } => {
                self.acquired = self.acquired.filter(|other| other != process);
                None
            }
            Happening::GivenUntil { .. } => Some(Kinds::Successor),
            Happening::Wrote(write) => {
                let (before, after) = (write.before.as_ref(), write.after.as_ref());
                let changes = holder(before) != holder(after);
                self.acquired = None;
                match write.by {
                    Author::Process(process) => {
                        let held = holder(after).is_some();
                        self.acquired = (changes && held).then_some(process);
                        changes.then_some(Kinds::Any)
                    }
                    // What it counts is not the term of who holds it.
                    Author::Person => {
                        let miscounts = !changes && count(before) != count(after);
                        miscounts.then_some(Kinds::Request)
                    }
                    Author::Collector | Author::Restore => None,
                }
            }
            _ => None,
        }
    }
}

fn holder(state: Option<&Snapshot>) -> Option<&Arc<str>> {
    state?.holder.as_ref()
}

fn count(state: Option<&Snapshot>) -> Option<i64> {
    state?.transitions
}

/// Which faults something brings on.
#[derive(Clone, Copy)]
enum Kinds {
    /// What people do to the lock, and what ends a term.
    Any,
    /// The lock is deleted.
    Deletion,
    /// Somebody takes it from its holder.
    Ousting,
    /// Somebody asks for something.
    Request,
    /// Whoever leaves is told once more whom to name.
    Successor,
}

impl Kinds {
    fn have(self, kind: FaultKind) -> bool {
        use FaultKind::{
            AskStepDown, Cancel, Crash, HandOver, PeopleDelete, PeopleEmpty, PeopleReown, StepDown,
        };
        match self {
            Self::Any => {
                kind.is_by_people() || matches!(kind, Cancel | Crash | HandOver | StepDown)
            }
            Self::Deletion => kind == PeopleDelete,
            Self::Ousting => matches!(kind, PeopleDelete | PeopleEmpty | PeopleReown),
            Self::Request => kind == AskStepDown,
            Self::Successor => matches!(kind, AskStepDown | HandOver),
        }
    }
}

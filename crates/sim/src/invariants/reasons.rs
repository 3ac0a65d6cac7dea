//! A loss is told with a reason that is true: what it says of the lock was so within the term.

use std::sync::Arc;

use tenure_core::{LossReason, Notice};

use crate::{
    clock::Nanos,
    ledger::Ledger,
    trace::{Author, Happening, ProcessId, Snapshot, Write},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Reasons {
    /// What the lock was, in the order of the server.
    states: Vec<State>,
    terms: Vec<Term>,
    /// Processes that may have been told of a refusal of what was applied, or was sent twice: by L6
    /// that is settled, and what they find there later is a riddle to them.
    misled: Vec<ProcessId>,
}

struct State {
    version: u64,
    present: bool,
    uid: Option<Arc<str>>,
    holder: Option<Arc<str>>,
    nonce: Option<Arc<str>>,
    /// It is a lock for life: annotations and owner reference may say two things, and two
    /// processes of one Pod have one name.
    for_life: bool,
    by: Author,
    /// Somebody edited what its holder has written last, which is undone, and ends no term (L21).
    edits: bool,
}

/// The latest term of a process.
#[derive(Clone, Default)]
struct Term {
    /// Its place among the states.
    began: usize,
    until: Nanos,
    on: bool,
}

impl Invariant for Reasons {
    fn name(&self) -> &'static str {
        "reasons"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        match what {
            Happening::Wrote(write) => self.wrote(write),
            Happening::Belief { process, belief } => {
                let began = |token| self.states.partition_point(|state| state.version < token);
                let began = belief.map(|belief| began(belief.token));
                let term = self.of(*process);
                if let (Some(belief), Some(began)) = (belief, began) {
                    if !term.on {
                        term.began = began;
                    }
                    // What was over stays over, however a clock is set.
                    let until = belief.until.unwrap_or(0);
                    if until > at {
                        term.until = until;
                    }
                }
                term.on = belief.is_some();
            }
            Happening::Struck {
                kind,
                process: Some(process),
                ..
            } if kind.misleads() => self.misled.push(*process),
            Happening::Notice {
                process,
                notice: Notice::Lost(reason),
            } if ledger.process(*process).ours && !ledger.restored() => {
                let term = self.of(*process).clone();
                if !self.is_true(at, *process, reason, &term, ledger) {
                    let who = named(ledger, *process);
                    return Err(match reason {
                        LossReason::Expired => format!(
                            "{who} lost leadership because its time was over ({reason}), and it is \
                             so only at {}",
                            seconds(term.until)
                        ),
                        _ => format!("{who} lost leadership ({reason}), and that is not so"),
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Reasons {
    fn wrote(&mut self, write: &Write) {
        let newest = self.states.last().map_or(0, |state| state.version);
        let after = write.after.as_ref();
        self.states.push(State {
            version: after.map_or(newest + 1, |after| after.version),
            present: after.is_some(),
            uid: after.map(|after| Arc::clone(&after.uid)),
            holder: after.and_then(|after| after.holder.clone()),
            nonce: after.and_then(|after| after.nonce.clone()),
            for_life: after.is_some_and(|after| after.protects == 0),
            by: write.by,
            edits: write.by == Author::Person && keeps_the_annotation(write),
        });
    }

    fn is_true(
        &self,
        at: Nanos,
        process: ProcessId,
        reason: &LossReason,
        term: &Term,
        ledger: &Ledger,
    ) -> bool {
        let me = &ledger.process(process).identity;
        let states = self.states.get(term.began..).unwrap_or_default();
        let any = |is_so: &dyn Fn(&State) -> bool| states.iter().any(is_so);
        match reason {
            // Readings are whole nanoseconds.
            LossReason::Expired => at + 1000 >= term.until,
            LossReason::TakenBy(_) => {
                let first = states.first().and_then(|state| state.nonce.clone());
                any(&|state| match &state.holder {
                    Some(holder) if holder != me => true,
                    holder => state.for_life && (holder.is_none() || state.nonce != first),
                })
            }
            LossReason::Deleted => any(&|state| !state.present),
            LossReason::Emptied => any(&|state| {
                let nobody = state.for_life && state.nonce.is_none();
                state.present && (state.holder.is_none() || nobody)
            }),
            LossReason::Replaced => {
                let first = states.first().and_then(|state| state.uid.clone());
                any(&|state| state.present && state.uid != first)
            }
            LossReason::Twin | LossReason::WentBackwards => {
                let by_another = |state: &State| state.by != Author::Process(process);
                self.misled.contains(&process) || any(&|state| by_another(state) && !state.edits)
            }
            _ => true,
        }
    }

    fn of(&mut self, id: ProcessId) -> &mut Term {
        let index = id.0 as usize;
        if self.terms.len() <= index {
            self.terms.resize(index + 1, Term::default());
        }
        &mut self.terms[index]
    }
}

/// Whether a write leaves the annotation of a Lease as it was.
fn keeps_the_annotation(write: &Write) -> bool {
    match (&write.before, &write.after) {
        (Some(before), Some(after)) => {
            let same = |one: &Snapshot, other: &Snapshot| {
                one.nonce == other.nonce && one.write == other.write && one.uid == other.uid
            };
            before.write.is_some() && same(before, after)
        }
        _ => false,
    }
}

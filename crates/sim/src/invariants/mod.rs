//! What must hold, whatever a seed does. One file for each.
//!
//! | name | what holds |
//! |---|---|
//! | `at-most-one` | at most one process may say that it leads, at any moment of true time |
//! | `fencing` | tokens grow from term to term, and no stale write is taken where they are checked |
//! | `history` | every write is over what it names, erases no successor, and keeps what others wrote |
//! | `validity` | belief ends H after a write left that was applied |
//! | `waits` | whoever takes a Lease has waited for everybody whom it has seen to hold it |
//! | `evidence` | nobody creates a Lease held that it knows of, nor begins to lead when it was ousted |
//! | `liveness` | somebody leads soon after the faults have ended |
//! | `no-cause` | nobody loses leadership without a fault |
//! | `requests` | nobody asks the server too often |
//! | `looking` | who stands by without a watch looks by itself |
//! | `leaving` | leaders leave in order: the work has time, renewals end, what goes on is reported |
//! | `turns` | who is named goes first, who has left goes last, and what is free is soon taken |
//! | `spread` | candidates that wait for nothing but time do not do so in step |
//! | `truth` | status, notices and the time that work is given are as promised |
//! | `reasons` | a loss is told with a reason that is true |
//! | `prompt` | whoever has lost the lock knows it soon |
//! | `steered` | what people ask is done by whom they ask, and nobody takes a paused Lease |
//! | `health` | nothing panics, hangs, or is left behind |
//! | `deletions` | a lock for life is only ever deleted by a rule |

mod at_most_one;
mod deletions;
mod evidence;
mod fencing;
mod health;
mod held_up;
mod history;
mod leaving;
mod liveness;
mod looking;
mod no_cause;
mod prompt;
mod reasons;
mod requests;
mod spread;
mod steered;
mod truth;
mod turns;
mod validity;
mod waits;

use std::collections::BTreeMap;

use crate::{
    clock::Nanos,
    fault::FaultKind,
    ledger::Ledger,
    trace::{Happening, ProcessId},
};

/// Something that must hold.
pub trait Invariant {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Look at what happened; the ledger knows of it already. The text says what is wrong.
    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String>;

    /// The run is over.
    fn finish(&mut self, _at: Nanos, _ledger: &Ledger) -> Result<(), String> {
        Ok(())
    }

    /// What it excused: overlaps by the fault that is not covered.
    fn excused(&self) -> Option<&BTreeMap<FaultKind, u64>> {
        None
    }
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// When, in true time.
    pub at: Nanos,
    /// What was seen, for people.
    pub what: String,
}

/// All checkers of one run.
pub struct Judges {
    ledger: Ledger,
    invariants: Vec<Box<dyn Invariant>>,
    violation: Option<Violation>,
}

/// The names of all invariants.
#[must_use]
pub fn names() -> Vec<&'static str> {
    all().iter().map(|invariant| invariant.name()).collect()
}

fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(at_most_one::AtMostOne::default()),
        Box::new(fencing::Fencing::default()),
        Box::new(history::History::default()),
        Box::new(validity::Validity::default()),
        Box::new(waits::Waits::default()),
        Box::new(evidence::Evidence::default()),
        Box::new(liveness::Liveness::default()),
        Box::new(no_cause::NoCause),
        Box::new(requests::Requests::default()),
        Box::new(looking::Looking::default()),
        Box::new(leaving::Leaving::default()),
        Box::new(turns::Turns::default()),
        Box::new(spread::Spread::default()),
        Box::new(truth::Truth::default()),
        Box::new(reasons::Reasons::default()),
        Box::new(prompt::Prompt::default()),
        Box::new(steered::Steered::default()),
        Box::new(health::Health),
        Box::new(deletions::Deletions),
    ]
}

impl Judges {
    /// All of them but those that are named: what a checker is worth shows when it is blind.
    #[must_use]
    pub fn new(blind: &[String]) -> Self {
        let mut invariants = all();
        invariants.retain(|invariant| !blind.iter().any(|name| name == invariant.name()));
        Self {
            ledger: Ledger::default(),
            invariants,
            violation: None,
        }
    }

    /// Show them what happened. After the first violation nothing is looked at any more.
    pub fn see(&mut self, at: Nanos, what: &Happening) {
        if self.violation.is_some() {
            return;
        }
        self.ledger.note(at, what);
        for invariant in &mut self.invariants {
            if let Err(what) = invariant.see(at, what, &self.ledger) {
                let invariant = invariant.name();
                self.violation = Some(Violation {
                    invariant,
                    at,
                    what,
                });
                return;
            }
        }
    }

    /// The run is over at that moment.
    pub fn finish(&mut self, at: Nanos) -> Option<Violation> {
        for invariant in &mut self.invariants {
            if self.violation.is_some() {
                break;
            }
            if let Err(what) = invariant.finish(at, &self.ledger) {
                let invariant = invariant.name();
                self.violation = Some(Violation {
                    invariant,
                    at,
                    what,
                });
            }
        }
        self.violation.clone()
    }

    /// What was violated, if anything was.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The facts so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Overlaps that are not covered, by the fault that made them.
    #[must_use]
    pub fn excused(&self) -> BTreeMap<FaultKind, u64> {
        let mut sum = BTreeMap::new();
        for (kind, times) in self.invariants.iter().filter_map(|i| i.excused()).flatten() {
            *sum.entry(*kind).or_insert(0) += times;
        }
        sum
    }
}

/// A process as a message names it.
fn named(ledger: &Ledger, id: ProcessId) -> String {
    let process = ledger.process(id);
    format!(
        "process {} in seat {} ({})",
        id.0, process.seat, process.identity
    )
}

fn seconds(nanos: Nanos) -> String {
    format!(
        "{}.{:03} s",
        nanos / 1_000_000_000,
        nanos / 1_000_000 % 1000
    )
}

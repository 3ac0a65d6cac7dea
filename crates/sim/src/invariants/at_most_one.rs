//! At most one process may say that it leads, at any moment of true time; and the work of a former
//! leader that ends when it is told to has ended by then.

use std::collections::BTreeMap;

use crate::{
    clock::Nanos,
    fault::FaultKind,
    ledger::Ledger,
    trace::{Happening, ProcessId},
};

use super::{Invariant, named};

#[derive(Default)]
pub(super) struct AtMostOne {
    excused: BTreeMap<FaultKind, u64>,
    /// The pairs whose overlap was counted already.
    counted: Vec<(ProcessId, ProcessId, u64)>,
}

impl Invariant for AtMostOne {
    fn name(&self) -> &'static str {
        "at-most-one"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        // Beliefs begin, or are made longer, by this alone.
        let Happening::Belief {
            process,
            belief: Some(belief),
        } = what
        else {
            return Ok(());
        };
        if !ledger.process(*process).ours {
            return Ok(());
        }
        for (other, who) in ledger.believers(at) {
            if other == *process || !ledger.process(*process).believes(at) {
                continue;
            }
            if let Some(kind) = ledger.excuse(*process, other) {
                let pair = (other, *process, belief.token);
                if !self.counted.contains(&pair) {
                    self.counted.push(pair);
                    *self.excused.entry(kind).or_insert(0) += 1;
                }
                continue;
            }
            let token = who.belief.map_or(0, |belief| belief.token);
            return Err(format!(
                "{} believes that it leads (token {}), and {} still may (token {token})",
                named(ledger, *process),
                belief.token,
                named(ledger, other),
            ));
        }
        Ok(())
    }

    fn excused(&self) -> Option<&BTreeMap<FaultKind, u64>> {
        Some(&self.excused)
    }
}

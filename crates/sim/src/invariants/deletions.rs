//! A lock for life is only ever deleted by a rule: one's own (F4, F10), or one whose owner is gone
//! in truth (F8, F9); and always with uid and resourceVersion (F5).

use crate::{
    clock::Nanos,
    ledger::Ledger,
    trace::{Author, Happening, Write},
};

use super::{Invariant, named};

pub(super) struct Deletions;

impl Invariant for Deletions {
    fn name(&self) -> &'static str {
        "deletions"
    }

    fn see(&mut self, _: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        let Happening::Wrote(Write {
            by: Author::Process(process),
            base,
            before: Some(before),
            after: None,
            warrant,
            ..
        }) = what
        else {
            return Ok(());
        };
        if !ledger.process(*process).ours {
            return Ok(());
        }
        let who = named(ledger, *process);
        if base.is_none() {
            return Err(format!(
                "{who} deleted the lock without naming its state (F5)"
            ));
        }
        // Once history was taken back, one resourceVersion may name two states.
        if warrant.is_none() && !ledger.restored() {
            let holder = before.holder.as_deref().unwrap_or("nobody");
            return Err(format!(
                "{who} deleted the lock of {holder}, and no rule allows it"
            ));
        }
        Ok(())
    }
}

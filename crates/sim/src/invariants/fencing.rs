//! Tokens are those of the writes that acquired (L19), they grow from term to term, and where they
//! are checked no write of an earlier term is taken after one of a later. This holds also where two
//! led at one time; only a restore takes it away.

use std::sync::Arc;

use crate::{
    clock::Nanos,
    ledger::Ledger,
    trace::{Author, Happening, ProcessId, Write},
};

use super::{Invariant, named};

#[derive(Default)]
pub(super) struct Fencing {
    /// The writes that acquired, in the order of the server: who, and the resourceVersion.
    acquired: Vec<(Acquirer, u64)>,
    /// The token that each process shows in its present term.
    tokens: Vec<Option<u64>>,
    /// The newest term whose write was taken, by its place among the acquisitions.
    newest_taken: Option<usize>,
    /// The highest token of a stranger, who may show one of no acquisition.
    foreign: u64,
}

/// By whom the lock was acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Acquirer {
    Process(ProcessId),
    /// Somebody wrote them in by hand, and a process of theirs may find a write of its own there
    /// that it had not seen come to anything.
    ByHand(Arc<str>),
}

impl Invariant for Fencing {
    fn name(&self) -> &'static str {
        "fencing"
    }

    fn see(&mut self, _: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        if ledger.restored() {
            return Ok(());
        }
        match what {
            Happening::Wrote(write) => {
                if let Some(acquirer) = acquirer(write) {
                    let version = write.after.as_ref().map_or(0, |after| after.version);
                    self.acquired.push((acquirer, version));
                }
                Ok(())
            }
            Happening::Belief { process, belief } if ledger.process(*process).ours => {
                let token = belief.map(|belief| belief.token);
                self.believed(*process, token, ledger)
            }
            Happening::Fenced {
                process,
                token,
                accepted,
            } => self.fenced(*process, *token, *accepted, ledger),
            _ => Ok(()),
        }
    }
}

impl Fencing {
    fn believed(
        &mut self,
        id: ProcessId,
        token: Option<u64>,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let index = id.0 as usize;
        if self.tokens.len() <= index {
            self.tokens.resize(index + 1, None);
        }
        let before = std::mem::replace(&mut self.tokens[index], token);
        let who = || named(ledger, id);
        match (before, token) {
            (Some(before), Some(token)) if before != token => Err(format!(
                "{} shows token {token}, and {before} in the same term before",
                who()
            )),
            (None, Some(token)) if self.term_of(id, token, ledger).is_none() => Err(format!(
                "{} shows token {token}, which is of no write by which it acquired the lock",
                who()
            )),
            _ => Ok(()),
        }
    }

    fn fenced(
        &mut self,
        id: ProcessId,
        token: u64,
        accepted: bool,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let term = self.term_of(id, token, ledger);
        if !ledger.process(id).ours {
            if accepted {
                self.newest_taken = self.newest_taken.max(term);
                self.foreign = self.foreign.max(token);
            }
            return Ok(());
        }
        let Some(term) = term else {
            return Err(format!(
                "{} wrote with a token of nobody: {token}",
                named(ledger, id)
            ));
        };
        let newest = self.newest_taken;
        match (accepted, newest.is_some_and(|newest| term < newest)) {
            (true, true) => Err(format!(
                "a write of {} was taken after one of a later term",
                named(ledger, id)
            )),
            (false, false) if token < self.foreign => Ok(()),
            (false, false) => Err(format!(
                "a write of {} was refused, and no later term had written",
                named(ledger, id)
            )),
            (true, false) => {
                self.newest_taken = Some(term);
                Ok(())
            }
            (false, true) => Ok(()),
        }
    }

    /// The place among the acquisitions of the term that this process shows `token` for. The
    /// token of an adopted acquisition is the resourceVersion that was read (L6): not older than
    /// the write, and older than the next acquisition.
    fn term_of(&self, id: ProcessId, token: u64, ledger: &Ledger) -> Option<usize> {
        let after = self
            .acquired
            .partition_point(|(_, version)| *version <= token);
        let place = after.checked_sub(1)?;
        let is_own = match &self.acquired[place].0 {
            Acquirer::Process(process) => *process == id,
            Acquirer::ByHand(identity) => *identity == ledger.process(id).identity,
        };
        is_own.then_some(place)
    }
}

/// Who begins a term with a write, as far as the record tells.
fn acquirer(write: &Write) -> Option<Acquirer> {
    let after = write.after.as_ref()?;
    let holder = after.holder.as_ref()?;
    match write.by {
        // Of a Lease the acquiring write alone says that it was acquired when it was renewed (L18);
        // of a lock for life each write begins a term.
        Author::Process(process) => {
            (after.acquired == after.renewed).then_some(Acquirer::Process(process))
        }
        Author::Person => {
            let before = write.before.as_ref();
            let same = before.is_some_and(|before| before.nonce == after.nonce);
            (after.protects == 0 && !same).then(|| Acquirer::ByHand(Arc::clone(holder)))
        }
        Author::Collector | Author::Restore => None,
    }
}

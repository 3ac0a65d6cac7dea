//! What a candidate has seen counts. Nobody creates a Lease with itself as the holder that has had any
//! trace of one (L14), and nobody begins to lead by a write after it was shown that another came later
//! (L9), or that the Lease is paused (L26).

use std::sync::Arc;

use tenure_core::Notice;

use crate::{
    clock::{MILLI, Nanos},
    ledger::Ledger,
    trace::{Author, Happening, ProcessId, Seeing, Write},
};

use super::{Invariant, named, seconds};

#[derive(Default)]
pub(super) struct Evidence {
    /// What the Lease was, from each resourceVersion on.
    states: Vec<State>,
    candidates: Vec<Candidate>,
    /// What reaches a process is taken in at once, in a world in which changes of the holder are
    /// told: the pure protocol's.
    at_once: bool,
}

struct State {
    from: u64,
    holder: Option<Arc<str>>,
    paused: bool,
}

#[derive(Clone, Default)]
struct Candidate {
    /// When it had the first trace of the Lease.
    traced: Option<Nanos>,
    /// The newest version that it was shown.
    newest: u64,
    /// When it was shown that, if it is another's, or the Lease's end.
    ousted: Option<Nanos>,
    /// Since when it knows of a pause, if that is paused.
    paused: Option<Nanos>,
    leads: bool,
}

/// What reaches a process takes so long to reach its elector, at most.
const TAKEN_IN: Nanos = 200 * MILLI;

impl Invariant for Evidence {
    fn name(&self) -> &'static str {
        "evidence"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        // One resourceVersion may name two states from then on.
        if ledger.restored() {
            return Ok(());
        }
        match what {
            Happening::Sees {
                process,
                version,
                how,
            } => {
                self.sees(at, *process, *version, *how, ledger);
                Ok(())
            }
            Happening::Wrote(write) => {
                let created = self.created(write, ledger);
                let after = write.after.as_ref();
                self.states.extend(after.map(|after| State {
                    from: after.version,
                    holder: after.holder.clone(),
                    paused: after.paused.is_some(),
                }));
                created
            }
            Happening::Notice {
                notice: Notice::Holder(_),
                ..
            } => {
                self.at_once = true;
                Ok(())
            }
            Happening::Belief { process, belief } => {
                let begins = belief.filter(|_| !self.of(*process).leads);
                self.of(*process).leads = belief.is_some();
                begins.map_or(Ok(()), |belief| {
                    self.begins(at, *process, belief.token, ledger)
                })
            }
            _ => Ok(()),
        }
    }
}

impl Evidence {
    fn sees(&mut self, at: Nanos, id: ProcessId, version: u64, how: Seeing, ledger: &Ledger) {
        let is_trace = match how {
            Seeing::Absent => false,
            Seeing::Answered => version > 0,
            Seeing::Watched | Seeing::Gone | Seeing::Exists => true,
        };
        let until = self.states.partition_point(|state| state.from <= version);
        let shown = until.checked_sub(1).map(|place| &self.states[place]);
        let me = &ledger.process(id).identity;
        let others = shown.is_some_and(|state| state.holder.as_ref() != Some(me));
        let is_others = how == Seeing::Gone || others;
        let paused = how != Seeing::Gone && shown.is_some_and(|state| state.paused);
        let candidate = self.of(id);
        if is_trace && candidate.traced.is_none() {
            candidate.traced = Some(at);
        }
        if version > candidate.newest {
            candidate.newest = version;
            candidate.ousted = is_others.then_some(at);
            candidate.paused = paused.then(|| candidate.paused.unwrap_or(at));
        }
    }

    fn created(&self, write: &Write, ledger: &Ledger) -> Result<(), String> {
        let (Author::Process(id), None, Some(after)) = (write.by, &write.before, &write.after)
        else {
            return Ok(());
        };
        let process = ledger.process(id);
        let is_held = after.protects > 0 && after.holder.is_some();
        let traced = self.candidates.get(id.0 as usize).and_then(|it| it.traced);
        match traced.filter(|_| is_held && process.ours) {
            Some(traced)
                if traced + self.slack() < write.sent
                    && !slept_since(process.slept_until, traced) =>
            {
                Err(format!(
                    "{} created the Lease with itself as the holder, {} after it had a trace of one \
                     (L14)",
                    named(ledger, id),
                    seconds(write.sent - traced)
                ))
            }
            _ => Ok(()),
        }
    }

    fn begins(&self, at: Nanos, id: ProcessId, token: u64, ledger: &Ledger) -> Result<(), String> {
        let process = ledger.process(id);
        let candidate = self.candidates.get(id.0 as usize);
        let candidate = candidate.filter(|_| process.ours && process.trusts.is_some());
        if let Some(paused) = candidate.and_then(|it| it.paused)
            && paused + self.slack() < at
            && !slept_since(process.slept_until, paused)
        {
            return Err(format!(
                "{} begins to lead, and was shown {} before that the Lease is paused (L26)",
                named(ledger, id),
                seconds(at - paused)
            ));
        }
        let newer = candidate.filter(|it| it.newest > token);
        match newer.and_then(|it| it.ousted) {
            Some(shown)
                if shown + self.slack() < at && !slept_since(process.slept_until, shown) =>
            {
                Err(format!(
                    "{} begins to lead by {token}, and was shown a later state of another {} before \
                     (L9)",
                    named(ledger, id),
                    seconds(at - shown)
                ))
            }
            _ => Ok(()),
        }
    }

    fn slack(&self) -> Nanos {
        if self.at_once { 0 } else { TAKEN_IN }
    }

    fn of(&mut self, id: ProcessId) -> &mut Candidate {
        let index = id.0 as usize;
        if self.candidates.len() <= index {
            self.candidates.resize(index + 1, Candidate::default());
        }
        &mut self.candidates[index]
    }
}

fn slept_since(until: Nanos, then: Nanos) -> bool {
    until > 0 && until + MILLI > then
}

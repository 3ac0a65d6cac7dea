//! What people ask by annotations on the lock is done, soon and as they say, and nothing else is done
//! in its name: nobody takes a paused Lease, and a request to one term ends no other (L25, L26, F12).

use std::sync::Arc;

use tenure_core::{LossReason, Notice, Status};

use crate::{
    clock::{Nanos, SECOND},
    fault::FaultKind,
    ledger::Ledger,
    trace::{Asked, Author, Happening, ProcessId, Snapshot, Write},
};

use super::{Invariant, held_up::HeldUp, named, seconds};

/// A renewal and the read after it, for the longest retry period of the fleets.
const LEASE: Nanos = 5 * SECOND;
/// A look at the lock every 30 s at least (F6), by the slowest clock, and a call.
const FOR_LIFE: Nanos = 45 * SECOND;

#[derive(Default)]
pub(super) struct Steered {
    /// Every request that ever stood there.
    requests: Vec<Asked>,
    newest: Option<Snapshot>,
    /// When the Lease was last known to be paused.
    paused: Option<Nanos>,
    terms: Vec<Term>,
    due: Vec<Due>,
    held_up: HeldUp,
}

/// The newest write of a process by which it acquired, and what came of the term.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Term {
    process: ProcessId,
    began: Nanos,
    uid: Arc<str>,
    nonce: Option<Arc<str>>,
    /// What a request names it by.
    holder: Arc<str>,
    /// None for life.
    transitions: Option<i64>,
    for_life: bool,
    leads: bool,
    stopped: bool,
    /// It ends because it was asked to.
    obeys: bool,
    /// Its own program named a successor.
    names: bool,
    /// Whom it named, and when in the order of what was named, is known.
    knows: bool,
    told: Option<(Arc<str>, Option<Arc<str>>)>,
    /// The successor that was named to it last, as it told.
    named_last: Option<Arc<str>>,
}

/// A leader that has to tell its work to end.
struct Due {
    process: ProcessId,
    since: Nanos,
    within: Nanos,
}

impl Invariant for Steered {
    fn name(&self) -> &'static str {
        "steered"
    }

    fn see(&mut self, at: Nanos, what: &Happening, ledger: &Ledger) -> Result<(), String> {
        self.held_up.note(at, what);
        // One resourceVersion may name two states from then on.
        if ledger.restored() {
            return Ok(());
        }
        match what {
            Happening::Wrote(write) => self.wrote(at, write, ledger)?,
            Happening::Belief { process, belief } => {
                self.believes(at, *process, belief.map(|belief| belief.token), ledger);
            }
            Happening::Ended { process } => self.settled(*process),
            Happening::Struck {
                kind: FaultKind::HandOver,
                process: Some(process),
                ..
            } => {
                if let Some(term) = self.term_mut(*process) {
                    term.names = true;
                }
            }
            Happening::HandsOver { process, to } => {
                // Nothing is heard by who does not lead (any more).
                let leads = ledger.process(*process).believes(at);
                if let Some(term) = self.term_mut(*process).filter(|term| term.leads && leads) {
                    term.named_last = Some(Arc::clone(to));
                    term.knows = true;
                }
            }
            Happening::Status {
                process,
                status: Status::Paused { .. },
            } if self.paused.is_none() => {
                let who = named(ledger, *process);
                return Err(format!("{who} shows a pause, and there was none (L26)"));
            }
            Happening::Notice { process, notice } if ledger.process(*process).ours => self
                .told(*process, notice)
                .map_err(|wrong| format!("{} {wrong}", named(ledger, *process)))?,
            Happening::Peace { .. } => self.due.clear(),
            _ => {}
        }
        self.judge(at, ledger)
    }
}

impl Steered {
    fn wrote(&mut self, at: Nanos, write: &Write, ledger: &Ledger) -> Result<(), String> {
        if let Author::Process(id) = write.by
            && ledger.process(id).ours
        {
            self.judge_write(id, write)
                .map_err(|wrong| format!("{} {wrong}", named(ledger, id)))?;
            self.acquired(at, id, write);
        }
        if let Some(asked) = write
            .after
            .as_ref()
            .and_then(|after| after.asked.as_deref())
            && !self.requests.contains(asked)
        {
            self.requests.push(asked.clone());
        }
        let is_paused = |state: &Option<Snapshot>| {
            let state = state.as_ref();
            state.is_some_and(|state| state.paused.is_some())
        };
        if is_paused(&write.before) || is_paused(&write.after) {
            self.paused = Some(at);
        }
        self.newest.clone_from(&write.after);
        let processes: Vec<ProcessId> = self.terms.iter().map(|term| term.process).collect();
        for process in processes {
            self.expect(at, process, ledger);
        }
        Ok(())
    }

    fn judge_write(&self, id: ProcessId, write: &Write) -> Result<(), String> {
        let (Some(before), Some(after)) = (&write.before, &write.after) else {
            return Ok(());
        };
        if before.paused != after.paused {
            return Err("wrote over a pause that is not its own to end (L26, L5)".into());
        }
        if acquires(after) {
            if before.paused.is_some() {
                return Err("took a Lease that was paused (L26)".into());
            }
            if after.asked.is_some() {
                return Err("left a request to an earlier term where it was (L25, F12)".into());
            }
        } else if before.asked != after.asked {
            return Err("removed a request, and did not acquire (L25)".into());
        }
        let Some(term) = self.term(id).filter(|_| after.released) else {
            return Ok(());
        };
        let is_known = term.obeys && term.told.is_some() && !term.names || term.knows;
        if is_known && after.successor != term.named_last {
            return Err(format!(
                "names {:?} as its successor, and was told to name {:?} last (L22, L25)",
                after.successor, term.named_last
            ));
        }
        if term.obeys && !term.names {
            let mut asked = self.requests.iter().filter(|asked| term.is_meant(asked));
            if !asked.any(|asked| asked.to == after.successor) {
                return Err(format!(
                    "was asked to step down, and names {:?} as its successor (L22, L25)",
                    after.successor
                ));
            }
        }
        Ok(())
    }

    fn acquired(&mut self, at: Nanos, process: ProcessId, write: &Write) {
        let Some(after) = write.after.as_ref().filter(|after| acquires(after)) else {
            return;
        };
        let for_life = after.protects == 0;
        let holder = if for_life {
            &after.nonce
        } else {
            &after.holder
        };
        let Some(holder) = holder.clone() else {
            return;
        };
        self.terms.retain(|term| term.process != process);
        self.due.retain(|due| due.process != process);
        self.terms.push(Term {
            process,
            began: at,
            uid: Arc::clone(&after.uid),
            nonce: after.nonce.clone(),
            holder,
            transitions: after.transitions,
            for_life,
            leads: false,
            stopped: false,
            obeys: false,
            names: false,
            knows: false,
            told: None,
            named_last: None,
        });
    }

    fn believes(&mut self, at: Nanos, id: ProcessId, token: Option<u64>, ledger: &Ledger) {
        let newest = self.newest.as_ref();
        let copy = newest.filter(|newest| Some(newest.version) == token);
        let copy = copy.map(|copy| Arc::clone(&copy.uid));
        let begins = match self.term_mut(id) {
            Some(term) => {
                // A copy that somebody made of what was written cannot be told from it (L6).
                term.uid = copy.unwrap_or_else(|| Arc::clone(&term.uid));
                !std::mem::replace(&mut term.leads, token.is_some()) && token.is_some()
            }
            None => false,
        };
        if begins {
            self.expect(at, id, ledger);
        } else if token.is_none() {
            self.settled(id);
        }
    }

    /// Whether this leader has to leave because of what stands there now.
    fn expect(&mut self, at: Nanos, id: ProcessId, ledger: &Ledger) {
        let process = ledger.process(id);
        let (Some(term), Some(now)) = (self.term(id), &self.newest) else {
            return self.settled(id);
        };
        let has_to = now.paused.is_some() || now.asked.as_deref().is_some_and(|a| term.is_meant(a));
        let holds = now.nonce == term.nonce && now.uid == term.uid && now.holder.is_some();
        let leads = process.ours && process.believes(at) && !process.bad_clock;
        let within = if term.for_life { FOR_LIFE } else { LEASE };
        if !(has_to && holds && leads) || term.stopped {
            return self.settled(id);
        }
        if self.due.iter().all(|due| due.process != id) {
            self.due.push(Due {
                process: id,
                since: at,
                within,
            });
        }
    }

    fn told(&mut self, id: ProcessId, notice: &Notice) -> Result<(), String> {
        match notice {
            Notice::Stop { reason, .. } => {
                self.settled(id);
                let asked = matches!(reason, LossReason::Asked(_));
                if let Some(term) = self.term_mut(id) {
                    term.stopped = true;
                    term.obeys = asked;
                }
                self.reason(id, reason)
            }
            Notice::Lost(reason) => {
                self.settled(id);
                self.reason(id, reason)
            }
            Notice::AskedToStepDown { by, to } => {
                let request = (Arc::clone(by), to.clone());
                let for_life = self.term(id).is_some_and(|term| term.for_life);
                self.is_asked(id, |asked| asked.by == *by && (for_life || asked.to == *to))?;
                match self.term_mut(id) {
                    Some(term) if term.told.as_ref() == Some(&request) => {
                        Err("told of one request twice (L25)".into())
                    }
                    Some(term) => {
                        if to.is_some() {
                            term.named_last.clone_from(to);
                        }
                        term.told = Some(request);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
            Notice::Paused(Some(_)) if self.paused.is_none() => {
                Err("told of a pause, and there was none (L26)".into())
            }
            _ => Ok(()),
        }
    }

    /// A reason to leave that people gave was given to this very term.
    fn reason(&self, id: ProcessId, reason: &LossReason) -> Result<(), String> {
        match reason {
            LossReason::Asked(by) => self.is_asked(id, |asked| asked.by == *by),
            LossReason::Paused(_) => {
                let began = self.term(id).map_or(0, |term| term.began);
                let now = self.newest.as_ref();
                let is_paused = now.is_some_and(|now| now.paused.is_some());
                if is_paused || self.paused.is_some_and(|paused| paused >= began) {
                    Ok(())
                } else {
                    Err("left because of a pause that was over before its term (L26)".into())
                }
            }
            _ => Ok(()),
        }
    }

    fn is_asked(&self, id: ProcessId, is_it: impl Fn(&Asked) -> bool) -> Result<(), String> {
        let term = self.term(id);
        let is_meant = |asked: &&Asked| term.is_none_or(|term| term.is_meant(asked));
        if self.requests.iter().filter(is_meant).any(is_it) {
            Ok(())
        } else {
            Err("obeys a request that is none to it in this term (L25, F12)".into())
        }
    }

    fn judge(&mut self, at: Nanos, ledger: &Ledger) -> Result<(), String> {
        let held_up = &self.held_up;
        self.due
            .retain(|due| !held_up.since(due.since, due.process));
        for due in &self.due {
            let late = at > due.since + due.within;
            if late && ledger.process(due.process).believes(at) {
                return Err(format!(
                    "{} was asked to leave {} ago, nothing kept the news away, and its work was not \
                     told (L25, L26, F12)",
                    named(ledger, due.process),
                    seconds(at - due.since)
                ));
            }
        }
        Ok(())
    }

    /// Nothing has to be done by it any more.
    fn settled(&mut self, id: ProcessId) {
        self.due.retain(|due| due.process != id);
    }

    fn term(&self, id: ProcessId) -> Option<&Term> {
        self.terms.iter().find(|term| term.process == id)
    }

    fn term_mut(&mut self, id: ProcessId) -> Option<&mut Term> {
        self.terms.iter_mut().find(|term| term.process == id)
    }
}

impl Term {
    /// Whether the request is one to this term: the rule once more, by another hand.
    fn is_meant(&self, asked: &Asked) -> bool {
        let same_term =
            self.for_life || asked.transitions.is_some() && asked.transitions == self.transitions;
        asked.holder == self.holder && asked.uid == self.uid && same_term
    }
}

/// Whether this is what a process of ours writes when it acquires: of a Lease that write alone says
/// that it was acquired when it was renewed (L18).
fn acquires(after: &Snapshot) -> bool {
    after.holder.is_some() && after.acquired == after.renewed
}

//! What happened in a run, put together: lives, terms, sleeps, strikes, and what stood in the lock.
//! The text and the picture are made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tenure_core::Notice;

use crate::{
    clock::Nanos,
    fault::FaultKind,
    plan::Plan,
    trace::{Author, Happening, ProcessId, Snapshot},
};

use super::Recorded;

#[derive(Debug, Default)]
pub(super) struct Story {
    /// By the processes' numbers.
    pub(super) lives: Vec<Life>,
    pub(super) terms: Vec<Term>,
    pub(super) sleeps: Vec<Sleep>,
    pub(super) strikes: BTreeMap<(u32, FaultKind), Strikes>,
    pub(super) holds: Vec<Hold>,
    /// When it was over.
    pub(super) end: Nanos,
}

/// One process.
#[derive(Debug)]
pub(super) struct Life {
    /// `c1` for the first one that sits there, then `c1#2`.
    pub(super) name: String,
    pub(super) seat: usize,
    pub(super) identity: Arc<str>,
    pub(super) ours: bool,
    pub(super) from: Nanos,
    pub(super) to: Option<Nanos>,
}

/// A stretch of time in which a process may say that it leads.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) process: ProcessId,
    pub(super) number: u64,
    pub(super) token: u64,
    pub(super) from: Nanos,
    /// Until then it may; none where no time ends it and nothing else did.
    pub(super) until: Option<Nanos>,
    /// When it took notice of the end, if it did.
    pub(super) noticed: Option<Nanos>,
    pub(super) renewals: u32,
    pub(super) renewed: Nanos,
}

#[derive(Clone, Debug)]
pub(super) struct Sleep {
    pub(super) process: ProcessId,
    pub(super) from: Nanos,
    /// Where it still slept at the end of the run: when it would have woken.
    pub(super) to: Nanos,
    pub(super) kind: Option<FaultKind>,
    pub(super) woke: bool,
}

/// What one fault did.
#[derive(Clone, Debug)]
pub(super) struct Strikes {
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    pub(super) at: Vec<Nanos>,
    pub(super) processes: BTreeSet<ProcessId>,
}

/// What stood in the lock for some time.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) from: Nanos,
    /// None where it stood there at the end.
    pub(super) to: Option<Nanos>,
    /// None where there was no lock.
    pub(super) state: Option<Snapshot>,
    /// Whose name, for people; none where nobody's.
    pub(super) holder: Option<String>,
}

impl Story {
    pub(super) fn of(run: &Recorded) -> Self {
        let mut story = Self::default();
        let last = run.happenings.last().map_or(0, |(at, _)| *at);
        story.end = run.violation.as_ref().map_or(last, |v| v.at.max(last));
        for (at, what) in &run.happenings {
            story.take(*at, what, &run.plan);
        }
        story
    }

    /// The name of a process.
    pub(super) fn name(&self, id: ProcessId) -> &str {
        self.life(id).map_or("somebody", |life| &life.name)
    }

    /// The names of many.
    pub(super) fn names<'a>(&self, ids: impl IntoIterator<Item = &'a ProcessId>) -> String {
        let names: Vec<&str> = ids.into_iter().map(|id| self.name(*id)).collect();
        match names.split_last() {
            None => "nobody".into(),
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
        }
    }

    /// Who wrote, for people.
    pub(super) fn author(&self, author: Author) -> &str {
        match author {
            Author::Process(id) => self.name(id),
            Author::Person => "somebody by hand",
            Author::Collector => "the garbage collector",
            Author::Restore => "a restore",
        }
    }

    /// Who has that identity, or sits in the Pod of that name, for people.
    pub(super) fn holder(&self, identity: &str) -> String {
        let found = self.lives.iter().rfind(|life| *life.identity == *identity);
        let is_pod = |life: &Life| life.name == identity;
        match found {
            Some(life) => life.name.clone(),
            None if self.lives.iter().any(is_pod) => identity.to_owned(),
            None => format!("`{identity}`"),
        }
    }

    fn life(&self, id: ProcessId) -> Option<&Life> {
        self.lives.get(id.0 as usize)
    }

    fn take(&mut self, at: Nanos, what: &Happening, plan: &Plan) {
        match what {
            Happening::Started {
                seat,
                identity,
                ours,
                ..
            } => {
                let before = self.lives.iter().filter(|life| life.seat == *seat).count();
                let name = match before {
                    0 => format!("c{seat}"),
                    before => format!("c{seat}#{}", before + 1),
                };
                self.lives.push(Life {
                    name,
                    seat: *seat,
                    identity: Arc::clone(identity),
                    ours: *ours,
                    from: at,
                    to: None,
                });
            }
            Happening::Ended { process } => {
                self.term_ends(*process, at);
                self.wakes(*process, at);
                if let Some(life) = self.lives.get_mut(process.0 as usize) {
                    life.to = Some(at);
                }
            }
            Happening::Slept { process, since } => self.slept(*process, *since, at),
            Happening::Belief { process, belief } => match belief {
                None => self.term_ends(*process, at),
                Some(belief) => {
                    let ours = self.life(*process).is_some_and(|life| life.ours);
                    match self.open_term(*process) {
                        Some(term) if term.token == belief.token || !ours => {
                            if !ours && term.until < belief.until {
                                term.renewals += 1;
                                term.renewed = at;
                            }
                            term.until = belief.until;
                        }
                        _ => {
                            self.term_ends(*process, at);
                            self.terms.push(Term {
                                process: *process,
                                number: belief.term,
                                token: belief.token,
                                from: at,
                                until: belief.until,
                                noticed: None,
                                renewals: 0,
                                renewed: at,
                            });
                        }
                    }
                }
            },
            Happening::Notice {
                process,
                notice: Notice::Renewed { .. },
            } => {
                if let Some(term) = self.open_term(*process) {
                    term.renewals += 1;
                    term.renewed = at;
                }
            }
            Happening::Struck {
                fault,
                kind,
                process,
            } => self.strikes(at, *fault, *kind, *process, plan),
            Happening::Wrote(write) => {
                let holder = write.after.as_ref().and_then(|after| after.holder.as_ref());
                let holder = holder.map(|holder| self.holder(holder));
                let same = |hold: &Hold| {
                    let uid = |state: &Option<Snapshot>| state.as_ref().map(|s| Arc::clone(&s.uid));
                    hold.holder == holder && uid(&hold.state) == uid(&write.after)
                };
                if self.holds.last().is_some_and(same) {
                    return;
                }
                if let Some(hold) = self.holds.last_mut() {
                    hold.to = Some(at);
                }
                self.holds.push(Hold {
                    from: at,
                    to: None,
                    state: write.after.clone(),
                    holder,
                });
            }
            _ => {}
        }
    }

    fn strikes(
        &mut self,
        at: Nanos,
        fault: u32,
        kind: FaultKind,
        process: Option<ProcessId>,
        plan: &Plan,
    ) {
        if kind.is_setting() {
            return;
        }
        let strikes = self.strikes.entry((fault, kind)).or_insert(Strikes {
            first: at,
            last: at,
            at: Vec::new(),
            processes: BTreeSet::new(),
        });
        strikes.last = at;
        strikes.at.push(at);
        strikes.processes.extend(process);
        let planned = plan.faults.iter().find(|each| each.id == fault);
        let (Some(process), Some(planned)) = (process, planned) else {
            return;
        };
        let to = match kind {
            FaultKind::Freeze | FaultKind::Suspend | FaultKind::VmPause => planned.ends(),
            FaultKind::FreezeBeforeSend => at.saturating_add(planned.lasts),
            _ => return,
        };
        self.wakes(process, at);
        self.sleeps.push(Sleep {
            process,
            from: at,
            to,
            kind: Some(kind),
            woke: false,
        });
    }

    fn slept(&mut self, process: ProcessId, from: Nanos, to: Nanos) {
        if !self.wakes(process, to) {
            self.sleeps.push(Sleep {
                process,
                from,
                to,
                kind: None,
                woke: true,
            });
        }
    }

    fn wakes(&mut self, process: ProcessId, at: Nanos) -> bool {
        let open = self
            .sleeps
            .iter_mut()
            .rfind(|sleep| sleep.process == process && !sleep.woke);
        let Some(sleep) = open else { return false };
        sleep.woke = true;
        sleep.to = at;
        true
    }

    fn open_term(&mut self, process: ProcessId) -> Option<&mut Term> {
        self.terms
            .iter_mut()
            .rfind(|term| term.process == process && term.noticed.is_none())
    }

    fn term_ends(&mut self, process: ProcessId, at: Nanos) {
        if let Some(term) = self.open_term(process) {
            term.noticed = Some(at);
            term.until = Some(term.until.map_or(at, |until| until.min(at)));
        }
    }
}

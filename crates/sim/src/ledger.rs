//! What all checkers need to know: who is who, who believes, and what is not covered.

use crate::{
    clock::Nanos,
    fault::FaultKind,
    trace::{Against, Believed, Happening, ProcessId, Seeing, Snapshot},
};

/// The facts of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    processes: Vec<Process>,
    /// The newest resourceVersion of the lock.
    newest: u64,
    /// The one by which its holder came.
    acquired: u64,
    peace: Option<Nanos>,
    restored: bool,
    last_struck: Option<Nanos>,
}

/// What is known of one process.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Process {
    /// Where it sits.
    pub seat: usize,
    /// What it writes as its own.
    pub identity: std::sync::Arc<str>,
    /// Whether it is one of ours.
    pub ours: bool,
    /// How long its work has to end.
    pub grace: Nanos,
    /// For how long it trusts a write, by its clock; none for locks for life.
    pub trusts: Option<Nanos>,
    /// Whether it goes by wall clocks at its first sight of the Lease (L24).
    pub trusts_clocks: bool,
    /// For how long it leaves to others what it has released (L23), by its clock.
    pub cooldown: Nanos,
    /// When it began.
    pub started: Nanos,
    /// Whether it still lives.
    pub alive: bool,
    /// What it believes.
    pub belief: Option<Believed>,
    /// When its present belief began.
    pub since: Nanos,
    /// Until when it slept last.
    pub slept_until: Nanos,
    /// The newest resourceVersion that it was shown; none if it has seen no trace of the lock.
    knows: Option<u64>,
    excuses: Vec<Excuse>,
    /// Its clock was beyond rho at some time: by it nothing is promised in true time.
    pub bad_clock: bool,
    /// Its clock stood still with its machine at some time.
    pub was_paused: bool,
}

#[derive(Clone, Debug)]
struct Excuse {
    kind: FaultKind,
    /// Who had seen what it takes: it does not hold against them.
    not_against: Vec<ProcessId>,
    for_good: bool,
    /// The newest resourceVersion when it was made.
    made: u64,
}

impl Ledger {
    /// Take in what happened, before the checkers see it.
    pub fn note(&mut self, at: Nanos, what: &Happening) {
        match what {
            Happening::Started {
                process,
                seat,
                identity,
                ours,
                grace,
                trusts,
                trusts_clocks,
                cooldown,
            } => {
                debug_assert_eq!(self.processes.len(), index(*process));
                self.processes.push(Process {
                    seat: *seat,
                    identity: identity.clone(),
                    ours: *ours,
                    grace: *grace,
                    trusts: *trusts,
                    trusts_clocks: *trusts_clocks,
                    cooldown: *cooldown,
                    started: at,
                    alive: true,
                    belief: None,
                    since: at,
                    slept_until: 0,
                    knows: None,
                    excuses: Vec::new(),
                    bad_clock: false,
                    was_paused: false,
                });
            }
            Happening::Ended { process } => {
                let process = self.process_mut(*process);
                process.alive = false;
                process.belief = None;
            }
            Happening::Slept { process, .. } => self.process_mut(*process).slept_until = at,
            Happening::Belief { process, belief } => self.believes(at, *process, *belief),
            Happening::Wrote(write) => {
                let after = write.after.as_ref().map(|after| after.version);
                self.newest = after.unwrap_or(self.newest + 1);
                let by = |state: &Option<Snapshot>| {
                    let state = state.as_ref()?;
                    Some((state.uid.clone(), state.holder.clone(), state.nonce.clone()))
                };
                if by(&write.before) != by(&write.after) {
                    self.acquired = self.newest;
                }
            }
            Happening::Shown { process, version } => {
                // Whoever has been shown what people did goes by it (L9, F6).
                let heeds = |excuse: &Excuse| excuse.kind.is_by_people() && !excuse.for_good;
                self.process_mut(*process)
                    .excuses
                    .retain(|excuse| !(heeds(excuse) && *version >= excuse.made));
            }
            // That it is not there shows no trace of it.
            Happening::Sees {
                process,
                version,
                how,
            } if *how != Seeing::Absent => {
                // What was removed is not shown as it was.
                let version = if *how == Seeing::Gone { 0 } else { *version };
                let process = self.process_mut(*process);
                process.knows = process.knows.max(Some(version));
            }
            Happening::Excused {
                process,
                kind,
                against,
                for_good,
            } => {
                let not_against = self.knowers(*process, *against);
                let made = self.newest;
                let process = self.process_mut(*process);
                process.bad_clock |= *kind == FaultKind::ClockBeyond;
                process.was_paused |= *kind == FaultKind::VmPause;
                process.excuses.push(Excuse {
                    kind: *kind,
                    not_against,
                    for_good: *for_good,
                    made,
                });
            }
            Happening::Restored => self.restored = true,
            // Who asks nobody is no cause of anything.
            Happening::Struck { kind, .. }
                if !kind.is_setting() && *kind != FaultKind::AskNobody =>
            {
                self.last_struck = Some(at);
            }
            Happening::Peace { .. } => self.peace = Some(at),
            _ => {}
        }
    }

    /// A process of the run.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[index(id)]
    }

    /// All processes that ever were.
    pub fn processes(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        (0..).map(ProcessId).zip(&self.processes)
    }

    /// Those of ours that may say at that moment that they lead.
    pub fn believers(&self, at: Nanos) -> impl Iterator<Item = (ProcessId, &Process)> {
        self.processes()
            .filter(move |(_, process)| process.ours && process.believes(at))
    }

    /// Why two beliefs at one time are not covered, if they are not.
    #[must_use]
    pub fn excuse(&self, one: ProcessId, other: ProcessId) -> Option<FaultKind> {
        let (first, second) = (self.process(one), self.process(other));
        first
            .excused_against(other)
            .or_else(|| second.excused_against(one))
    }

    /// When the faults ended, if they did.
    #[must_use]
    pub fn peace(&self) -> Option<Nanos> {
        self.peace
    }

    /// Whether history was ever taken back.
    #[must_use]
    pub fn restored(&self) -> bool {
        self.restored
    }

    /// When a fault last struck anybody.
    #[must_use]
    pub fn last_struck(&self) -> Option<Nanos> {
        self.last_struck
    }

    fn believes(&mut self, at: Nanos, id: ProcessId, belief: Option<Believed>) {
        let process = self.process_mut(id);
        let goes_on = process.belief.is_some() && belief.is_some();
        if !goes_on {
            process.since = at;
            if belief.is_none() {
                // The term that was excused is over.
                process.excuses.retain(|excuse| excuse.for_good);
            }
        }
        process.belief = belief;
    }

    /// Who has seen by now what tells them to wait for `process`.
    fn knowers(&self, process: ProcessId, against: Against) -> Vec<ProcessId> {
        let belief = self.process(process).belief;
        let least = match against {
            Against::Everybody => return Vec::new(),
            Against::TheUnaware => 0,
            Against::WhoNeverSawTheRecord => belief.map_or(self.acquired, |belief| belief.token),
        };
        self.processes()
            .filter(|(_, process)| process.knows.is_some_and(|version| version >= least))
            .map(|(id, _)| id)
            .collect()
    }

    fn process_mut(&mut self, id: ProcessId) -> &mut Process {
        &mut self.processes[index(id)]
    }
}

impl Process {
    /// Whether it may say at that moment that it leads.
    #[must_use]
    pub fn believes(&self, at: Nanos) -> bool {
        self.belief
            .is_some_and(|belief| belief.until.is_none_or(|until| at < until))
    }

    fn excused_against(&self, other: ProcessId) -> Option<FaultKind> {
        // Time means nothing to those who lead for life.
        let for_life = self.belief.is_some_and(|belief| belief.until.is_none());
        let by_time = |kind| matches!(kind, FaultKind::ClockBeyond | FaultKind::VmPause);
        let counts = |excuse: &&Excuse| {
            let passed = for_life && by_time(excuse.kind);
            !passed && !excuse.not_against.contains(&other)
        };
        self.excuses.iter().find(counts).map(|excuse| excuse.kind)
    }
}

fn index(id: ProcessId) -> usize {
    id.0 as usize
}

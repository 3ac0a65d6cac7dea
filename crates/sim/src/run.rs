//! One seed, played and judged.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    clock::Nanos,
    core_depth,
    fault::FaultKind,
    invariants::{Judges, Violation},
    plan::Plan,
    trace::Happening,
};

/// How a plan is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// The pure protocol.
    Core,
    /// The whole library over the embedded API server.
    #[cfg(feature = "stack")]
    Stack,
}

impl Depth {
    /// Its name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            #[cfg(feature = "stack")]
            Self::Stack => "stack",
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What did not hold, if anything did not.
    pub violation: Option<Violation>,
    /// How often each kind of fault struck.
    pub struck: BTreeMap<FaultKind, u64>,
    /// Overlaps that are not covered, by the fault that made them.
    pub excused: BTreeMap<FaultKind, u64>,
    /// How often the leader changed.
    pub changes: u64,
    /// For how long of the faulty time somebody believed, in parts in a thousand.
    pub led: u64,
    /// When it ended.
    pub ended: Nanos,
    /// Equal for equal runs.
    pub hash: u64,
}

/// Play a plan, and let the judges that are not blind look at it. Everything that happens also goes
/// to `listener`.
pub fn run(
    plan: &Plan,
    depth: Depth,
    blind: &[String],
    mut listener: impl FnMut(Nanos, &Happening),
) -> Report {
    let mut judges = Judges::new(blind);
    let mut report = Report::default();
    let mut reign = Reign::default();
    let mut sink = |at: Nanos, what: &Happening| {
        listener(at, what);
        judges.see(at, what);
        if let Happening::Struck { kind, .. } = what {
            *report.struck.entry(*kind).or_insert(0) += 1;
        }
        if let Happening::Belief { .. } | Happening::Ended { .. } = what {
            reign.note(at.min(plan.faults_end), judges.ledger());
        }
        judges.violation().is_none()
    };
    let ended = match depth {
        Depth::Core => core_depth::play(plan, &mut sink),
        #[cfg(feature = "stack")]
        Depth::Stack => crate::stack::play(plan, &mut sink),
    };
    report.violation = judges.finish(ended);
    report.excused = judges.excused();
    reign.note(plan.faults_end, judges.ledger());
    report.changes = reign.changes;
    report.led = reign.led * 1000 / plan.faults_end.max(1);
    report.ended = ended;
    report
}

/// A hash of everything that happens, word for word.
#[must_use]
pub fn hash_of(plan: &Plan, depth: Depth) -> u64 {
    let mut hasher = DefaultHasher::new();
    run(plan, depth, &[], |at, what| {
        at.hash(&mut hasher);
        format!("{what:?}").hash(&mut hasher);
    });
    hasher.finish()
}

/// Who leads, and for how long somebody has.
#[derive(Default)]
struct Reign {
    changes: u64,
    led: Nanos,
    /// Until then it was counted.
    counted: Nanos,
    /// Until then somebody believes, as known so far.
    until: Nanos,
    leader: Option<u32>,
}

impl Reign {
    fn note(&mut self, now: Nanos, ledger: &crate::ledger::Ledger) {
        self.led += self.until.min(now).saturating_sub(self.counted);
        self.counted = now.max(self.counted);
        let mut leader = None;
        self.until = 0;
        for (id, process) in ledger.processes().filter(|(_, p)| p.believes(now)) {
            leader = Some(id.0);
            let until = process.belief.and_then(|belief| belief.until);
            self.until = self.until.max(until.unwrap_or(Nanos::MAX));
        }
        if leader.is_some() && leader != self.leader {
            self.changes += u64::from(self.leader.is_some());
            self.leader = leader;
        }
    }
}

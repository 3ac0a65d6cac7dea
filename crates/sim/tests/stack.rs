//! Stack depth: equal seeds give equal runs, every kind of fault strikes, and what must hold holds.

#![cfg(feature = "stack")]

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use tenure_sim::{
    clock::Nanos,
    fault::FaultKind,
    invariants::{Judges, Violation},
    plan::{Draw, FAULTS_END, LockKind, Plan},
    stack,
    trace::Happening,
};

struct Played {
    hash: u64,
    struck: BTreeMap<FaultKind, u64>,
    violation: Option<Violation>,
    acquired: u64,
}

fn plan(seed: u64, lock: Option<LockKind>, only: &[FaultKind], faults_end: Nanos) -> Plan {
    let draw = Draw {
        lock,
        only: only.iter().copied().collect(),
        faults_end,
        ..Draw::default()
    };
    Plan::draw(seed, &draw)
}

fn play(plan: &Plan) -> Played {
    let mut hasher = DefaultHasher::new();
    let mut judges = Judges::new(&[]);
    let (mut struck, mut acquired) = (BTreeMap::new(), 0);
    let ended = stack::play(plan, &mut |at, what| {
        at.hash(&mut hasher);
        format!("{what:?}").hash(&mut hasher);
        judges.see(at, what);
        match what {
            Happening::Struck { kind, .. } => *struck.entry(*kind).or_insert(0) += 1,
            Happening::Belief {
                belief: Some(_), ..
            } => acquired += 1,
            _ => {}
        }
        judges.violation().is_none()
    });
    Played {
        hash: hasher.finish(),
        struck,
        violation: judges.finish(ended),
        acquired,
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..10 {
        let plan = plan(seed, Some(LockKind::Lease), &[], FAULTS_END / 5);
        let (one, other) = (play(&plan), play(&plan));
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert!(one.acquired > 0, "seed {seed}: nobody ever led");
        assert_eq!(one.violation, None, "seed {seed}");
        assert_eq!(one.struck, other.struck, "seed {seed}");
    }
}

//! Plays many seeds at stack depth, and says how fast that was, what struck, and what did not hold.
//!
//! `cargo run --release -p tenure-sim --example stack -- <first> <many> [lease|config-map|leader-lock] [fault ...]`

#![allow(clippy::cast_precision_loss, reason = "for people")]

use std::collections::{BTreeMap, BTreeSet};

use tenure_sim::{
    fault::FaultKind,
    invariants::Judges,
    plan::{Draw, LockKind, Plan},
    stack,
    trace::Happening,
};

fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |usual: u64| {
        words
            .next()
            .map_or(usual, |word| word.parse().unwrap_or(usual))
    };
    let (first, many) = (number(0), number(20));
    let words: Vec<String> = words.collect();
    let named = |word: &String| {
        [LockKind::Lease, LockKind::ConfigMap, LockKind::LeaderLock]
            .into_iter()
            .find(|lock| lock.name() == word)
    };
    let lock = words.iter().find_map(named);
    let only: BTreeSet<FaultKind> = words
        .iter()
        .filter_map(|word| FaultKind::named(word))
        .collect();
    let verbose = words.iter().any(|word| word == "-v");
    let mut struck: BTreeMap<FaultKind, u64> = BTreeMap::new();
    let (mut violations, mut virtually, mut acquired) = (0, 0, 0_u64);
    let begun = tokio::time::Instant::now();
    for seed in first..first + many {
        let draw = Draw {
            lock,
            only: only.clone(),
            ..Draw::default()
        };
        let plan = Plan::draw(seed, &draw);
        let mut judges = Judges::new(&[]);
        let ended = stack::play(&plan, &mut |at, what| {
            if verbose {
                println!("{:>12.6} {what:?}", at as f64 / 1e9);
            }
            judges.see(at, what);
            match what {
                Happening::Struck { kind, .. } => *struck.entry(*kind).or_default() += 1,
                Happening::Notice {
                    notice: tenure_core::Notice::Acquired { .. },
                    ..
                } => acquired += 1,
                _ => {}
            }
            judges.violation().is_none()
        });
        virtually += ended / 1_000_000_000;
        if let Some(violation) = judges.finish(ended) {
            violations += 1;
            println!(
                "seed {seed} ({}): {} at {:.3}: {}",
                plan.lock.name(),
                violation.invariant,
                violation.at as f64 / 1e9,
                violation.what
            );
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{many} seeds in {took:.2} s: {:.2} seeds/s, {:.0} times real time; {acquired} terms, {violations} violations",
        many as f64 / took,
        virtually as f64 / took
    );
    for kind in FaultKind::ALL {
        if let Some(times) = struck.get(kind) {
            print!("{kind} {times}, ");
        }
    }
    println!();
}

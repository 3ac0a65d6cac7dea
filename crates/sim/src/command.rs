//! The command line.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use clap::Parser;

use crate::{
    clock::SECOND,
    fault::FaultKind,
    plan::{Draw, LockKind, Plan},
    run::{Depth, Report, run},
};

/// Play many bad days, one for each seed, and see whether everything holds.
#[derive(Debug, Parser)]
#[command(name = "tenure-sim", version)]
struct Arguments {
    /// The pure protocol (the default).
    #[arg(long)]
    core: bool,
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this kind of lock.
    #[arg(long, value_parser = lock_kind)]
    lock: Option<LockKind>,
    /// Only these kinds of faults.
    #[arg(long, value_delimiter = ',', value_parser = fault_kind)]
    faults: Vec<FaultKind>,
    /// Not these kinds of faults.
    #[arg(long, value_delimiter = ',', value_parser = fault_kind)]
    without: Vec<FaultKind>,
    /// Do without these checkers.
    #[arg(long, value_delimiter = ',')]
    blind: Vec<String>,
    /// Play this one seed, and print what happens.
    #[arg(long)]
    replay: Option<u64>,
    /// How many threads; as many as there are cores by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// Print the result as one JSON object, on the last line.
    #[arg(long)]
    json: bool,
    /// Do not look for the smallest run that still shows a violation.
    #[arg(long)]
    no_minimise: bool,
    /// Let the whole fleet follow client-go's rules, for comparison; pair it with --blind.
    #[arg(long)]
    client_go: bool,
    /// Print the names of all kinds of faults.
    #[arg(long)]
    list_faults: bool,
}

fn lock_kind(name: &str) -> Result<LockKind, String> {
    [LockKind::Lease, LockKind::ConfigMap, LockKind::LeaderLock]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| "one of lease, config-map, leader-lock".into())
}

fn fault_kind(name: &str) -> Result<FaultKind, String> {
    FaultKind::named(name).ok_or_else(|| "no such fault: see --list-faults".into())
}

/// The program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list_faults {
        for kind in FaultKind::ALL {
            println!("{kind}");
        }
        return ExitCode::SUCCESS;
    }
    let draw = Draw {
        lock: arguments.lock,
        only: arguments.faults.iter().copied().collect(),
        without: arguments.without.iter().copied().collect(),
        client_go: arguments.client_go,
        ..Draw::default()
    };
    if let Some(seed) = arguments.replay {
        let plan = Plan::draw(seed, &draw);
        println!("{plan:#?}");
        let report = run(&plan, Depth::Core, &arguments.blind, |at, what| {
            println!("{:>11.6} {what:?}", at as f64 / 1e9);
        });
        println!("{:?}", report.violation);
        return if report.violation.is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let next = AtomicU64::new(arguments.from);
    let last = arguments.from + arguments.seeds;
    let reports: Mutex<Vec<(u64, Report)>> = Mutex::new(Vec::new());
    let first_bad = AtomicU64::new(u64::MAX);
    let jobs = arguments.jobs.unwrap_or(2);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || seed > first_bad.load(Ordering::Relaxed) {
                        break;
                    }
                    let plan = Plan::draw(seed, &draw);
                    let report = run(&plan, Depth::Core, &arguments.blind, |_, _| {});
                    if report.violation.is_some() {
                        first_bad.fetch_min(seed, Ordering::Relaxed);
                    }
                    reports.lock().unwrap().push((seed, report));
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap();
    let mut struck: BTreeMap<FaultKind, u64> = BTreeMap::new();
    let mut excused: BTreeMap<FaultKind, u64> = BTreeMap::new();
    let mut changes: Vec<u64> = Vec::new();
    let mut led: Vec<u64> = Vec::new();
    let mut bad: Option<&(u64, Report)> = None;
    for each in &reports {
        let report = &each.1;
        for (k, n) in &report.struck {
            *struck.entry(*k).or_insert(0) += n;
        }
        for (k, n) in &report.excused {
            *excused.entry(*k).or_insert(0) += n;
        }
        changes.push(report.changes);
        led.push(report.led);
        if report.violation.is_some() && bad.is_none_or(|b| b.0 > each.0) {
            bad = Some(each);
        }
    }
    changes.sort_unstable();
    led.sort_unstable();
    println!(
        "{} seeds; changes: median {}, three or more: {}%; led median {}",
        reports.len(),
        changes[changes.len() / 2],
        changes.iter().filter(|c| **c >= 3).count() * 100 / changes.len(),
        led[led.len() / 2]
    );
    for kind in FaultKind::ALL {
        print!("{kind}={} ", struck.get(kind).unwrap_or(&0));
    }
    println!("\nexcused {excused:?}");
    if let Some((seed, report)) = bad {
        let v = report.violation.as_ref().unwrap();
        println!(
            "seed {seed}: {} at {}.{:03} s: {}",
            v.invariant,
            v.at / SECOND,
            v.at / 1_000_000 % 1000,
            v.what
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

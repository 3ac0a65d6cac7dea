//! The command line.

use std::{num::NonZero, path::PathBuf, process::ExitCode};

use clap::Parser;

#[cfg(feature = "stack")]
use crate::stack::real;
use crate::{
    campaign::{Campaign, Summary},
    clock::Nanos,
    fault::FaultKind,
    invariants,
    plan::{Draw, LockKind, SeatTiming},
    report::{Case, Telling, failed, json, left::Left, replayed},
    run::{Depth, hash_of, run},
    worst,
};

/// Play many bad days, one for each seed, and see whether everything holds.
///
/// It ends with 0 when it does, with 1 at a seed that shows otherwise, and with 2 over a command
/// line that it does not understand.
#[derive(Debug, Parser)]
#[command(name = "tenure-sim")]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Arguments {
    /// Play the pure protocol (the default)
    #[arg(long)]
    core: bool,
    /// Play the whole library over the embedded API server
    #[cfg(feature = "stack")]
    #[arg(long, conflicts_with = "core")]
    stack: bool,
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Only this kind of lock: lease, config-map or leader-lock
    #[arg(long, value_parser = lock_kind)]
    lock: Option<LockKind>,
    /// Only these kinds of faults
    #[arg(long, value_delimiter = ',', value_parser = fault_kind)]
    faults: Vec<FaultKind>,
    /// Not these kinds of faults
    #[arg(long, value_delimiter = ',', value_parser = fault_kind)]
    without: Vec<FaultKind>,
    /// Do without these checkers: to see what each is worth
    #[arg(long, value_delimiter = ',', value_parser = invariant)]
    blind: Vec<String>,
    /// Let the whole fleet follow client-go's rules, for comparison: only whether two lead is
    /// looked at
    #[arg(long)]
    client_go: bool,
    /// Search for worst schedules first, playing so many for each of the timings
    #[arg(long, value_name = "N", default_value_t = 0)]
    directed: u64,
    /// Play this one seed, and tell what happens
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    #[command(flatten)]
    left: Left,
    /// With --replay: everything that happens, word for word
    #[arg(long, requires = "replay")]
    verbose: bool,
    /// Draw what is told into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Play each seed twice, and see whether equal seeds give equal runs
    #[arg(long)]
    twice: bool,
    /// On how many threads; on as many as there are cores where nothing is said
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print the result as one JSON object, on the last line
    #[arg(long)]
    json: bool,
    /// Do not look for the smallest run that still shows what failed
    #[arg(long)]
    no_minimise: bool,
    /// Play the seeds after one that failed, too, and name all that do
    #[arg(long)]
    keep_going: bool,
    /// Print the names of all kinds of faults
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

fn invariant(name: &str) -> Result<String, String> {
    let names = invariants::names();
    if names.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(format!("one of {}", names.join(", ")))
    }
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    #[cfg(feature = "stack")]
    if std::env::args().nth(1).as_deref() == Some(real::SHOW_CLOCK) {
        println!("{}", real::clock());
        return ExitCode::SUCCESS;
    }
    #[cfg(feature = "stack")]
    if let Ok(program) = std::env::current_exe() {
        let _ = real::PROGRAM.set(program);
    }
    let arguments = Arguments::parse();
    if arguments.list_faults {
        for kind in FaultKind::ALL {
            println!("{kind}");
        }
        return ExitCode::SUCCESS;
    }
    let holds = match arguments.replay {
        Some(seed) => match arguments.play_again(seed) {
            Ok(holds) => holds,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        },
        None if arguments.twice => arguments.play_twice(),
        None => arguments.search() && arguments.play(),
    };
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Arguments {
    #[cfg_attr(
        not(feature = "stack"),
        expect(clippy::unused_self, reason = "without the stack there is one depth")
    )]
    fn depth(&self) -> Depth {
        #[cfg(feature = "stack")]
        if self.stack {
            return Depth::Stack;
        }
        Depth::Core
    }

    fn draw(&self) -> Draw {
        Draw {
            lock: self.lock.or(self.client_go.then_some(LockKind::Lease)),
            only: self.faults.iter().copied().collect(),
            without: self.without.iter().copied().collect(),
            client_go: self.client_go,
            ..Draw::default()
        }
    }

    fn blind(&self) -> Vec<String> {
        let mut blind = self.blind.clone();
        if self.client_go {
            let others = invariants::names().into_iter();
            blind.extend(
                others
                    .filter(|name| *name != "at-most-one")
                    .map(str::to_owned),
            );
        }
        blind
    }

    fn case(&self, seed: u64) -> Case {
        Case {
            seed,
            draw: self.draw(),
            depth: self.depth(),
            blind: self.blind(),
        }
    }

    fn play_again(&self, seed: u64) -> Result<bool, String> {
        let case = self.case(seed);
        let plan = case.plan(&self.left)?;
        if self.verbose {
            println!("{plan:#?}");
            let report = run(&plan, case.depth, &case.blind, |at, what| {
                println!("{} {what:?}", moment(at));
            });
            println!("{:?}", report.violation);
            return Ok(report.violation.is_none());
        }
        let recorded = case.record(&plan);
        print!("{}", replayed(&recorded, self.svg.as_deref()));
        Ok(recorded.violation.is_none())
    }

    fn play_twice(&self) -> bool {
        let draw = self.draw();
        for seed in self.from..self.from.saturating_add(self.seeds) {
            let plan = crate::plan::Plan::draw(seed, &draw);
            if hash_of(&plan, self.depth()) != hash_of(&plan, self.depth()) {
                println!("seed {seed}: two runs of it differ");
                return false;
            }
        }
        println!(
            "{} seeds, each played twice, and no two runs of one differ",
            self.seeds
        );
        true
    }

    /// The directed search, which is about Leases at core depth.
    fn search(&self) -> bool {
        if self.directed == 0 {
            return true;
        }
        for (name, timing) in [
            ("at the bound of L3", SeatTiming::Short),
            ("15 s, 10 s, 2 s", SeatTiming::Usual),
        ] {
            let worst = worst::search(self.from, timing, self.directed);
            println!(
                "worst of {} schedules, {name}: {} us from one leader to the next",
                worst.played,
                worst.slack / 1000
            );
            if let Some(violation) = worst.violation {
                println!("it violates {}: {}", violation.invariant, violation.what);
                println!("{:#?}", worst.plan);
                return false;
            }
        }
        true
    }

    fn play(&self) -> bool {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let campaign = Campaign {
            draw: self.draw(),
            depth: self.depth(),
            blind: self.blind(),
            first: self.from,
            seeds: self.seeds,
            jobs: self.jobs.unwrap_or(cores),
            keep_going: self.keep_going,
        };
        let summary = campaign.play();
        print!("{}", summary.to_words());
        self.tell(&summary);
        summary.failed.is_none()
    }

    fn tell(&self, summary: &Summary) {
        if self.keep_going {
            let (many, seeds) = (summary.failures.len(), summary.seeds);
            let named: Vec<String> = summary.failures.iter().map(u64::to_string).collect();
            println!("{many} of {seeds} seeds failed: {}", named.join(" "));
        } else if let (Some((seed, lock, violation)), true) = (&summary.failed, self.json) {
            println!(
                "seed {seed}, {}: {} {}",
                lock.name(),
                violation.invariant,
                violation.what
            );
        } else if let Some((seed, ..)) = &summary.failed {
            let telling = Telling {
                minimise: !self.no_minimise,
                svg: self.svg.clone(),
            };
            print!("{}", failed(&self.case(*seed), &telling));
        }
        if self.json {
            let failed = summary.failed.as_ref();
            let failed = failed.map(|(seed, lock, violation)| (*seed, *lock, violation));
            let failed: Vec<_> = failed.into_iter().collect();
            println!("{}", json(self.depth(), self.from, summary.seeds, &failed));
        }
    }
}

fn moment(at: Nanos) -> String {
    format!("{:>5}.{:06}", at / 1_000_000_000, at / 1000 % 1_000_000)
}

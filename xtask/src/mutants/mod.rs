//! The seeded bugs of `crates/sim/mutants`: whether the simulation finds each of them, after how
//! many seeds, and which kinds of faults it needs for that.
//!
//! | file | what it holds |
//! |---|---|
//! | `table.rs` | the list of mutants, and which of them are asked for |
//! | `copy.rs` | a copy of the working tree, with one patch in it at a time |
//! | `sim.rs` | building the simulator and running it |
//! | `trial.rs` | one mutant after another: built by one, run by several |
//! | `page.rs` | docs/mutants.md |

mod copy;
mod page;
mod sim;
mod table;
mod trial;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    copy::WorkingCopy,
    page::Page,
    sim::{Ask, Cargo, Ending},
    table::{Depth, Mutant, Table},
    trial::{Bounds, FaultResult, Trial},
};
use crate::places::Places;
use crate::report::{Report, Verdict};

#[derive(Debug, Args)]
pub(crate) struct MutantsArgs {
    /// Only these mutants
    names: Vec<String>,
    /// Only print the mutants that there are
    #[arg(long)]
    list: bool,
    /// How many simulators run at one time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// The most seeds for a mutant of the core
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    seeds: u64,
    /// The most seeds for a mutant of the library
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    stack_seeds: u64,
    /// Also find out for every kind of fault which mutants are not found without it
    #[arg(long)]
    faults_needed: bool,
    /// Do without these checkers: which mutants does nobody else find?
    #[arg(
        long,
        value_name = "CHECKERS",
        value_delimiter = ',',
        conflicts_with = "faults_needed"
    )]
    blind: Vec<String>,
    /// Only so many mutants, chosen by the number that `--of` gives
    #[arg(long, value_name = "K", requires = "of", conflicts_with = "names")]
    sample: Option<usize>,
    /// The number that chooses the sample
    #[arg(long, value_name = "SEED", requires = "sample")]
    of: Option<u64>,
}

/// Tries the mutants, or lists them.
pub(crate) fn ask(report: &mut Report, places: &Places, args: &MutantsArgs) {
    if args.list {
        return report.step("mutants", || list(places));
    }
    report.step("mutants", || run(places, args));
}

fn list(places: &Places) -> Result<Verdict> {
    let table = Table::read(&places.root)?;
    for mutant in &table.mutants {
        let (depth, rules) = (mutant.depth, mutant.rules.join(", "));
        println!("{:42} {depth:5} {rules:12} {}", mutant.name, mutant.breaks);
    }
    Ok(Verdict::PassedWith(format!(
        "{} of them",
        table.mutants.len()
    )))
}

fn run(places: &Places, args: &MutantsArgs) -> Result<Verdict> {
    let table = Table::read(&places.root)?;
    let chosen = match (args.sample, args.of) {
        (Some(many), Some(seed)) => table.sample(many, seed),
        _ => table.named(&args.names)?,
    };
    let is_all = chosen.len() == table.mutants.len();
    let bounds = Bounds {
        core: args.seeds,
        stack: args.stack_seeds,
    };
    let place = places.target.join("mutants");
    let copy = WorkingCopy::make(&places.root, &place)?;
    let cargo = Cargo::new(&copy, &place);

    if args.blind.is_empty() {
        control(&cargo, &chosen, &bounds)?;
    }
    let faults = if args.faults_needed {
        cargo.faults()?
    } else {
        Vec::new()
    };
    let trial = Trial {
        bounds: &bounds,
        faults: &faults,
        blind: &args.blind,
        jobs: args.jobs.into(),
    };
    let results = trial.run(&chosen, |mutant| {
        copy.with(mutant, || cargo.build(mutant.depth, &mutant.name))
    });
    if !args.blind.is_empty() {
        return Ok(Verdict::PassedWith(escaped(&results)));
    }
    let needed = FaultResult::of(&faults, &results, &table.stays);
    let mut failures: Vec<String> = results.iter().filter_map(trial::Result::failure).collect();
    let page = Page::read(&places.root)?.with_mutants(&table.mutants, &results);
    if is_all {
        page.with_faults(&needed).write()?;
        failures.extend(needed.iter().filter_map(FaultResult::failure));
    } else {
        page.write()?;
        if !faults.is_empty() {
            print!("\n{}", page::faults(&needed));
        }
    }
    if !failures.is_empty() {
        bail!(
            "{} of {}:\n{}",
            failures.len(),
            chosen.len(),
            failures.join("\n")
        );
    }
    Ok(Verdict::PassedWith(format!("all {} found", chosen.len())))
}

/// Which mutants nobody else finds where some checkers see nothing.
fn escaped(results: &[trial::Result<'_>]) -> String {
    let not_found =
        |result: &&trial::Result<'_>| matches!(result.verdict, trial::Verdict::NotFound { .. });
    let names: Vec<&str> = results
        .iter()
        .filter(not_found)
        .map(|result| &*result.mutant.name)
        .collect();
    format!(
        "{} of {} escape: {}",
        names.len(),
        results.len(),
        names.join(", ")
    )
}

/// Without any mutant nothing may be found, or what is found with one means nothing.
fn control(cargo: &Cargo<'_>, chosen: &[&Mutant], bounds: &Bounds) -> Result<()> {
    for depth in [Depth::Core, Depth::Stack] {
        let mut locks: Vec<&str> = Vec::new();
        for mutant in chosen.iter().filter(|mutant| mutant.depth == depth) {
            if !locks.contains(&&*mutant.lock) {
                locks.push(&mutant.lock);
            }
        }
        if locks.is_empty() {
            continue;
        }
        let program = cargo
            .build(depth, "control")
            .context("without any mutant, the simulator does not build")?;
        for lock in locks {
            let bound = bounds.of(depth);
            let ask = Ask {
                depth,
                lock,
                seeds: bound,
                without: None,
                blind: &[],
            };
            match program.run(&ask)? {
                Ending::AllHeld { .. } => {
                    println!(
                        "{:42} nothing found, as it should be: {depth}, {lock}, {bound} seeds",
                        "(no mutant)"
                    );
                }
                Ending::Violated {
                    seeds: _,
                    seed,
                    invariant,
                } => bail!(
                    "the simulation finds something ({invariant}, seed {seed}, {depth}, {lock}) where \
                     there is no mutant: what it finds with one says nothing"
                ),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

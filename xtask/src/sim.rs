//! The simulator: built as it has to be, and run. On each change it plays seeds of its own.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::places::Places;
use crate::process::{command, output, run};
use crate::report::{Report, Verdict};
use crate::rust::cargo;

#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// What the simulator is to do, such as --seeds N --from S, --stack, --faults a,b,
    /// --replay SEED; --help tells all
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    arguments: Vec<String>,
}

/// How many seeds are played on each change: a minute or less for each depth, on two cores.
const CORE_SEEDS: u64 = 50_000;
const STACK_SEEDS: u64 = 200;

/// One run of the simulator, as asked for.
pub(crate) fn ask(report: &mut Report, places: &Places, args: &SimArgs) {
    let depth = if args.arguments.iter().any(|argument| argument == "--stack") {
        Depth::Stack
    } else {
        Depth::Core
    };
    report.step("simulation", || {
        let arguments: Vec<&str> = args.arguments.iter().map(String::as_str).collect();
        simulate(places, depth, &arguments)
    });
}

/// What is played on each change: both depths, from seeds that nobody has played before.
pub(crate) fn steps(report: &mut Report, places: &Places) {
    let from = first_seed(&places.root).to_string();
    for (name, depth, seeds) in [
        ("simulation, core depth", Depth::Core, CORE_SEEDS),
        ("simulation, stack depth", Depth::Stack, STACK_SEEDS),
    ] {
        let seeds = seeds.to_string();
        report.step(name, || {
            simulate(places, depth, &["--seeds", &seeds, "--from", &from])
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Core,
    Stack,
}

fn simulate(places: &Places, depth: Depth, arguments: &[&str]) -> Result<Verdict> {
    let mut cargo = cargo(places, &["run", "--release", "--locked", "--quiet"]);
    cargo.args(["--package", "tenure-sim"]);
    if depth == Depth::Core {
        // Without what the stack needs it is built in seconds; beside the rest, so that the one
        // does not build the other anew.
        cargo
            .args(["--no-default-features", "--target-dir"])
            .arg(places.target.join("sim-core"));
    }
    cargo.arg("--").args(arguments);
    if depth == Depth::Stack && !arguments.contains(&"--stack") {
        cargo.arg("--stack");
    }
    run(&mut cargo)?;
    Ok(Verdict::Passed)
}

/// A seed that depends on the commit: each change covers new ground, and a failure of it can be
/// played again by anybody.
fn first_seed(root: &Path) -> u64 {
    output(&mut command("git", &["rev-parse", "HEAD"], root))
        .ok()
        .and_then(|commit| seed_of(&commit))
        .unwrap_or(0)
}

fn seed_of(commit: &str) -> Option<u64> {
    let digits = commit.get(..10)?;
    Some(u64::from_str_radix(digits, 16).ok()? << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_commit_has_seeds_of_its_own() {
        let one = seed_of("00000000010000").unwrap();
        let other = seed_of("00000000020000").unwrap();
        assert!(other - one > CORE_SEEDS && one > 0);
        assert_eq!(seed_of("main"), None);
    }
}

//! The project's chores, one word each: `cargo xtask help`.
//!
//! What people type and what CI calls are the same words.

mod bench;
mod clock;
mod control_plane;
mod deny;
mod digest;
mod fuzz;
mod go;
mod instructions;
mod mutants;
mod places;
mod process;
mod report;
mod rules;
mod rust;
mod schemathesis;
mod sidecar_api;
mod sim;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::places::Places;
use crate::report::Report;

/// The project's chores, one word each
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Everything that must hold: formatting, lints, docs, dependencies, tests on the embedded API
    /// server and, where there is one, on a real control plane
    Test(TestArgs),
    /// Formatting and clippy
    Lint,
    /// The documentation, warnings refused, doc tests included
    Doc,
    /// The rules of docs/protocol.md: held by files that exist, and each with tests that name it
    /// (TENURE_BLESS=1 puts the table right)
    Rules,
    /// Licences, advisories and sources of the dependencies
    Deny {
        /// Build cargo-deny if it is not there (some minutes)
        #[arg(long)]
        install: bool,
    },
    /// Give what comes from outside to everything that takes it (docs/fuzzing.md)
    Fuzz(fuzz::FuzzArgs),
    /// Ask a sidecar whatever its OpenAPI document allows and forbids, by schemathesis (docs/sidecar.md)
    SidecarApi(sidecar_api::SidecarApiArgs),
    /// Play bad days, a seed for each, and see whether everything holds (docs/simulation.md)
    Sim(sim::SimArgs),
    /// Whether the simulation finds every seeded bug of crates/sim/mutants (docs/mutants.md)
    Mutants(mutants::MutantsArgs),
    /// Time elections beside client-go's on a real control plane (docs/benchmarks)
    Bench(bench::BenchArgs),
    /// Count the instructions of the hot paths, and compare with crates/bench/instructions.json
    /// (TENURE_BLESS=1 writes it)
    Instructions,
    /// Build the control plane for tests if its sources are new, and print the program's path
    ControlPlane,
}

#[derive(Debug, Default, Args)]
struct TestArgs {
    /// Fail where the tests on a real control plane cannot be run, rather than leave them out
    #[arg(long, conflicts_with = "no_control_plane")]
    require_control_plane: bool,
    /// Leave the real control plane out, although it could be run
    #[arg(long)]
    no_control_plane: bool,
    /// Also run the tests that can use a cluster somebody looks after on this one. They write to it
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Get the tools that are not there (cargo-deny, built in some minutes; schemathesis), rather than
    /// leave them out
    #[arg(long)]
    install: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let places = Places::find();
    let mut report = Report::new();
    match cli.word {
        Word::Test(args) => test::run(&mut report, &places, &args),
        Word::Lint => rust::lint(&mut report, &places),
        Word::Doc => rust::doc(&mut report, &places),
        Word::Rules => rules::step(&mut report, &places, bless()),
        Word::Deny { install } => deny::run(&mut report, &places, install),
        Word::Fuzz(args) => fuzz::steps(&mut report, &places, &args),
        Word::SidecarApi(args) => sidecar_api::steps(&mut report, &places, &args),
        Word::Sim(args) => sim::ask(&mut report, &places, &args),
        Word::Mutants(args) => mutants::ask(&mut report, &places, &args),
        Word::Bench(args) => bench::steps(&mut report, &places, &args),
        Word::Instructions => instructions::step(&mut report, &places, bless(), true),
        Word::ControlPlane => {
            if let Some(program) = control_plane::step(&mut report, &places) {
                println!("{}", program.display());
            }
        }
    }
    report.finish()
}

/// Whether what is compared is to be written instead.
fn bless() -> bool {
    std::env::var("TENURE_BLESS").is_ok_and(|value| value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("cargo xtask").chain(words.split_whitespace()))
    }

    #[test]
    fn the_words_are_understood() {
        for word in [
            "test",
            "lint",
            "doc",
            "rules",
            "deny",
            "deny --install",
            "fuzz",
            "fuzz lease --minutes 10",
            "sidecar-api",
            "sidecar-api --install",
            "sidecar-api --program f",
            "sim",
            "sim --stack --seeds 5 --from 7",
            "sim --replay 37",
            "mutants",
            "mutants --list",
            "mutants wall-clock-expiry --seeds 10 --jobs 1 --faults-needed",
            "mutants --sample 5 --of 7",
            "bench --quick --only floor,handover-1 --out f",
            "bench --list",
            "bench --draw --out f",
            "instructions",
            "control-plane",
        ] {
            assert!(parse(word).is_ok(), "{word}");
        }
        assert!(parse("nonsense").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn a_control_plane_is_not_both_required_and_left_out() {
        assert!(parse("test --require-control-plane --no-control-plane").is_err());
        assert!(parse("test --no-control-plane --kubeconfig f").is_ok());
        let Ok(Cli {
            word: Word::Test(args),
        }) = parse("test --require-control-plane --kubeconfig f --install")
        else {
            panic!("not understood");
        };
        assert!(args.require_control_plane && args.install);
        assert_eq!(args.kubeconfig, Some("f".into()));
    }
}

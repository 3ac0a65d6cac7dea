//! Fuzzing with libFuzzer, guided by coverage, on a stable toolchain.
//!
//! What cargo-fuzz does on nightly needs one thing of nightly alone: the sanitizers. The code is
//! safe Rust, so nothing is lost without them, and the passes that count coverage are there in
//! stable compilers too. Where a compiler loses them, the build says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::places::Places;
use crate::process::{output, run, shown};
use crate::report::{Report, Verdict};
use crate::rust::cargo;

#[derive(Debug, Args)]
pub(crate) struct FuzzArgs {
    /// Which target; all of them, one after the other, where none is named
    target: Option<String>,
    /// How many minutes each target runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
}

/// Counters for every edge, and what is compared with what: see the guide of libFuzzer.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Clink-dead-code",
    "-Ccodegen-units=4",
    "--cfg=fuzzing",
];
/// An input that takes longer than this many seconds is a finding.
const SLOW: u64 = 20;
/// As much memory, in MiB, is one too.
const MUCH: u64 = 1024;
/// How long a finding is made smaller, in seconds.
const MINIMISING: u64 = 60;

pub(crate) fn steps(report: &mut Report, places: &Places, args: &FuzzArgs) {
    let mut program = PathBuf::new();
    report.step("build, with coverage", || {
        program = build(places)?;
        Ok(Verdict::Passed)
    });
    let targets = match (&args.target, targets(places)) {
        (Some(target), Ok(known)) if known.contains(target) => vec![target.clone()],
        (None, Ok(known)) => known,
        (Some(target), Ok(known)) => {
            let known = known.join(", ");
            return report.step("targets", || bail!("{target} is none of {known}"));
        }
        (_, Err(error)) => return report.step("targets", || Err(error)),
    };
    for target in targets {
        report.step(&target, || fuzz(places, &program, &target, args));
    }
}

/// The targets are the directories of the corpus.
fn targets(places: &Places) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(corpus(places)).context("where is the corpus?")? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn corpus(places: &Places) -> PathBuf {
    places.root.join("crates/fuzz/corpus")
}

/// Beside what is built otherwise: other flags would build everything anew each time.
fn build(places: &Places) -> Result<PathBuf> {
    let host = host()?;
    let target = places.target.join("fuzz");
    let mut cargo = cargo(places, &["build", "--release", "--locked"]);
    cargo
        .args(["-p", "tenure-fuzz", "--features", "libfuzzer"])
        // With it named, the flags are for the program alone, and not for build scripts.
        .args(["--target", &host, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
    run(&mut cargo)?;
    Ok(target.join(host).join("release/tenure-fuzz"))
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = output(Command::new(rustc).arg("-vV"))?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

fn fuzz(places: &Places, program: &Path, target: &str, args: &FuzzArgs) -> Result<Verdict> {
    let kept = corpus(places).join(target);
    let work = places.target.join("fuzz/work").join(target);
    let found = places.target.join("fuzz/found").join(target);
    for dir in [&work, &found] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let longest = output(fuzzer(program, target).env("TENURE_FUZZ_ASK", "longest"))?;
    let log = found.with_extension("log");
    let mut fuzzer = fuzzer(program, target);
    fuzzer
        .arg(format!("-max_total_time={}", args.minutes * 60))
        .arg(format!("-max_len={longest}"))
        // Else it stays with inputs of a few bytes for hours, and long stories are not told.
        .arg("-len_control=0")
        .arg(format!("-timeout={SLOW}"))
        .arg(format!("-rss_limit_mb={MUCH}"))
        .arg(prefix(&found))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .args([&work, &kept]);
    let status = told_to(&mut fuzzer, &log)?;
    let told = fs::read(&log).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    if !status {
        let input = finding(&told).unwrap_or_default();
        let small = minimised(program, target, Path::new(&input), &found);
        bail!(
            "a finding: {}; its smallest input is {}, all that was said is in {}",
            why(&told),
            small.display(),
            log.display()
        );
    }
    Ok(Verdict::PassedWith(figures(&told, args.minutes)))
}

fn fuzzer(program: &Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("TENURE_FUZZ_TARGET", target)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    command
}

fn prefix(dir: &Path) -> String {
    format!("-artifact_prefix={}/", dir.display())
}

/// Runs it with everything that it says in `log`; whether it succeeded.
fn told_to(command: &mut Command, log: &Path) -> Result<bool> {
    let file = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = command
        .stdout(Stdio::null())
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    Ok(status.success())
}

/// The file that libFuzzer says it wrote a finding to.
fn finding(told: &str) -> Option<String> {
    let (_, after) = told.split_once("Test unit written to ")?;
    Some(after.lines().next()?.trim().to_owned())
}

/// The panic's message, or libFuzzer's own.
fn why(told: &str) -> String {
    let mut lines = told.lines();
    if lines.any(|line| line.contains("panicked at")) {
        return lines.next().unwrap_or_default().to_owned();
    }
    told.lines()
        .find(|line| line.contains("ERROR: "))
        .unwrap_or("no reason is given")
        .to_owned()
}

/// The smallest input that still shows it; the input itself where there is no smaller one.
fn minimised(program: &Path, target: &str, input: &Path, found: &Path) -> PathBuf {
    let small = found.join("smallest");
    let done = fuzzer(program, target)
        .arg("-minimize_crash=1")
        .arg(format!("-max_total_time={MINIMISING}"))
        .arg(format!("-exact_artifact_path={}", small.display()))
        .arg(input)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if done.is_ok() && small.is_file() {
        small
    } else {
        input.to_owned()
    }
}

/// How much was tried.
fn figures(told: &str, minutes: u64) -> String {
    let number = |name: &str| {
        told.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map_or("?", str::trim)
    };
    format!(
        "{} inputs in {minutes} min, {} a second; at most {} MiB; no finding",
        number("stat::number_of_executed_units"),
        number("stat::average_exec_per_sec"),
        number("stat::peak_rss_mb"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "INFO: Seed: 1\n\
        thread '<unnamed>' panicked at crates/fuzz/src/lease.rs:1:2:\n\
        leads by abc\n\
        artifact_prefix='x/'; Test unit written to x/crash-1\n";

    #[test]
    fn a_finding_is_told_by_its_panic_and_its_file() {
        assert_eq!(finding(TOLD).as_deref(), Some("x/crash-1"));
        assert_eq!(why(TOLD), "leads by abc");
        assert_eq!(finding("nothing"), None);
        let slow = "x\n==7== ERROR: libFuzzer: timeout after 20 seconds\n";
        assert_eq!(
            why(slow),
            "==7== ERROR: libFuzzer: timeout after 20 seconds"
        );
    }

    #[test]
    fn the_figures_are_libfuzzers_own() {
        let told = "stat::number_of_executed_units: 6267\nstat::average_exec_per_sec:     391\n\
                    stat::peak_rss_mb:              73\n";
        assert_eq!(
            figures(told, 2),
            "6267 inputs in 2 min, 391 a second; at most 73 MiB; no finding"
        );
    }
}

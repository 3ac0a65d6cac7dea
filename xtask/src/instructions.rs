//! How many instructions the hot paths take, by callgrind: a figure that the machine's load does not
//! change. `crates/bench/instructions.json` has what was counted last.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::places::Places;
use crate::process::{command, output, run, works};
use crate::report::{Report, Verdict};
use crate::rust::cargo;

/// What is counted, as `crates/bench/examples/instructions.rs` calls it; it does each a thousand
/// times.
const COUNTED: [&str; 3] = ["renewal", "sight", "is-leading"];
const PER: u64 = 1000;

/// How much more is taken before it counts as slower, in percent. The figures themselves are the
/// same in each run; a change of a dependency moves them a little.
const TOLERANCE: u64 = 10;

/// What was counted, and by what it was built.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
struct Counts {
    /// What says `rustc --version --verbose` of release and host: others build other code.
    compiler: String,
    /// Instructions of a thousand of each.
    counts: BTreeMap<String, u64>,
}

/// Counts, and compares with the file; `bless` writes it instead. Where valgrind is missing it is
/// left out, unless it is `required`.
pub(crate) fn step(report: &mut Report, places: &Places, bless: bool, required: bool) {
    report.step("instruction counts", || {
        if !works(&mut command("valgrind", &["--version"], &places.root)) {
            let why = "valgrind is not in PATH (a package of that name has it)";
            if required || bless {
                bail!("{why}");
            }
            return Ok(Verdict::LeftOut(why.into()));
        }
        let counted = count(places)?;
        let file = places.root.join("crates/bench/instructions.json");
        if bless {
            return write(&file, &counted);
        }
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let before = serde_json::from_str(&text)
            .with_context(|| format!("{} is not what was written there", file.display()))?;
        judge(&before, &counted)
    });
}

fn count(places: &Places) -> Result<Counts> {
    let build = [
        "build",
        "--release",
        "--locked",
        "--package",
        "tenure-bench",
        "--example",
        "instructions",
    ];
    run(&mut cargo(places, &build))?;
    let program = places.target.join("release/examples/instructions");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(&mut command(rustc, &["-vV"], &places.root))?;
    let mut counts = BTreeMap::new();
    for what in COUNTED {
        counts.insert(what.to_owned(), under_callgrind(places, &program, what)?);
    }
    Ok(Counts {
        compiler: compiler(&version),
        counts,
    })
}

fn under_callgrind(places: &Places, program: &Path, what: &str) -> Result<u64> {
    let out: PathBuf = places.target.join(format!("callgrind.{what}"));
    let mut valgrind = command("valgrind", &["--quiet", "--tool=callgrind"], &places.root);
    valgrind
        .args([
            "--collect-atstart=no",
            "--toggle-collect=*instructions*counted_*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg(what);
    run(&mut valgrind)?;
    let text = fs::read_to_string(&out).context("callgrind wrote nothing")?;
    total(&text).with_context(|| format!("callgrind's file says no total: {}", out.display()))
}

/// The total of a callgrind file. Nothing counted is no total either: then the function's name has
/// changed.
fn total(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok().filter(|count| *count > 0)
}

fn compiler(version: &str) -> String {
    let said = |key: &str| {
        let mut lines = version.lines();
        lines
            .find_map(|line| line.strip_prefix(key))
            .map_or("unknown", str::trim)
    };
    format!("{} {}", said("release:"), said("host:"))
}

fn write(file: &Path, counted: &Counts) -> Result<Verdict> {
    let text = serde_json::to_string_pretty(counted)? + "\n";
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(Verdict::PassedWith(in_words(counted)))
}

fn judge(before: &Counts, now: &Counts) -> Result<Verdict> {
    if before.compiler != now.compiler {
        return Ok(Verdict::PassedWith(format!(
            "{}; not compared: built by {}, and those before by {}",
            in_words(now),
            now.compiler,
            before.compiler
        )));
    }
    let mut slower = String::new();
    for (what, count) in &now.counts {
        let Some(was) = before.counts.get(what) else {
            bail!("{what} was never counted before: TENURE_BLESS=1 cargo xtask instructions");
        };
        if u128::from(*count) * 100 > u128::from(*was) * u128::from(100 + TOLERANCE) {
            write!(slower, " {what}: {count}, and {was} before;")?;
        }
    }
    if slower.is_empty() {
        return Ok(Verdict::PassedWith(in_words(now)));
    }
    bail!(
        "more than {TOLERANCE} % more instructions:{slower} where that is meant, \
         TENURE_BLESS=1 cargo xtask instructions writes it down"
    )
}

fn in_words(counted: &Counts) -> String {
    let each = counted
        .counts
        .iter()
        .map(|(what, count)| format!("{what} {}", count / PER));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compiler: &str, renewal: u64) -> Counts {
        Counts {
            compiler: compiler.into(),
            counts: BTreeMap::from([("renewal".into(), renewal)]),
        }
    }

    #[test]
    fn a_tenth_more_is_taken_and_more_than_that_is_not() {
        let before = counts("1", 1000);
        assert!(judge(&before, &counts("1", 1100)).is_ok());
        assert!(judge(&before, &counts("1", 10)).is_ok());
        let error = judge(&before, &counts("1", 1101)).unwrap_err();
        assert!(error.to_string().contains("renewal: 1101, and 1000 before"));
    }

    #[test]
    fn what_another_compiler_built_is_not_compared() {
        let verdict = judge(&counts("1", 1000), &counts("2", 5000)).unwrap();
        assert!(matches!(verdict, Verdict::PassedWith(text) if text.contains("not compared")));
    }

    #[test]
    fn what_was_never_counted_is_not_taken_for_fast() {
        assert!(judge(&Counts::default(), &Counts::default()).is_ok());
        let before = Counts {
            compiler: "1".into(),
            counts: BTreeMap::new(),
        };
        assert!(judge(&before, &counts("1", 1)).is_err());
    }

    #[test]
    fn a_file_without_a_count_is_an_error() {
        assert_eq!(total("events: Ir\n\ntotals: 12\n"), Some(12));
        assert_eq!(total("events: Ir\nsummary: 0\ntotals: 0\n"), None);
        assert_eq!(total(""), None);
    }

    #[test]
    fn release_and_host_tell_the_compiler() {
        let version = "rustc 1.95.0 (x)\nbinary: rustc\nhost: a-b\nrelease: 1.95.0\n";
        assert_eq!(compiler(version), "1.95.0 a-b");
        assert_eq!(compiler(""), "unknown unknown");
    }
}

//! The simulator: built with a mutant in it, and asked for its verdict.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{copy::WorkingCopy, table::Depth};
use crate::clock::{Since, in_words};
use crate::process::{command, output, shown};
use crate::rust::cargo_in;

/// How long one run may take. The simulator bounds what it simulates; a mutant may also never come
/// back from a single step.
const LONGEST_RUN: Duration = Duration::from_secs(1800);

/// What builds simulators.
#[derive(Debug)]
pub(super) struct Cargo<'a> {
    copy: &'a WorkingCopy,
    target: PathBuf,
    programs: PathBuf,
}

/// A simulator that was built.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    longest: Duration,
}

/// What is to be played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) depth: Depth,
    pub(super) lock: &'a str,
    pub(super) seeds: u64,
    /// The kind of fault that is left out, if one is.
    pub(super) without: Option<&'a str>,
    /// The checkers that see nothing.
    pub(super) blind: &'a [String],
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    AllHeld {
        seeds: u64,
    },
    Violated {
        /// How many seeds it took, this one included.
        seeds: u64,
        seed: u64,
        invariant: String,
    },
}

#[derive(Deserialize)]
struct Said {
    depth: Depth,
    first: u64,
    seeds: u64,
    violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    seed: u64,
    invariant: String,
}

impl<'a> Cargo<'a> {
    /// One that builds `copy`, everything in `place`.
    pub(super) fn new(copy: &'a WorkingCopy, place: &Path) -> Self {
        Self {
            copy,
            target: place.join("target"),
            programs: place.join("programs"),
        }
    }

    /// The simulator of the copy as it is now, kept under that name.
    pub(super) fn build(&self, depth: Depth, name: &str) -> Result<Program> {
        let mut cargo = self.cargo(&["build", "--quiet", "--locked", "--release"]);
        cargo.args(["--package", "tenure-sim"]);
        if depth == Depth::Core {
            cargo.arg("--no-default-features");
        }
        let built = cargo
            .stdout(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", shown(&cargo)))?;
        if !built.status.success() {
            bail!(
                "does not compile: {}",
                errors(&String::from_utf8_lossy(&built.stderr))
            );
        }
        fs::create_dir_all(&self.programs)?;
        let built = self
            .target
            .join("release")
            .join(format!("tenure-sim{}", std::env::consts::EXE_SUFFIX));
        let path = self.programs.join(name);
        fs::copy(&built, &path).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(Program::at(path))
    }

    /// The names of all kinds of faults. Something has to be built.
    pub(super) fn faults(&self) -> Result<Vec<String>> {
        let program = self.programs.join("control");
        let names = output(&mut command(&program, &["--list-faults"], &self.copy.root))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = cargo_in(&self.copy.root, arguments);
        cargo
            .env("CARGO_TARGET_DIR", &self.target)
            // A mutant may leave code unused.
            .env("RUSTFLAGS", "-Awarnings")
            // Much of what is built differs by a line.
            .env("CARGO_INCREMENTAL", "1");
        cargo
    }
}

impl Program {
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path,
            longest: LONGEST_RUN,
        }
    }

    /// Plays so many seeds from the first one on.
    pub(super) fn run(&self, ask: &Ask<'_>) -> Result<Ending> {
        let depth = ask.depth;
        let depth_option = format!("--{depth}");
        let seeds = ask.seeds.to_string();
        let blind = ask.blind.join(",");
        let mut arguments = vec![
            &*depth_option,
            "--lock",
            ask.lock,
            "--seeds",
            &seeds,
            "--from",
            "0",
        ];
        if let Some(without) = ask.without {
            arguments.extend(["--without", without]);
        }
        if !blind.is_empty() {
            arguments.extend(["--blind", &blind]);
        }
        arguments.extend(["--json", "--no-minimise"]);
        let mut sim = command(&self.path, &arguments, Path::new("."));
        let (code, said) = self.bounded(&mut sim)?;
        let last = said.lines().last().unwrap_or_default();
        verdict(depth, code, last).with_context(|| format!("{} cannot be understood", shown(&sim)))
    }

    /// It is needed no more.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }

    fn bounded(&self, sim: &mut Command) -> Result<(Option<i32>, String)> {
        let mut child = sim
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", shown(sim)))?;
        let stdout = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.map(|mut stdout| stdout.read_to_end(&mut bytes));
            read.unwrap_or(Ok(0)).map(|_| bytes)
        });
        let since = Since::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if since.elapsed() > self.longest {
                child.kill()?;
                child.wait()?;
                bail!(
                    "{} had no end within {}",
                    shown(sim),
                    in_words(self.longest)
                );
            }
            thread::sleep(Duration::from_millis(5));
        };
        let Ok(read) = reader.join() else {
            bail!("what {} said cannot be read", shown(sim));
        };
        Ok((status.code(), String::from_utf8_lossy(&read?).into_owned()))
    }
}

/// What the simulator's end and its last line mean.
fn verdict(depth: Depth, code: Option<i32>, last: &str) -> Result<Ending> {
    if !matches!(code, Some(0 | 1)) {
        bail!("it ended with {code:?}, not with 0 or 1");
    }
    let said: Said = serde_json::from_str(last).context("its last line is no verdict")?;
    if said.depth != depth {
        bail!("it played {}, not {depth}", said.depth);
    }
    match (code, said.violations.into_iter().next()) {
        (Some(0), None) => Ok(Ending::AllHeld { seeds: said.seeds }),
        (Some(1), Some(found)) => Ok(Ending::Violated {
            seeds: found.seed.saturating_sub(said.first).saturating_add(1),
            seed: found.seed,
            invariant: found.invariant,
        }),
        _ => bail!("its exit code and its verdict are not of one mind"),
    }
}

/// The first errors of a build.
fn errors(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .skip_while(|line| !line.starts_with("error"))
        .take(8)
        .collect();
    if lines.is_empty() {
        said.trim().to_owned()
    } else {
        lines.join("\n    ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = r#"{"depth":"core","first":0,"seeds":20,"violations":[]}"#;
    const FOUND: &str = r#"{"depth":"core","first":3,"seeds":5,
        "violations":[{"seed":7,"invariant":"at-most-one","lock":"lease","more":1}]}"#;

    #[test]
    fn a_verdict_is_understood() {
        let of = |code, last| verdict(Depth::Core, Some(code), last);
        assert_eq!(of(0, HELD).unwrap(), Ending::AllHeld { seeds: 20 });
        let found = Ending::Violated {
            seeds: 5,
            seed: 7,
            invariant: "at-most-one".into(),
        };
        assert_eq!(of(1, FOUND).unwrap(), found);
    }

    #[test]
    fn what_is_no_verdict_never_counts_as_one() {
        let refused =
            |depth, code, last: &str| format!("{:#}", verdict(depth, code, last).unwrap_err());
        assert!(refused(Depth::Core, Some(2), HELD).contains("Some(2)"));
        assert!(refused(Depth::Core, None, HELD).contains("None"));
        assert!(refused(Depth::Core, Some(1), HELD).contains("one mind"));
        assert!(refused(Depth::Core, Some(0), FOUND).contains("one mind"));
        assert!(refused(Depth::Stack, Some(0), HELD).contains("it played core, not stack"));
        for last in ["", "all held", "{}", "{\"depth\":\"core\"}"] {
            assert!(
                refused(Depth::Core, Some(0), last).contains("no verdict"),
                "{last}"
            );
        }
    }

    #[test]
    fn the_first_errors_of_a_build_are_shown() {
        let said = "warning: x\nerror[E1]: wrong\n  --> a.rs\n";
        assert_eq!(errors(said), "error[E1]: wrong\n      --> a.rs");
        assert_eq!(errors(" odd \n"), "odd");
    }
}

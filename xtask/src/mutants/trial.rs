//! One mutant after another: built by one, since cargo builds one thing at a time, and run by
//! several.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::Result as Anyhow;

use super::{
    sim::{Ask, Ending, Program},
    table::{Depth, Mutant},
};

/// How many seeds a run has at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) core: u64,
    pub(super) stack: u64,
}

/// What is to be found out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) bounds: &'a Bounds,
    /// The kinds of faults that are left out in turn; none, where nobody asked for it.
    pub(super) faults: &'a [String],
    /// The checkers that see nothing.
    pub(super) blind: &'a [String],
    pub(super) jobs: usize,
}

/// What became of a mutant.
#[derive(Debug)]
pub(super) struct Result<'a> {
    pub(super) mutant: &'a Mutant,
    pub(super) verdict: Verdict,
    /// The kinds of faults without which it is not found.
    pub(super) needs: Vec<String>,
}

/// What a kind of fault is good for.
#[derive(Debug)]
pub(super) struct FaultResult<'a> {
    pub(super) fault: &'a str,
    /// The mutants that are not found without it.
    pub(super) lost: Vec<&'a str>,
    /// Why it stays all the same, where none is.
    pub(super) stays: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Found {
        seeds: u64,
        invariant: String,
    },
    NotFound {
        seeds: u64,
    },
    /// It could not be tried: its patch does not apply, or the result does not compile or run.
    Impossible(String),
}

/// Without a kind of fault, a mutant is looked for in so many times the seeds that it took with it,
/// and in so many at least. Where that would be more than a run has, nothing can be said.
const FACTOR: u64 = 20;
const LEAST: u64 = 200;

impl Bounds {
    pub(super) fn of(&self, depth: Depth) -> u64 {
        match depth {
            Depth::Core => self.core,
            Depth::Stack => self.stack,
        }
    }
}

impl Trial<'_> {
    /// Builds and runs all of them, in their order; what came of each is printed at once.
    pub(super) fn run<'a>(
        &self,
        mutants: &[&'a Mutant],
        build: impl Fn(&Mutant) -> Anyhow<Program>,
    ) -> Vec<Result<'a>> {
        let done = Mutex::new(Vec::new());
        let (sender, receiver) = mpsc::sync_channel::<(usize, &'a Mutant, Program)>(self.jobs);
        let receiver = Mutex::new(receiver);
        let keep = |index: usize, result: Result<'a>| {
            println!("{}", result.line());
            lock(&done).push((index, result));
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let next = lock(&receiver).recv();
                        let Ok((index, mutant, program)) = next else {
                            return;
                        };
                        keep(index, self.try_one(mutant, &program));
                        program.remove();
                    }
                });
            }
            for (index, mutant) in mutants.iter().enumerate() {
                match build(mutant) {
                    Ok(program) => {
                        if sender.send((index, mutant, program)).is_err() {
                            break;
                        }
                    }
                    Err(error) => keep(index, Result::impossible(mutant, &error)),
                }
            }
            drop(sender);
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }

    fn try_one<'a>(&self, mutant: &'a Mutant, program: &Program) -> Result<'a> {
        let bound = self.bounds.of(mutant.depth);
        let ask = Ask {
            depth: mutant.depth,
            lock: &mutant.lock,
            seeds: bound,
            without: None,
            blind: self.blind,
        };
        let verdict = match program.run(&ask) {
            Ok(Ending::AllHeld { seeds }) => Verdict::NotFound { seeds },
            Ok(Ending::Violated {
                seeds, invariant, ..
            }) => Verdict::Found { seeds, invariant },
            Err(error) => return Result::impossible(mutant, &error),
        };
        let mut needs = Vec::new();
        if let Verdict::Found { seeds, .. } = verdict {
            let enough = seeds.saturating_mul(FACTOR).max(LEAST);
            let faults = if enough <= bound { self.faults } else { &[] };
            for fault in faults {
                let without = Ask {
                    seeds: enough,
                    without: Some(fault),
                    ..ask
                };
                match program.run(&without) {
                    Ok(Ending::AllHeld { .. }) => needs.push(fault.clone()),
                    Ok(Ending::Violated { .. }) => {}
                    Err(error) => return Result::impossible(mutant, &error),
                }
            }
        }
        Result {
            mutant,
            verdict,
            needs,
        }
    }
}

impl<'a> FaultResult<'a> {
    /// What each of the faults is good for, by what came of all mutants.
    pub(super) fn of(
        faults: &'a [String],
        results: &[Result<'a>],
        stays: &'a BTreeMap<String, String>,
    ) -> Vec<Self> {
        let one = |fault: &'a String| Self {
            fault,
            lost: results
                .iter()
                .filter(|result| result.needs.contains(fault))
                .map(|result| &*result.mutant.name)
                .collect(),
            stays: stays.get(fault).map(String::as_str),
        };
        faults.iter().map(one).collect()
    }

    /// What is wrong with it, if anything is.
    pub(super) fn failure(&self) -> Option<String> {
        let unexplained = self.lost.is_empty() && self.stays.is_none();
        unexplained.then(|| {
            format!(
                "no mutant is lost without the fault {}, and mutants.toml does not say why it stays",
                self.fault
            )
        })
    }
}

impl<'a> Result<'a> {
    fn impossible(mutant: &'a Mutant, error: &anyhow::Error) -> Self {
        Self {
            mutant,
            verdict: Verdict::Impossible(format!("{error:#}")),
            needs: Vec::new(),
        }
    }

    /// What is wrong with it, if anything is.
    pub(super) fn failure(&self) -> Option<String> {
        let name = &self.mutant.name;
        match &self.verdict {
            Verdict::Found { invariant, .. } => {
                let expected = &self.mutant.caught_by;
                let is_expected = expected.is_empty() || expected.contains(invariant);
                (!is_expected).then(|| {
                    format!(
                        "{name} was found by {invariant}, not by {}",
                        expected.join(" or ")
                    )
                })
            }
            Verdict::NotFound { seeds } => Some(format!("{name} was not found in {seeds} seeds")),
            Verdict::Impossible(why) => Some(format!("{name} {why}")),
        }
    }

    fn line(&self) -> String {
        let (name, depth) = (&self.mutant.name, self.mutant.depth);
        let mut line = match (&self.verdict, self.failure()) {
            (Verdict::Found { seeds, invariant }, None) => {
                format!("{name:42} found: {depth}, {seeds} seeds, {invariant}")
            }
            (_, failure) => format!("{name:42} FAILED: {}", failure.unwrap_or_default()),
        };
        if !self.needs.is_empty() {
            let _ = write!(line, "; not without {}", self.needs.join(", "));
        }
        line
    }
}

/// A thread that panics is told of by its scope.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

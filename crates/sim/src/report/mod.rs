//! What a failing seed prints: what did not hold, a timeline in true time, in words and as a
//! picture, the smallest run that still shows it, and the commands that play both again.
//!
//! | file | what it holds |
//! |---|---|
//! | `left.rs` | what is left of a seed, and its textual form |
//! | `minimise.rs` | the search for the smallest run |
//! | `story.rs` | what happened, put together: terms, lives, strikes |
//! | `timeline.rs`, `faults.rs` | that in words |
//! | `picture.rs` | that as a picture |

mod faults;
pub mod left;
pub mod minimise;
pub mod picture;
mod story;
pub mod timeline;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    clock::{NEVER, Nanos},
    fault::FaultKind,
    invariants::Violation,
    plan::{Draw, LockKind, Plan, Seat},
    run::{Depth, run},
    trace::Happening,
};

use left::Left;
use minimise::{Minimised, minimise};

/// A seed, and how it is drawn, played and judged.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// How it is drawn.
    pub draw: Draw,
    /// How it is played.
    pub depth: Depth,
    /// The checkers that do not look.
    pub blind: Vec<String>,
}

/// A run that was played, word for word.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was planned.
    pub plan: Plan,
    /// What happened.
    pub happenings: Vec<(Nanos, Happening)>,
    /// What did not hold, if anything did not.
    pub violation: Option<Violation>,
}

/// What is to be told of a failing seed.
#[derive(Clone, Debug)]
pub struct Telling {
    /// Look for the smallest run that still shows it.
    pub minimise: bool,
    /// Where the picture goes; beside what else is here where nothing is said.
    pub svg: Option<PathBuf>,
}

impl Case {
    /// What is left of the seed's plan.
    ///
    /// # Errors
    /// The seed does not have what is to be left of it; the text says what to do.
    pub fn plan(&self, left: &Left) -> Result<Plan, String> {
        left.apply(&Plan::draw(self.seed, &self.draw))
    }

    /// Plays a plan, and keeps all that happens.
    #[must_use]
    pub fn record(&self, plan: &Plan) -> Recorded {
        let mut happenings = Vec::new();
        let report = run(plan, self.depth, &self.blind, |at, what| {
            happenings.push((at, what.clone()));
        });
        Recorded {
            plan: plan.clone(),
            happenings,
            violation: report.violation,
        }
    }

    /// The command that plays what is left of the seed.
    #[must_use]
    pub fn command(&self, left: &Left) -> String {
        let mut text = format!("cargo xtask sim --replay {}", self.seed);
        if self.depth != Depth::Core {
            text.push_str(" --stack");
        }
        if let Some(lock) = self.draw.lock {
            let _ = write!(text, " --lock {}", lock.name());
        }
        let names = |kinds: &mut dyn Iterator<Item = &FaultKind>| {
            let names: Vec<&str> = kinds.map(|kind| kind.name()).collect();
            names.join(",")
        };
        for (argument, kinds) in [
            ("--faults", &self.draw.only),
            ("--without", &self.draw.without),
        ] {
            if !kinds.is_empty() {
                let _ = write!(text, " {argument} {}", names(&mut kinds.iter()));
            }
        }
        if self.draw.client_go {
            text.push_str(" --client-go");
        }
        if !self.blind.is_empty() {
            let _ = write!(text, " --blind {}", self.blind.join(","));
        }
        if !left.is_all() {
            let _ = write!(text, " {}", left.arguments());
        }
        text
    }

    /// The smallest run that violates the same, by playing others.
    #[must_use]
    pub fn minimise(&self, whole: &Plan, violation: &Violation) -> Minimised {
        // Some seconds at either depth.
        let limit = if self.depth == Depth::Core { 2000 } else { 300 };
        minimise(whole, violation, limit, |plan| {
            run(plan, self.depth, &self.blind, |_, _| {}).violation
        })
    }
}

/// Everything that a person is to know of a failing seed. Draws its picture into a file.
#[must_use]
pub fn failed(case: &Case, telling: &Telling) -> String {
    let whole = Plan::draw(case.seed, &case.draw);
    let recorded = case.record(&whole);
    let Some(violation) = recorded.violation.clone() else {
        return format!(
            "seed {} failed, and holds when it is played again: it is not decided by its seed \
             alone, which is a fault of the simulator\n",
            case.seed
        );
    };
    let mut text = format!(
        "seed {} violates {} at {}: {}\n\n",
        case.seed,
        violation.invariant,
        timeline::stamp(violation.at),
        violation.what
    );
    let (shown, smallest) = if telling.minimise {
        let found = case.minimise(&whole, &violation);
        let recorded = case.record(&found.plan);
        text.push_str(&comparison(&whole, &violation, &found));
        (recorded, Some(found.left))
    } else {
        (recorded, None)
    };
    text.push_str(&timeline::text(&shown));
    text.push('\n');
    let file = telling
        .svg
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("tenure-sim-seed-{}.svg", case.seed)));
    text.push_str(&draw(&shown, &file));
    let _ = writeln!(text, "all of it:       {}", case.command(&Left::default()));
    if let Some(left) = smallest {
        let _ = writeln!(text, "the smallest:    {}", case.command(&left));
    }
    text
}

/// What a person is to know of a run that was played again.
#[must_use]
pub fn replayed(recorded: &Recorded, svg: Option<&Path>) -> String {
    let mut text = timeline::text(recorded);
    if let Some(file) = svg {
        text.push_str(&draw(recorded, file));
    }
    text
}

/// The result for programs: one JSON object, without a line's end.
#[must_use]
pub fn json(
    depth: Depth,
    first: u64,
    seeds: u64,
    violations: &[(u64, LockKind, &Violation)],
) -> String {
    let depth = if depth == Depth::Core {
        "core"
    } else {
        "stack"
    };
    let violations: Vec<_> = violations
        .iter()
        .map(|(seed, lock, violation)| {
            json!({"seed": seed, "invariant": violation.invariant, "lock": lock.name()})
        })
        .collect();
    json!({"depth": depth, "first": first, "seeds": seeds, "violations": violations}).to_string()
}

fn comparison(whole: &Plan, violation: &Violation, found: &Minimised) -> String {
    let seats = |plan: &Plan| plan.seats.iter().filter(|seat| is_taken(seat)).count();
    let (before, after) = (whole, &found.plan);
    let ends =
        |plan: &Plan, violation: &Violation| timeline::stamp(plan.faults_end.max(violation.at));
    format!(
        "{}: {} of {} faults, {} of {} candidates, {} of {} ({} runs were tried)\n",
        if found.smallest {
            "the smallest run that shows it"
        } else {
            "a smaller run that shows it; the search was ended before it was through"
        },
        after.faults.len(),
        before.faults.len(),
        seats(after),
        seats(before),
        ends(after, &found.violation),
        ends(before, violation),
        found.replays
    )
}

/// Draws it, and says where; or why not.
fn draw(recorded: &Recorded, file: &Path) -> String {
    match std::fs::write(file, picture::svg(recorded)) {
        Ok(()) => format!("picture:         {}\n", file.display()),
        Err(error) => format!(
            "picture:         cannot write {} ({error}); name another file with --svg\n",
            file.display()
        ),
    }
}

/// Whether anybody ever sits there.
fn is_taken(seat: &Seat) -> bool {
    seat.starts != NEVER
}

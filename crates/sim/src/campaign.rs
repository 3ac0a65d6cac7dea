//! Many seeds, on as many threads as there are cores, and what they come to.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    fault::FaultKind,
    invariants::Violation,
    plan::{Draw, LockKind, Plan},
    run::{Depth, run},
};

/// Which seeds are played, and how.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// What is drawn for each.
    pub draw: Draw,
    /// How each is played.
    pub depth: Depth,
    /// The checkers that do not look.
    pub blind: Vec<String>,
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads.
    pub jobs: usize,
    /// Whether the seeds after one that failed are played, too.
    pub keep_going: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds were played: all, or those up to the first that failed.
    pub seeds: u64,
    /// The lowest seed that failed, with its lock and what did not hold.
    pub failed: Option<(u64, LockKind, Violation)>,
    /// All that failed, in their order: more than one only where the rest was played, too.
    pub failures: Vec<u64>,
    struck: BTreeMap<FaultKind, u64>,
    excused: BTreeMap<FaultKind, u64>,
    changes: Vec<u64>,
    led: Vec<u64>,
}

impl Campaign {
    /// Play them all, or up to the lowest that fails.
    pub fn play(&self) -> Summary {
        let next = AtomicU64::new(self.first);
        let last = self.first.saturating_add(self.seeds);
        let lowest = AtomicU64::new(u64::MAX);
        let summary = Mutex::new(Summary::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= last || seed > lowest.load(Ordering::Relaxed) {
                            break;
                        }
                        let one = self.one(seed);
                        if one.failed.is_some() && !self.keep_going {
                            lowest.fetch_min(seed, Ordering::Relaxed);
                        }
                        let mut sum = summary.lock().unwrap_or_else(PoisonError::into_inner);
                        sum.add(one);
                    }
                });
            }
        });
        let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.failures.sort_unstable();
        if let (Some((seed, ..)), false) = (&summary.failed, self.keep_going) {
            summary.failures.truncate(1);
            // Equal calls give equal counts, whatever the threads had begun besides.
            summary.seeds = seed - self.first + 1;
        }
        summary
    }

    fn one(&self, seed: u64) -> Summary {
        let plan = Plan::draw(seed, &self.draw);
        let lock = plan.lock;
        let report = run(&plan, self.depth, &self.blind, |_, _| {});
        let failures = report.violation.iter().map(|_| seed).collect();
        Summary {
            seeds: 1,
            failures,
            failed: report.violation.map(|violation| (seed, lock, violation)),
            struck: report.struck,
            excused: report.excused,
            changes: vec![report.changes],
            led: vec![report.led],
        }
    }
}

impl Summary {
    fn add(&mut self, mut one: Self) {
        self.seeds += one.seeds;
        for (all, each) in [
            (&mut self.struck, &one.struck),
            (&mut self.excused, &one.excused),
        ] {
            for (kind, times) in each {
                *all.entry(*kind).or_insert(0) += times;
            }
        }
        self.changes.append(&mut one.changes);
        self.led.append(&mut one.led);
        self.failures.append(&mut one.failures);
        let lower = match (&self.failed, &one.failed) {
            (Some((known, ..)), Some((new, ..))) => new < known,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if lower {
            self.failed = one.failed;
        }
    }

    /// How often that kind struck.
    #[must_use]
    pub fn struck(&self, kind: FaultKind) -> u64 {
        self.struck.get(&kind).copied().unwrap_or(0)
    }

    /// In how many of a hundred seeds the leader changed three times or more.
    #[must_use]
    pub fn busy(&self) -> usize {
        let busy = self.changes.iter().filter(|changes| **changes >= 3).count();
        busy * 100 / self.changes.len().max(1)
    }

    /// For how many of a hundred parts of the time with faults somebody led in the median run.
    #[must_use]
    pub fn led(&self) -> u64 {
        median(&self.led) / 10
    }

    /// What people want to know of it.
    #[must_use]
    pub fn to_words(&self) -> String {
        let mut text = format!(
            "{} seeds\nthe leader changed three times or more in {} % of them; somebody led for {} % \
             of the median run\n",
            self.seeds,
            self.busy(),
            self.led()
        );
        let mut column = 0;
        text.push_str("faults that struck:\n");
        for kind in FaultKind::ALL {
            let _ = write!(text, "  {:<20}{:>10}", kind.name(), self.struck(*kind));
            column = (column + 1) % 3;
            if column == 0 {
                text.push('\n');
            }
        }
        if column != 0 {
            text.push('\n');
        }
        let excused: Vec<String> = self
            .excused
            .iter()
            .map(|(kind, times)| format!("{times} by {kind}"))
            .collect();
        let excused = if excused.is_empty() {
            "none".into()
        } else {
            excused.join(", ")
        };
        let _ = writeln!(text, "overlaps that are not covered: {excused}");
        text
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

//! What ran, how long it took, what was left out and why.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::clock::{Since, in_words};

/// The steps so far. After the first failure nothing more is run, and all is still told.
#[derive(Debug)]
pub(crate) struct Report {
    start: Since,
    rows: Vec<Row>,
    failed: bool,
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// Passed, and there is something to say about it.
    PassedWith(String),
    /// Not done, and why.
    LeftOut(String),
}

#[derive(Debug)]
struct Row {
    name: String,
    took: Duration,
    end: End,
}

#[derive(Debug)]
enum End {
    Verdict(Verdict),
    Failed(String),
    NotReached,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            start: Since::now(),
            rows: Vec::new(),
            failed: false,
        }
    }

    /// Announces a step, runs it, and says how long it took; skips it after a failure.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Verdict>) {
        if self.failed {
            self.push(name, Duration::ZERO, End::NotReached);
            return;
        }
        eprintln!("\n==> {name} (after {})", in_words(self.start.elapsed()));
        let since = Since::now();
        let end = match run() {
            Ok(verdict) => End::Verdict(verdict),
            Err(error) => {
                self.failed = true;
                End::Failed(format!("{error:#}"))
            }
        };
        let took = since.elapsed();
        eprintln!("    {name}: {}, {}", end.in_words(), in_words(took));
        self.push(name, took, end);
    }

    /// Notes a step that is not even tried.
    pub(crate) fn left_out(&mut self, name: &str, why: impl Into<String>) {
        self.step(name, || Ok(Verdict::LeftOut(why.into())));
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// Prints the summary and gives the exit code.
    pub(crate) fn finish(self) -> ExitCode {
        eprint!("\n{}", self.summary(self.start.elapsed()));
        if self.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn push(&mut self, name: &str, took: Duration, end: End) {
        self.rows.push(Row {
            name: name.to_owned(),
            took,
            end,
        });
    }

    fn summary(&self, total: Duration) -> String {
        let widest = self
            .rows
            .iter()
            .map(|row| row.name.len())
            .max()
            .unwrap_or_default();
        let mut text = String::new();
        for row in &self.rows {
            let took = match row.end {
                End::NotReached | End::Verdict(Verdict::LeftOut(_)) => "-".to_owned(),
                _ => in_words(row.took),
            };
            let name = &row.name;
            let _ = writeln!(text, "{name:widest$}  {took:>12}  {}", row.end.in_words());
        }
        let left_out = self.rows.iter().filter(|row| row.is_left_out()).count();
        let verdict = match (self.failed, left_out) {
            (true, _) => "FAILED".to_owned(),
            (false, 0) => "all passed".to_owned(),
            (false, _) => format!("all that ran passed; left out: {left_out}, see above"),
        };
        let _ = writeln!(text, "\n{verdict}, in {}", in_words(total));
        text
    }
}

impl Row {
    fn is_left_out(&self) -> bool {
        matches!(self.end, End::Verdict(Verdict::LeftOut(_)))
    }
}

impl End {
    fn in_words(&self) -> String {
        match self {
            Self::Verdict(Verdict::Passed) => "passed".to_owned(),
            Self::Verdict(Verdict::PassedWith(note)) => format!("passed ({note})"),
            Self::Verdict(Verdict::LeftOut(why)) => format!("left out: {why}"),
            Self::Failed(error) => format!("FAILED: {error}"),
            Self::NotReached => "not reached".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn nothing_runs_after_the_first_failure_and_all_is_told() {
        let mut report = Report::new();
        report.step("one", || Ok(Verdict::Passed));
        report.step("two", || bail!("it broke"));
        report.step("three", || panic!("it was run"));
        assert!(report.failed());
        let summary = report.summary(Duration::from_secs(61));
        let lines: Vec<_> = summary.lines().collect();
        assert!(
            lines[0].starts_with("one ") && lines[0].ends_with("passed"),
            "{summary}"
        );
        assert!(lines[1].ends_with("FAILED: it broke"), "{summary}");
        assert!(lines[2].ends_with("-  not reached"), "{summary}");
        assert_eq!(lines[4], "FAILED, in 1 min 1 s");
    }

    #[test]
    fn what_was_left_out_is_said_with_its_reason_and_in_the_last_line() {
        let mut report = Report::new();
        report.step("one", || Ok(Verdict::PassedWith("from the cache".into())));
        report.left_out("two", "no Go here");
        assert!(!report.failed());
        let summary = report.summary(Duration::ZERO);
        assert!(summary.contains("passed (from the cache)"), "{summary}");
        assert!(summary.contains("-  left out: no Go here"), "{summary}");
        assert!(summary.contains("left out: 1, see above"), "{summary}");
        let mut report = Report::new();
        report.step("one", || Ok(Verdict::Passed));
        assert!(report.summary(Duration::ZERO).contains("all passed"));
    }
}

//! docs/mutants.md: what people wrote stays, and the tables are written anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::trial::{self, FaultResult, Verdict};

const DOCUMENT: &str = "docs/mutants.md";

/// The document.
#[derive(Debug)]
pub(super) struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join(DOCUMENT);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for name in ["mutants", "faults"] {
            section(&text, name)?;
        }
        Ok(Self { path, text })
    }

    /// With what became of all mutants.
    pub(super) fn with_mutants(self, results: &[trial::Result<'_>]) -> Self {
        self.with("mutants", &mutants(results))
    }

    /// With what the faults are needed for. Where nobody asked, what is there stays.
    pub(super) fn with_faults(self, faults: &[FaultResult<'_>]) -> Self {
        if faults.is_empty() {
            return self;
        }
        self.with("faults", &self::faults(faults))
    }

    pub(super) fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.text)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn with(mut self, name: &str, content: &str) -> Self {
        if let Ok((begin, end)) = section(&self.text, name) {
            self.text
                .replace_range(begin..end, &format!("\n{content}\n"));
        }
        self
    }
}

/// Where the content of a section begins and ends.
fn section(text: &str, name: &str) -> Result<(usize, usize)> {
    let (begin, end) = (
        format!("<!-- {name}: by `cargo xtask mutants` -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let found = text.find(&begin).map(|at| at + begin.len());
    let length = found.and_then(|at| text[at..].find(&end));
    match (found, length) {
        (Some(at), Some(length)) => Ok((at, at + length)),
        _ => bail!("{DOCUMENT} lacks {} or {end} after it", begin.trim_end()),
    }
}

/// A row for each mutant.
fn mutants(results: &[trial::Result<'_>]) -> String {
    let mut table = "| mutant | what is wrong | rules | depth | lock | seeds | found by |\n\
         |---|---|---|---|---|---|---|\n"
        .to_owned();
    for result in results {
        let mutant = result.mutant;
        let (seeds, invariant) = match &result.verdict {
            Verdict::Found { seeds, invariant } => (seeds.to_string(), &**invariant),
            Verdict::NotFound { seeds } => (format!("more than {seeds}"), "nothing"),
            Verdict::Impossible(_) => ("-".to_owned(), "not tried"),
        };
        let (name, breaks, rules) = (&mutant.name, &mutant.breaks, mutant.rules.join(", "));
        let (depth, lock) = (mutant.depth, &mutant.lock);
        let _ = writeln!(
            table,
            "| {name} | {breaks} | {rules} | {depth} | {lock} | {seeds} | {invariant} |"
        );
    }
    table
}

/// A row for each kind of fault.
pub(super) fn faults(faults: &[FaultResult<'_>]) -> String {
    let mut table = "| fault | mutants that are not found without it |\n|---|---|\n".to_owned();
    for FaultResult { fault, lost, stays } in faults {
        let lost = match (lost.is_empty(), stays) {
            (false, _) => lost.join(", "),
            (true, Some(why)) => format!("none; it stays: {why}"),
            (true, None) => "none".to_owned(),
        };
        let _ = writeln!(table, "| {fault} | {lost} |");
    }
    table
}

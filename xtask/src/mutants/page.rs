//! docs/mutants.md: what people wrote stays, and the tables are written anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{
    table::Mutant,
    trial::{self, FaultResult, Verdict},
};

const DOCUMENT: &str = "docs/mutants.md";
const HEAD: &str = "| mutant | what is wrong | rules | depth | lock | seeds | found by |\n\
     |---|---|---|---|---|---|---|\n";

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

    /// With what became of mutants: a row for each of `all` that was tried now or is there already.
    /// Where not all were tried, what was not found stays as it was: with fewer seeds it says little.
    pub(super) fn with_mutants(self, all: &[Mutant], results: &[trial::Result<'_>]) -> Self {
        let is_whole = results.len() == all.len();
        let old = match section(&self.text, "mutants") {
            Ok((begin, end)) => self.text[begin..end].to_owned(),
            Err(_) => String::new(),
        };
        let row_of = |mutant: &Mutant| {
            let counts = |result: &&trial::Result<'_>| {
                let found = matches!(result.verdict, Verdict::Found { .. });
                result.mutant.name == mutant.name && (is_whole || found)
            };
            let head = format!("| {} |", mutant.name);
            let before = || old.lines().find(|line| line.starts_with(&head));
            match results.iter().find(counts) {
                Some(result) => Some(row(result)),
                None => before().map(str::to_owned),
            }
        };
        let mut table = HEAD.to_owned();
        for row in all.iter().filter_map(row_of) {
            table.push_str(&row);
            table.push('\n');
        }
        self.with("mutants", &table)
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

/// What became of a mutant, in a line.
fn row(result: &trial::Result<'_>) -> String {
    let mutant = result.mutant;
    let (seeds, invariant) = match &result.verdict {
        Verdict::Found { seeds, invariant } => (seeds.to_string(), &**invariant),
        Verdict::NotFound { seeds } => (format!("more than {seeds}"), "nothing"),
        Verdict::Impossible(_) => ("-".to_owned(), "not tried"),
    };
    let (name, breaks, rules) = (&mutant.name, &mutant.breaks, mutant.rules.join(", "));
    let (depth, lock) = (mutant.depth, &mutant.lock);
    format!("| {name} | {breaks} | {rules} | {depth} | {lock} | {seeds} | {invariant} |")
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

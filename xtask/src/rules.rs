//! The rules of `docs/protocol.md`: each is held by files that exist, and each has tests that carry
//! its number in their names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::places::Places;
use crate::report::{Report, Verdict};

/// How many rules there are for the Lease, and for leader for life.
pub(crate) const LEASE_RULES: u32 = 26;
pub(crate) const LIFE_RULES: u32 = 12;

const DOCUMENT: &str = "docs/protocol.md";
const BEGIN: &str = "<!-- rules:";
const END: &str = "<!-- end of rules -->";

/// Checks the table, or puts it right.
pub(crate) fn step(report: &mut Report, places: &Places, bless: bool) {
    report.step("rules and their tests", || check(&places.root, bless));
}

fn check(root: &Path, bless: bool) -> Result<Verdict> {
    let path = root.join(DOCUMENT);
    let document =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let crates = root.join("crates");
    let tests = tests_by_rule(&crates)?;
    let table = Table::of(&document, &tests, &|file| crates.join(file).is_file())?;
    if table.text != document {
        if !bless {
            bail!("{DOCUMENT} is not what the tests say: TENURE_BLESS=1 cargo xtask rules");
        }
        fs::write(&path, &table.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !table.untested.is_empty() {
        bail!(
            "no test carries the number of {} in its name",
            table.untested.join(", ")
        );
    }
    Ok(Verdict::Passed)
}

/// All rules, in the order of the document.
fn rules() -> impl Iterator<Item = String> {
    (1..=LEASE_RULES)
        .map(|n| format!("L{n}"))
        .chain((1..=LIFE_RULES).map(|n| format!("F{n}")))
}

/// The document with the tests that there are.
#[derive(Debug)]
struct Table {
    text: String,
    untested: Vec<String>,
}

impl Table {
    fn of(
        document: &str,
        tests: &BTreeMap<String, BTreeSet<String>>,
        exists: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let begin = document
            .find(BEGIN)
            .with_context(|| format!("{DOCUMENT} lacks {BEGIN}"))?;
        let length = document[begin..]
            .find(END)
            .with_context(|| format!("{DOCUMENT} lacks {END} after {BEGIN}"))?;
        let (before, rest) = document.split_at(begin);
        let (table, after) = rest.split_at(length);
        let mut text = before.to_owned();
        let mut untested = Vec::new();
        let mut expected = rules();
        for line in table.lines() {
            let Some((rule, held_by)) = row(line) else {
                text += line;
                text.push('\n');
                continue;
            };
            if expected.next().as_deref() != Some(rule) {
                bail!("{DOCUMENT}: the row of {rule} is not where it should be");
            }
            let holders = in_backticks(held_by);
            if holders.is_empty() {
                bail!("{DOCUMENT}: nothing holds {rule}");
            }
            if let Some(file) = holders.into_iter().find(|file| !exists(file)) {
                bail!("{DOCUMENT}: {rule} is held by {file}, which does not exist");
            }
            let named = tests.get(rule);
            if named.is_none() {
                untested.push(rule.to_owned());
            }
            let files: Vec<_> = named
                .into_iter()
                .flatten()
                .map(|file| format!("`{file}`"))
                .collect();
            let files = if files.is_empty() {
                "none".to_owned()
            } else {
                files.join(", ")
            };
            let _ = writeln!(text, "| {rule} | {held_by} | {files} |");
        }
        if let Some(missing) = expected.next() {
            bail!("{DOCUMENT}: there is no row of {missing}");
        }
        text += after;
        Ok(Self { text, untested })
    }
}

/// The first two cells of a rule's row.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let rule = cells.next().filter(|cell| is_rule(cell))?;
    Some((rule, cells.next()?))
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn is_rule(word: &str) -> bool {
    let digits = word.strip_prefix(['L', 'F']).unwrap_or_default();
    !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// For each rule the files in which tests carry its number, from `crates` on.
fn tests_by_rule(crates: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut files = Vec::new();
    collect(crates, &mut files)?;
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let below = file.strip_prefix(crates).unwrap_or(&file);
        let name: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        for test in tests(&text) {
            for rule in numbers(test) {
                found.entry(rule).or_default().insert(name.join("/"));
            }
        }
    }
    Ok(found)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot list {}", dir.display());
    for entry in fs::read_dir(dir).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The names of the functions that have an attribute with `test` in it.
fn tests(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.contains("test") && !line.contains("cfg(");
        } else if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if std::mem::take(&mut is_test) {
                names.push(name);
            }
        } else if !line.starts_with("//") {
            is_test = false;
        }
    }
    names
}

/// The rules in a test's name: `l9_` and `f3_` at its beginning or after another word.
fn numbers(name: &str) -> impl Iterator<Item = String> {
    name.split('_')
        .map(str::to_uppercase)
        .filter(|word| is_rule(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(change: impl Fn(&str) -> Option<String>) -> String {
        let mut text =
            format!("before\n{BEGIN} words -->\n\n| rule | held by | tests |\n|---|---|---|\n");
        for rule in rules() {
            text += &change(&rule).unwrap_or(format!("| {rule} | `core/a.rs` (why) | |\n"));
        }
        text + END + "\nafter\n"
    }

    fn all_tested() -> BTreeMap<String, BTreeSet<String>> {
        rules()
            .map(|rule| (rule, ["t/b.rs".to_owned(), "t/a.rs".into()].into()))
            .collect()
    }

    #[test]
    fn the_tests_are_written_down_and_the_rest_stays() {
        let table = Table::of(&document(|_| None), &all_tested(), &|_| true).unwrap();
        assert!(table.untested.is_empty());
        assert!(table.text.starts_with("before\n") && table.text.ends_with("\nafter\n"));
        let row = "| F12 | `core/a.rs` (why) | `t/a.rs`, `t/b.rs` |\n";
        assert!(table.text.contains(row), "{}", table.text);
        let again = Table::of(&table.text, &all_tested(), &|_| true).unwrap();
        assert_eq!(again.text, table.text);
    }

    #[test]
    fn a_rule_without_a_test_is_named() {
        let mut tests = all_tested();
        tests.remove("L7");
        tests.remove("F2");
        let table = Table::of(&document(|_| None), &tests, &|_| true).unwrap();
        assert_eq!(table.untested, ["L7", "F2"]);
        assert!(table.text.contains("| L7 | `core/a.rs` (why) | none |\n"));
    }

    #[test]
    fn rules_that_are_missing_out_of_place_or_held_by_nothing_are_found() {
        let refused = |document: &str, exists: bool| {
            Table::of(document, &all_tested(), &|_| exists)
                .unwrap_err()
                .to_string()
        };
        let without = |rule: &'static str| document(|this| (this == rule).then(String::new));
        assert!(refused(&without("F12"), true).ends_with("no row of F12"));
        assert!(refused(&without("L3"), true).contains("the row of L4"));
        assert!(refused(&document(|_| None), false).contains("core/a.rs, which does not exist"));
        let nothing = document(|rule| (rule == "L5").then(|| "| L5 | by hand | |\n".into()));
        assert!(refused(&nothing, true).ends_with("nothing holds L5"));
        assert!(refused("no table", true).contains("lacks"));
    }

    #[test]
    fn only_tests_count_and_only_by_whole_words() {
        let source = "
            #[cfg(test)]
            mod tests {
                #[test]
                fn l3_one() {}
                fn l4_a_helper() {}
                #[tokio::test(start_paused = true)]
                // words
                #[should_panic]
                async fn lost_by_l9_and_f6<T>() {}
                #[allow(unused)]
                const X: u8 = 1;
                fn l5_another_helper() {}
            }";
        assert_eq!(tests(source), ["l3_one", "lost_by_l9_and_f6"]);
        assert_eq!(
            numbers("lost_by_l9_and_f6").collect::<Vec<_>>(),
            ["L9", "F6"]
        );
        for name in ["l_9", "l123_x", "level9", "fn6x", ""] {
            assert_eq!(numbers(name).count(), 0, "{name}");
        }
    }
}

//! The list of mutants: `mutants.toml`, and a patch for each entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::rules::{LEASE_RULES, LIFE_RULES};

/// Where the mutants are, from the workspace on.
pub(super) const FOLDER: &str = "crates/sim/mutants";
const LIST: &str = "mutants.toml";
const LOCKS: [&str; 3] = ["lease", "config-map", "leader-lock"];

/// All mutants, in the order of the list.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) mutants: Vec<Mutant>,
    /// Why kinds of faults stay without which no mutant is lost.
    pub(super) stays: BTreeMap<String, String>,
}

/// One seeded bug.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Mutant {
    pub(super) name: String,
    /// What is wrong, in one sentence.
    pub(super) breaks: String,
    /// The rules that it breaks.
    pub(super) rules: Vec<String>,
    pub(super) depth: Depth,
    /// The kind of lock that it shows on.
    pub(super) lock: String,
    /// The invariants that have to find it; any, where there are none.
    #[serde(default)]
    pub(super) caught_by: Vec<String>,
    /// The patch's content.
    #[serde(skip)]
    pub(super) patch: String,
}

/// What is broken: the protocol, or the library around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Depth {
    Core,
    Stack,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
    #[serde(default)]
    stays: BTreeMap<String, String>,
}

impl Table {
    /// The list below `root`, with its patches: each entry has one, and each patch an entry.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let folder = root.join(FOLDER);
        let path = folder.join(LIST);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut table = Self::of(&text)?;
        for mutant in &mut table.mutants {
            let path = folder.join(format!("{}.patch", mutant.name));
            mutant.patch = fs::read_to_string(&path)
                .with_context(|| format!("{} has no patch: {}", mutant.name, path.display()))?;
        }
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_patch = path
                .extension()
                .is_some_and(|extension| extension == "patch");
            ensure!(
                !is_patch || table.mutants.iter().any(|mutant| mutant.name == name),
                "{} has no entry in {LIST}",
                path.display()
            );
        }
        Ok(table)
    }

    /// The list alone.
    pub(super) fn of(text: &str) -> Result<Self> {
        let list: List =
            toml::from_str(text).with_context(|| format!("{LIST} cannot be understood"))?;
        let mut names = BTreeSet::new();
        for mutant in &list.mutant {
            let name = &mutant.name;
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ensure!(
                !name.is_empty() && name.chars().all(plain),
                "{LIST}: {name:?} is no name: small letters, digits and - only"
            );
            ensure!(names.insert(name), "{LIST}: {name} is there twice");
            ensure!(
                mutant.breaks.ends_with('.') && !mutant.breaks.contains('|'),
                "{LIST}: {name}: `breaks` is one sentence, without |"
            );
            ensure!(
                !mutant.rules.is_empty() && mutant.rules.iter().all(|rule| is_rule(rule)),
                "{LIST}: {name}: {:?} are not rules of docs/protocol.md",
                mutant.rules
            );
            ensure!(
                LOCKS.contains(&&*mutant.lock),
                "{LIST}: {name}: a lock is one of {}",
                LOCKS.join(", ")
            );
        }
        ensure!(!list.mutant.is_empty(), "{LIST}: there are no mutants");
        for (fault, why) in &list.stays {
            ensure!(
                !why.is_empty() && !why.ends_with('.') && !why.contains('|'),
                "{LIST}: why {fault} stays is said without a full stop at the end, and without |"
            );
        }
        Ok(Self {
            mutants: list.mutant,
            stays: list.stays,
        })
    }

    /// Those of these names; all, where no name is given.
    pub(super) fn named(&self, names: &[String]) -> Result<Vec<&Mutant>> {
        for name in names {
            if !self.mutants.iter().any(|mutant| mutant.name == *name) {
                bail!("there is no mutant {name}: see cargo xtask mutants --list");
            }
        }
        let wanted = |mutant: &&Mutant| names.is_empty() || names.contains(&mutant.name);
        Ok(self.mutants.iter().filter(wanted).collect())
    }

    /// So many of them, chosen by a number: equal numbers choose alike.
    pub(super) fn sample(&self, many: usize, seed: u64) -> Vec<&Mutant> {
        let mut state = seed;
        let mut drawn: Vec<(u64, usize)> = (0..self.mutants.len())
            .map(|index| (split_mix(&mut state), index))
            .collect();
        drawn.sort_unstable();
        drawn.truncate(many);
        drawn.sort_unstable_by_key(|(_, index)| *index);
        drawn
            .iter()
            .map(|(_, index)| &self.mutants[*index])
            .collect()
    }
}

impl Mutant {
    /// The files that its patch changes, from the workspace on.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let files: Vec<PathBuf> = self
            .patch
            .lines()
            .filter_map(|line| line.strip_prefix("+++ b/"))
            .map(PathBuf::from)
            .collect();
        ensure!(
            !files.is_empty(),
            "{}: its patch changes nothing",
            self.name
        );
        let source = |file: &PathBuf| {
            file.starts_with("crates/core/src") || file.starts_with("crates/tenure/src")
        };
        if let Some(other) = files.iter().find(|file| !source(file)) {
            bail!(
                "{}: its patch changes {}, which is not what is simulated",
                self.name,
                other.display()
            );
        }
        Ok(files)
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Core => "core",
            Self::Stack => "stack",
        })
    }
}

fn is_rule(rule: &str) -> bool {
    let number = |letter: char| rule.strip_prefix(letter)?.parse::<u32>().ok();
    number('L').is_some_and(|number| (1..=LEASE_RULES).contains(&number))
        || number('F').is_some_and(|number| (1..=LIFE_RULES).contains(&number))
}

/// The generator known as SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> String {
        format!(
            "[[mutant]]\nname = \"{name}\"\nbreaks = \"It is wrong.\"\nrules = [\"L1\", \"F11\"]\n\
             depth = \"core\"\nlock = \"lease\"\n"
        )
    }

    fn refused(list: &str) -> String {
        format!("{:#}", Table::of(list).unwrap_err())
    }

    #[test]
    fn a_list_is_read_in_its_order() {
        let more = entry("b").replace("\"core\"", "\"stack\"") + "caught-by = [\"history\"]\n";
        let table = Table::of(&(more + &entry("a-1"))).unwrap();
        let names: Vec<_> = table.mutants.iter().map(|mutant| &*mutant.name).collect();
        assert_eq!(names, ["b", "a-1"]);
        assert_eq!(table.mutants[0].depth, Depth::Stack);
        assert_eq!(table.mutants[0].caught_by, ["history"]);
        assert_eq!(table.mutants[1].rules, ["L1", "F11"]);
    }

    #[test]
    fn entries_that_make_no_sense_are_refused_by_name() {
        let one = entry("one");
        assert!(refused(&(one.clone() + &one)).contains("one is there twice"));
        for (from, to, says) in [
            ("L1", "L99", "L99"),
            ("F11", "F0", "F0"),
            ("\"L1\", \"F11\"", "", "one: [] are not rules"),
            ("\"core\"", "\"deep\"", "deep"),
            ("\"lease\"", "\"door\"", "one: a lock is one of"),
            ("wrong.", "wrong", "one: `breaks` is one sentence"),
            ("\"one\"", "\"One\"", "is no name"),
            ("lock", "look", "look"),
        ] {
            let text = refused(&one.replace(from, to));
            assert!(text.contains(says), "{text}");
        }
        let stays = |why: &str| format!("stays = {{ gone = \"{why}\" }}\n{one}");
        assert_eq!(
            Table::of(&stays("as 404 is")).unwrap().stays["gone"],
            "as 404 is"
        );
        assert!(refused(&stays("as 404 is.")).contains("why gone stays"));
        assert!(refused("").contains("mutants.toml cannot be understood"));
        assert!(refused("mutant = []").contains("there are no mutants"));
    }

    #[test]
    fn mutants_are_chosen_by_name_or_by_a_number() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let table = Table::of(&names.map(entry).concat()).unwrap();
        let of = |chosen: Vec<&Mutant>| -> Vec<String> {
            chosen.iter().map(|mutant| mutant.name.clone()).collect()
        };
        assert_eq!(of(table.named(&[]).unwrap()), names);
        assert_eq!(
            of(table.named(&["e".into(), "b".into()]).unwrap()),
            ["b", "e"]
        );
        let error = table.named(&["h".into()]).unwrap_err().to_string();
        assert!(error.starts_with("there is no mutant h"), "{error}");

        assert_eq!(of(table.sample(3, 5)), of(table.sample(3, 5)));
        assert_eq!(table.sample(3, 5).len(), 3);
        assert_eq!(of(table.sample(100, 5)), names);
        let drawn: BTreeSet<_> = (0..50).map(|seed| of(table.sample(2, seed))).collect();
        assert!(drawn.len() > 10, "{drawn:?}");
    }

    #[test]
    fn a_patch_may_change_only_what_is_simulated() {
        let mut table = Table::of(&entry("a")).unwrap();
        let mutant = &mut table.mutants[0];
        assert!(mutant.files().is_err());
        mutant.patch = "--- a/crates/core/src/x.rs\n+++ b/crates/core/src/x.rs\n".into();
        assert_eq!(
            mutant.files().unwrap(),
            [PathBuf::from("crates/core/src/x.rs")]
        );
        mutant.patch = "+++ b/crates/sim/src/invariants/mod.rs\n".into();
        assert!(
            mutant
                .files()
                .unwrap_err()
                .to_string()
                .contains("not what is simulated")
        );
    }
}

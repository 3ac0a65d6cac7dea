//! The runner, with a tree of one file and a simulator of a few lines of shell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use super::{sim::Program, trial::Verdict as Found};
use crate::process::{command, run as run_command};

static NO_REASONS: BTreeMap<String, String> = BTreeMap::new();
const FILE: &str = "crates/core/src/lib.rs";
const SOURCE: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";
const PATCH: &str = "--- a/crates/core/src/lib.rs\n+++ b/crates/core/src/lib.rs\n\
    @@ -1,7 +1,7 @@\n one\n two\n three\n-four\n+4\n five\n six\n seven\n";

/// A repository of one file, and a folder for its copy inside of it, as `target` is.
fn repository() -> (tempfile::TempDir, WorkingCopy) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, FILE, SOURCE);
    run_command(&mut command("git", &["init", "--quiet"], root)).unwrap();
    run_command(&mut command("git", &["add", FILE], root)).unwrap();
    let copy = WorkingCopy::make(root, &root.join("target/mutants")).unwrap();
    (dir, copy)
}

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn mutant(name: &str, patch: &str) -> Mutant {
    let list = format!(
        "[[mutant]]\nname = \"{name}\"\nbreaks = \"It is wrong.\"\nrules = [\"L1\"]\n\
         depth = \"core\"\nlock = \"lease\"\n"
    );
    let mut mutant = Table::of(&list).unwrap().mutants.remove(0);
    patch.clone_into(&mut mutant.patch);
    mutant
}

#[test]
fn a_patch_is_there_during_the_work_and_gone_after_it() {
    let (dir, copy) = repository();
    let read = |root: &Path| fs::read_to_string(root.join(FILE)).unwrap();
    let during = copy
        .with(&mutant("a", PATCH), || Ok(read(&copy.root)))
        .unwrap();
    assert_eq!(during, SOURCE.replace("four", "4"));
    assert_eq!(read(&copy.root), SOURCE);
    let failed: Result<()> = copy.with(&mutant("a", PATCH), || bail!("it broke"));
    assert_eq!(failed.unwrap_err().to_string(), "it broke");
    assert_eq!(read(&copy.root), SOURCE);
    assert_eq!(read(dir.path()), SOURCE);
}

#[test]
fn a_patch_that_does_not_apply_fails_loudly() {
    let (dir, copy) = repository();
    for (from, to) in [(" one\n", " 1\n"), ("-four", "-for"), ("lib.rs", "gone.rs")] {
        let broken = PATCH.replace(from, to);
        let refused: Result<()> = copy.with(&mutant("a", &broken), || panic!("it was tried"));
        let text = refused.unwrap_err().to_string();
        assert!(text.starts_with("does not apply: "), "{text}");
    }
    assert_eq!(fs::read_to_string(copy.root.join(FILE)).unwrap(), SOURCE);
    assert!(copy::check(dir.path(), PATCH).is_ok());
}

#[test]
fn the_copy_has_what_git_tracks_as_it_is_now_and_nothing_else() {
    let (dir, copy) = repository();
    let root = dir.path();
    write(root, "untracked.rs", "");
    write(&copy.root, "left/over.rs", "");
    write(root, FILE, "changed\n");
    let copy = WorkingCopy::make(root, &root.join("target/mutants")).unwrap();
    assert_eq!(
        fs::read_to_string(copy.root.join(FILE)).unwrap(),
        "changed\n"
    );
    assert!(!copy.root.join("untracked.rs").exists());
    assert!(!copy.root.join("left/over.rs").exists());
    fs::remove_file(root.join(FILE)).unwrap();
    assert!(WorkingCopy::make(root, &root.join("target/mutants")).is_err());
}

#[test]
fn every_patch_applies_to_the_present_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = Table::read(root).unwrap();
    let broken: Vec<String> = table
        .mutants
        .iter()
        .filter_map(|mutant| {
            let checked = mutant
                .files()
                .and_then(|_| copy::check(root, &mutant.patch));
            checked
                .err()
                .map(|error| format!("{} {error:#}", mutant.name))
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A simulator that finds what its file says.
#[cfg(unix)]
fn fake(dir: &Path, name: &str, script: &str) -> Program {
    use std::os::unix::fs::PermissionsExt as _;
    let path: PathBuf = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Program::at(path)
}

#[cfg(unix)]
#[test]
fn mutants_are_found_or_named_with_what_is_wrong() {
    const HELD: &str =
        r#"echo played; echo '{"depth":"core","first":0,"seeds":9,"violations":[]}'"#;
    const FOUND: &str = r#"echo '{"depth":"core","first":0,"seeds":4,"violations":[{"seed":3,"invariant":"history","lock":"lease"}]}'; exit 1"#;
    let dir = tempfile::tempdir().unwrap();
    let mut mutants = ["found", "unfound", "odd", "unbuilt", "needy", "unexpected"]
        .map(|name| mutant(name, PATCH));
    mutants[5].caught_by = vec!["truth".into(), "health".into()];
    let script = |name: &str| match name {
        "unfound" => HELD.to_owned(),
        "odd" => "exit 2".to_owned(),
        "seen" => format!("case \"$*\" in *'--blind history '*) {HELD};; *) {FOUND};; esac"),
        "needy" => format!("case \"$*\" in *'--without crash '*) {HELD};; *) {FOUND};; esac"),
        _ => FOUND.to_owned(),
    };
    let faults = ["freeze".to_owned(), "crash".into()];
    let trial = Trial {
        bounds: &Bounds {
            core: 900,
            stack: 900,
        },
        faults: &faults,
        blind: &[],
        jobs: 3,
    };
    let chosen: Vec<&Mutant> = mutants.iter().collect();
    let short = Trial {
        bounds: &Bounds {
            core: 199,
            stack: 900,
        },
        ..trial
    };
    let needy = |mutant: &Mutant| Ok(fake(dir.path(), &mutant.name, &script("needy")));
    assert!(short.run(&chosen[4..5], needy)[0].needs.is_empty());
    let results = trial.run(&chosen, |mutant| {
        if mutant.name == "unbuilt" {
            bail!("does not compile: error: no");
        }
        Ok(fake(dir.path(), &mutant.name, &script(&mutant.name)))
    });
    let blind = ["history".to_owned()];
    let unseeing = Trial {
        blind: &blind,
        faults: &[],
        ..trial
    };
    let seen = |mutant: &Mutant| Ok(fake(dir.path(), &mutant.name, &script("seen")));
    let said = escaped(&unseeing.run(&chosen[..1], seen));
    assert_eq!(said, "1 of 1 escape: found");
    let names: Vec<&str> = results.iter().map(|result| &*result.mutant.name).collect();
    assert_eq!(
        names,
        chosen
            .iter()
            .map(|mutant| &*mutant.name)
            .collect::<Vec<_>>()
    );
    let found = Found::Found {
        seeds: 4,
        invariant: "history".into(),
    };
    assert_eq!(results[0].verdict, found);
    assert_eq!(results[4].needs, ["crash"]);
    let failures: Vec<_> = results.iter().filter_map(trial::Result::failure).collect();
    assert_eq!(failures[0], "unfound was not found in 9 seeds");
    assert!(
        failures[1].starts_with("odd ") && failures[1].contains("Some(2)"),
        "{failures:?}"
    );
    assert_eq!(failures[2], "unbuilt does not compile: error: no");
    assert_eq!(
        failures[3],
        "unexpected was found by history, not by truth or health"
    );
    assert_eq!(failures.len(), 4);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "programs are left behind"
    );

    write(
        dir.path(),
        "docs/mutants.md",
        "# Title\n<!-- mutants: by `cargo xtask mutants` -->\nold\n<!-- end of mutants -->\nwords\n\
         <!-- faults: by `cargo xtask mutants` -->\nold\n<!-- end of faults -->\nend\n",
    );
    let stays = [("freeze".to_owned(), "it is ice".to_owned())].into();
    let needed = FaultResult::of(&faults, &results, &stays);
    assert!(needed.iter().all(|fault| fault.failure().is_none()));
    let unexplained = FaultResult::of(&faults, &results, &NO_REASONS);
    let failures: Vec<_> = unexplained
        .iter()
        .filter_map(FaultResult::failure)
        .collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("without the fault freeze, and"));
    let page = Page::read(dir.path()).unwrap();
    page.with_mutants(&mutants, &results)
        .with_faults(&needed)
        .write()
        .unwrap();
    let text = fs::read_to_string(dir.path().join("docs/mutants.md")).unwrap();
    assert!(
        text.starts_with("# Title\n<!--") && text.ends_with("-->\nend\n"),
        "{text}"
    );
    assert!(
        text.contains("\n| found | It is wrong. | L1 | core | lease | 4 | history |\n"),
        "{text}"
    );
    assert!(
        text.contains("| unfound | It is wrong. | L1 | core | lease | more than 9 | nothing |")
    );
    assert!(
        text.contains("| freeze | none; it stays: it is ice |\n| crash | needy |\n"),
        "{text}"
    );
    assert!(!text.contains("old"), "{text}");
    let again = Page::read(dir.path()).unwrap().with_faults(&[]);
    again.write().unwrap();
    assert!(
        fs::read_to_string(dir.path().join("docs/mutants.md"))
            .unwrap()
            .contains("| crash | needy |")
    );
}

#[test]
fn a_few_mutants_change_their_own_rows_and_only_by_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let row = |name: &str, seeds: u64| {
        format!("| {name} | It is wrong. | L1 | core | lease | {seeds} | history |")
    };
    let rows = ["first", "second", "gone"]
        .map(|name| row(name, 1))
        .join("\n");
    let text = format!(
        "<!-- mutants: by `cargo xtask mutants` -->\n{rows}\n<!-- end of mutants -->\n\
         <!-- faults: by `cargo xtask mutants` -->\n<!-- end of faults -->\n"
    );
    write(dir.path(), "docs/mutants.md", &text);
    let all = ["first", "new", "second", "never"].map(|name| mutant(name, PATCH));
    let result = |index: usize, verdict| trial::Result {
        mutant: &all[index],
        verdict,
        needs: Vec::new(),
    };
    let found = |seeds| Found::Found {
        seeds,
        invariant: "history".into(),
    };
    let results = [
        result(0, Found::NotFound { seeds: 10 }),
        result(1, found(7)),
        result(2, found(8)),
    ];
    let page = Page::read(dir.path()).unwrap();
    page.with_mutants(&all, &results).write().unwrap();
    let text = fs::read_to_string(dir.path().join("docs/mutants.md")).unwrap();
    let expected = [row("first", 1), row("new", 7), row("second", 8)].join("\n");
    assert!(text.contains(&expected), "{text}");
    assert!(!text.contains("gone") && !text.contains("never"), "{text}");
}

//! A copy of the working tree, in which one patch at a time is applied and taken back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use super::table::Mutant;
use crate::process::{command, output, shown};

/// The copy. What git tracks is in it as it is in the working tree, committed or not.
#[derive(Debug)]
pub(super) struct WorkingCopy {
    pub(super) root: PathBuf,
}

impl WorkingCopy {
    /// Makes the copy of `root` in `place`, or brings it up to date. Files that are as they should
    /// be are left alone, so that cargo builds only what is new.
    pub(super) fn make(root: &Path, place: &Path) -> Result<Self> {
        let copy = Self {
            root: place.join("tree"),
        };
        fs::create_dir_all(&copy.root)
            .with_context(|| format!("cannot make {}", copy.root.display()))?;
        let listed = output(&mut command("git", &["ls-files", "-z"], root))?;
        let mut wanted = BTreeSet::new();
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let from = root.join(name);
            // Tracked, and deleted in the working tree.
            if !from.is_file() {
                continue;
            }
            wanted.insert(PathBuf::from(name));
            let content =
                fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
            put(&copy.root.join(name), &content)?;
        }
        ensure!(
            !wanted.is_empty(),
            "git tracks nothing in {}",
            root.display()
        );
        remove_others(&copy.root, Path::new(""), &wanted)?;
        Ok(copy)
    }

    /// Runs `work` while the mutant's patch is applied, and puts everything back after it.
    pub(super) fn with<T>(&self, mutant: &Mutant, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut originals = Originals(Vec::new());
        for file in mutant.files()? {
            let path = self.root.join(file);
            let content = fs::read(&path)
                .with_context(|| format!("does not apply: there is no {}", path.display()))?;
            originals.0.push((path, content));
        }
        apply(&self.root, &mutant.patch, &["--check"])?;
        apply(&self.root, &mutant.patch, &[])?;
        let result = work();
        originals.put_back()?;
        result
    }
}

/// Whether the patch applies in `root`, exactly and whole. Nothing is changed.
#[cfg(test)]
pub(super) fn check(root: &Path, patch: &str) -> Result<()> {
    apply(root, patch, &["--check"])
}

/// `git apply` knows no fuzz: every line of context has to be there.
fn apply(root: &Path, patch: &str, options: &[&str]) -> Result<()> {
    let mut git = command("git", &["apply", "--whitespace=nowarn"], root);
    git.args(options).arg("-");
    // Paths are the copy's, whatever repository it lies in.
    if let Some(above) = root.parent() {
        let above = fs::canonicalize(above).unwrap_or_else(|_| above.to_path_buf());
        git.env("GIT_CEILING_DIRECTORIES", above);
    }
    git.stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = git
        .spawn()
        .with_context(|| format!("cannot start {}", shown(&git)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A git that ends early says why itself.
        let _ = stdin.write_all(patch.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("does not apply: {}", said.trim());
    }
    Ok(())
}

/// What stood there before, put back at the latest when this is dropped.
struct Originals(Vec<(PathBuf, Vec<u8>)>);

impl Originals {
    fn put_back(&mut self) -> Result<()> {
        for (path, content) in std::mem::take(&mut self.0) {
            put(&path, &content)?;
        }
        Ok(())
    }
}

impl Drop for Originals {
    fn drop(&mut self) {
        // The next copy is made right in any case.
        let _ = self.put_back();
    }
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes what is not wanted, from `below` on.
fn remove_others(root: &Path, below: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    let unreadable = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            remove_others(root, &name, wanted)?;
        } else if !wanted.contains(&name) {
            fs::remove_file(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

//! Schemathesis, which asks an HTTP API by its OpenAPI document: a tool in Python, in a virtual
//! environment of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::places::Places;
use crate::process::{command, output, run, works};
use crate::report::{Report, Verdict};

/// What is installed, each at one version.
const REQUIREMENTS: &str = "testing/sidecar-api/requirements.txt";
/// How it says, in its environment, what was installed there.
const INSTALLED: &str = "installed.txt";

/// Why nothing is asked here.
pub(crate) const MISSING: &str = "schemathesis is not installed (`--install` does it, below the \
                                  target folder; it needs Python 3.11 with venv)";

/// The program: that of the environment, or whichever is in PATH. With `install` it is that of the
/// environment, which is made where it is missing or another.
pub(crate) fn get(report: &mut Report, places: &Places, install: bool) -> Option<PathBuf> {
    let environment = environment(places);
    let requirements = places.root.join(REQUIREMENTS);
    let ours = program(&environment);
    if is_as_required(&environment, &requirements) && runs(&ours, places) {
        return Some(ours);
    }
    if install {
        let mut made = None;
        report.step("schemathesis, install", || {
            make(places, &environment, &requirements)?;
            let version = output(&mut command(&ours, &["--version"], &places.root))?;
            made = Some(ours);
            Ok(Verdict::PassedWith(version))
        });
        return made;
    }
    let elsewhere = PathBuf::from("schemathesis");
    runs(&elsewhere, places).then_some(elsewhere)
}

fn environment(places: &Places) -> PathBuf {
    places.target.join("tools/schemathesis")
}

fn program(environment: &Path) -> PathBuf {
    environment.join("bin/schemathesis")
}

fn runs(program: &Path, places: &Places) -> bool {
    works(&mut command(program, &["--version"], &places.root))
}

/// Whether all of it was installed there, and nothing has been changed since.
fn is_as_required(environment: &Path, requirements: &Path) -> bool {
    let installed = fs::read(environment.join(INSTALLED)).ok();
    installed.is_some() && installed == fs::read(requirements).ok()
}

fn make(places: &Places, environment: &Path, requirements: &Path) -> Result<()> {
    // --clear: what is there is of other versions, or half of one.
    let mut venv = command("python3", &["-m", "venv", "--clear"], &places.root);
    run(venv.arg(environment)).context(
        "no virtual environment: Python 3.11 or later with venv is needed (Debian: python3-venv)",
    )?;
    let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
    let mut pip = command(environment.join("bin/python"), &pip, &places.root);
    pip.arg(requirements)
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    run(&mut pip).context("schemathesis could not be installed")?;
    fs::copy(requirements, environment.join(INSTALLED))
        .with_context(|| format!("cannot write into {}", environment.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_installed_is_kept_until_something_else_is_required() {
        let dir = tempfile::tempdir().unwrap();
        let requirements = dir.path().join("requirements.txt");
        let environment = dir.path().join("environment");
        fs::create_dir(&environment).unwrap();
        assert!(!is_as_required(&environment, &requirements), "both missing");
        fs::write(&requirements, "a==1\n").unwrap();
        assert!(!is_as_required(&environment, &requirements), "half of it");
        fs::copy(&requirements, environment.join(INSTALLED)).unwrap();
        assert!(is_as_required(&environment, &requirements));
        fs::write(&requirements, "a==2\n").unwrap();
        assert!(!is_as_required(&environment, &requirements), "another");
    }

    #[test]
    fn everything_that_is_required_is_at_one_version() {
        let file = Places::find().root.join(REQUIREMENTS);
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut names = Vec::new();
        for line in lines {
            let (name, version) = line.split_once("==").expect(line);
            assert!(!version.is_empty(), "{line}");
            names.push(name);
        }
        assert!(names.contains(&"schemathesis"));
    }
}

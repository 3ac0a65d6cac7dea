//! What we depend on: licences, bans, sources and known holes, by cargo-deny.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::places::Places;
use crate::process::{command, run as run_command, works};
use crate::report::{Report, Verdict};
use crate::rust::cargo;

/// The version that is built where there is none. A newer one may know new lints: raise it
/// together with what they find.
const VERSION: &str = "0.20.2";

const CHECK: &str = "dependencies";
const ADVISORIES: &str = "advisories";

/// All of it. Without cargo-deny and without `install` it is left out.
pub(crate) fn run(report: &mut Report, places: &Places, install: bool) {
    let mut found = find(places);
    if found.is_none() && install {
        report.step("cargo-deny, build", || {
            found = Some(build(places)?);
            Ok(Verdict::Passed)
        });
    }
    let Some(program) = found else {
        let why = "cargo-deny is not installed (`--install` builds it, some minutes)";
        report.left_out(CHECK, why);
        report.left_out(ADVISORIES, why);
        return;
    };
    let deny = |arguments: &[&str]| command(&program, arguments, &places.root);
    report.step(CHECK, || {
        run_command(&mut deny(&[
            "--locked", "check", "bans", "licenses", "sources",
        ]))?;
        Ok(Verdict::Passed)
    });
    report.step(ADVISORIES, || advisories(&deny));
}

/// A database that cannot be fetched is no fault of the project's: then that is said.
fn advisories(deny: &dyn Fn(&[&str]) -> Command) -> Result<Verdict> {
    if run_command(&mut deny(&["--locked", "fetch", "db"])).is_err() {
        let why = "the RustSec database cannot be fetched (see above)";
        return Ok(Verdict::LeftOut(why.into()));
    }
    run_command(&mut deny(&[
        "--locked",
        "check",
        "--disable-fetch",
        "advisories",
    ]))?;
    Ok(Verdict::Passed)
}

fn find(places: &Places) -> Option<PathBuf> {
    let works_here = |path: &PathBuf| works(&mut command(path, &["--version"], &places.root));
    [
        PathBuf::from("cargo-deny"),
        tools(places).join("bin/cargo-deny"),
    ]
    .into_iter()
    .find(works_here)
}

fn build(places: &Places) -> Result<PathBuf> {
    let tools = tools(places);
    let mut install = cargo(
        places,
        &["install", "cargo-deny", "--locked", "--version", VERSION],
    );
    install.arg("--root").arg(&tools);
    // Its own target directory, or cargo would build it among ours.
    install.env_remove("CARGO_TARGET_DIR");
    run_command(&mut install).context("cargo-deny could not be built")?;
    Ok(tools.join("bin/cargo-deny"))
}

/// Where tools are kept for the next time.
fn tools(places: &Places) -> PathBuf {
    places
        .cache
        .clone()
        .unwrap_or_else(|| places.target.clone())
        .join("tools")
}

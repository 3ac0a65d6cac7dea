//! The chores that cargo does.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::places::Places;
use crate::process::{command, run};
use crate::report::{Report, Verdict};

/// What decides which server the tests use, and whether they rewrite what they should compare with.
/// Set here alone, so that a variable left over in somebody's shell changes nothing.
const VARIABLES: [&str; 4] = [
    "TENURE_CONTROL_PLANE",
    "TENURE_KUBECONFIG",
    "TENURE_REQUIRE_CONTROL_PLANE",
    "TENURE_BLESS",
];

/// What `cargo xtask` tells this program about its own package. Build scripts look at it (ring's does),
/// and what was built by hand would be built once more, and by hand again.
const OF_OURS: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
];

/// Formatting and clippy.
pub(crate) fn lint(report: &mut Report, places: &Places) {
    report.step("formatting", || {
        passed(&mut cargo(places, &["fmt", "--all", "--check"]))
    });
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ];
    report.step("clippy", || passed(&mut cargo(places, &clippy)));
}

/// The documentation and its examples.
pub(crate) fn doc(report: &mut Report, places: &Places) {
    docs(report, places);
    let examples = ["test", "--workspace", "--locked", "--doc"];
    report.step("doc tests", || passed(&mut cargo(places, &examples)));
}

/// The documentation alone: the examples in it are run with the tests.
pub(crate) fn docs(report: &mut Report, places: &Places) {
    let build = ["doc", "--workspace", "--no-deps", "--locked"];
    report.step("documentation", || {
        passed(cargo(places, &build).env("RUSTDOCFLAGS", "--deny warnings"))
    });
}

/// All tests, doc tests included, without any real control plane.
pub(crate) fn tests(report: &mut Report, places: &Places) {
    let test = ["test", "--workspace", "--locked"];
    report.step("tests, embedded API server", || {
        passed(&mut cargo(places, &test))
    });
    // A candidate that believes for ever: what measures overlaps must find them.
    let broken = [
        "test",
        "--workspace",
        "--locked",
        "--features",
        "tenure-cli/broken-for-tests",
        "--test",
        "broken",
    ];
    report.step("tests, a build that is broken on purpose", || {
        passed(&mut cargo(places, &broken))
    });
}

/// A server that is real.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RealServer<'a> {
    /// The tests start it, from this program.
    ControlPlane(&'a Path),
    /// A cluster that somebody looks after, by its kubeconfig.
    Given(&'a Path),
}

/// The tests that want a real server, one at a time, since each of them is about time. Those that
/// ask for another server than this one leave themselves out.
pub(crate) fn tests_on(places: &Places, server: RealServer<'_>) -> Result<Verdict> {
    // The whole workspace, for one set of features: another would build everything once more.
    let mut cargo = cargo(places, &["test", "--workspace", "--locked"]);
    for test in places.real_tests() {
        cargo.args(["--test", &test]);
    }
    cargo.args(["--", "--test-threads=1"]);
    match server {
        RealServer::ControlPlane(program) => cargo
            .env("TENURE_CONTROL_PLANE", program)
            .env("TENURE_REQUIRE_CONTROL_PLANE", "1"),
        RealServer::Given(kubeconfig) => cargo.env("TENURE_KUBECONFIG", kubeconfig),
    };
    passed(&mut cargo)
}

/// The cargo that runs this, in the workspace.
pub(crate) fn cargo(places: &Places, arguments: &[&str]) -> Command {
    cargo_in(&places.root, arguments)
}

/// The cargo that runs this, in another folder.
pub(crate) fn cargo_in(folder: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(program, arguments, folder);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    for (variable, _) in std::env::vars_os() {
        if variable
            .to_str()
            .is_some_and(|name| OF_OURS.iter().any(|start| name.starts_with(start)))
        {
            command.env_remove(variable);
        }
    }
    command
}

fn passed(command: &mut Command) -> Result<Verdict> {
    run(command)?;
    Ok(Verdict::Passed)
}

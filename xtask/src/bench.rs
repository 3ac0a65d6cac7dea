//! The benchmarks: what they need is built, then `tenure-bench` measures (docs/benchmarks).

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::control_plane;
use crate::go::{self, Go};
use crate::places::Places;
use crate::process::{command, run};
use crate::report::{Report, Verdict};
use crate::rust::{cargo, cargo_in};

/// The candidate on client-go, from the workspace on.
const CLIENT_GO: &str = "testing/baselines/client-go";

/// The candidates on other Rust libraries, and their workspaces.
const OTHERS: [(&str, &str); 3] = [
    ("kubert", "testing/baselines/rust"),
    ("kube-lease-manager", "testing/baselines/rust"),
    (
        "kube-leader-election",
        "testing/baselines/kube-leader-election",
    ),
];

/// The profile by which everything is built that is measured.
const PROFILE: &str = "dist";

/// A control plane that somebody has built already.
const NAMED: &str = "TENURE_CONTROL_PLANE";

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A tenth of the rounds, and shorter windows
    #[arg(long)]
    quick: bool,
    /// Only these measurements, such as floor,handover-1; what there is of others stays
    #[arg(long, value_name = "NAMES")]
    only: Option<String>,
    /// Where the results, the charts and the page go [default: docs/benchmarks]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What can be measured, and how long it takes
    #[arg(long)]
    list: bool,
    /// Measure nothing: draw the charts and write the page from results.json
    #[arg(long, conflicts_with_all = ["quick", "only", "list"])]
    draw: bool,
}

/// Measures, on a real control plane.
pub(crate) fn steps(report: &mut Report, places: &Places, args: &BenchArgs) {
    let named = std::env::var_os(NAMED).filter(|path| !path.is_empty());
    let program = if args.list || args.draw {
        None
    } else if let Some(program) = named {
        Some(program.into())
    } else {
        let Some(program) = control_plane::step(report, places) else {
            return;
        };
        Some(program)
    };
    report.step("benchmarks", || measure(places, args, program));
}

fn measure(places: &Places, args: &BenchArgs, plane: Option<PathBuf>) -> Result<Verdict> {
    let mut bench = command(ours(places, "tenure-bench")?, &[], &places.root);
    if args.quick {
        bench.arg("--quick");
    }
    if args.list {
        run(bench.arg("--list"))?;
        return Ok(Verdict::Passed);
    }
    let out = args.out.clone();
    bench
        .arg("--out")
        .arg(out.unwrap_or_else(|| places.root.join("docs/benchmarks")));
    if args.draw {
        run(bench.arg("--draw"))?;
        return Ok(Verdict::Passed);
    }
    for (option, package) in [
        ("--tenure", "tenure-cli"),
        ("--library", "tenure-candidate"),
    ] {
        bench.arg(option).arg(ours(places, package)?);
    }
    let alone = places.target.join(PROFILE).join("kube-alone");
    bench.arg("--alone").arg(alone);
    match go::find(places)? {
        Ok(go) => {
            bench.arg("--client-go").arg(client_go(places, &go)?);
        }
        Err(why) => bail!("client-go cannot be measured: {why}"),
    }
    for (name, workspace) in OTHERS {
        let program = other(places, name, workspace)?;
        bench
            .arg("--other")
            .arg(format!("{name}={}", program.display()));
    }
    if let Some(only) = &args.only {
        bench.arg("--only").arg(only);
    }
    if let Some(plane) = plane {
        bench.env(NAMED, plane);
    }
    run(&mut bench)?;
    Ok(Verdict::Passed)
}

/// Builds a program of ours: by itself, so that it has the features that it asks for and no others.
fn ours(places: &Places, package: &str) -> Result<PathBuf> {
    let build = ["build", "--profile", PROFILE, "--locked", "-p", package];
    run(&mut cargo(places, &build))?;
    let program = if package == "tenure-cli" {
        "tenure"
    } else {
        package
    };
    Ok(places.target.join(PROFILE).join(program))
}

/// Builds a candidate on another Rust library.
fn other(places: &Places, name: &str, workspace: &str) -> Result<PathBuf> {
    let target = places.target.join("baselines").join("rust");
    let package = format!("{name}-candidate");
    let build = ["build", "--profile", PROFILE, "--locked", "-p", &package];
    let mut cargo = cargo_in(&places.root.join(workspace), &build);
    run(cargo.arg("--target-dir").arg(&target))?;
    Ok(target.join(PROFILE).join(package))
}

/// Builds the candidate on client-go.
fn client_go(places: &Places, go: &Go) -> Result<PathBuf> {
    let program = places.target.join("baselines").join("client-go");
    let module = places.root.join(CLIENT_GO);
    let arguments = [
        "build",
        "-mod=readonly",
        "-buildvcs=false",
        "-ldflags",
        "-s -w",
        "-o",
    ];
    run(go.command(&arguments, &module).arg(&program).arg("."))?;
    Ok(program)
}

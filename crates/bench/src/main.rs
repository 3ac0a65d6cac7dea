//! Times elections on one real control plane: tenure, client-go, and the floor below both, in turns
//! within one run. `cargo xtask bench` builds what it needs and calls it.

mod candidate;
mod chart;
mod floor;
mod gone;
mod handover;
mod page;
mod plane;
mod results;
mod weight;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    plane::Bench,
    results::{Machine, Results},
};

#[derive(Parser)]
#[command(about = "Times elections: tenure beside client-go, and the floor below both")]
struct Args {
    /// The program `tenure`
    #[arg(long)]
    tenure: PathBuf,
    /// The candidate on client-go; without it, tenure is measured alone
    #[arg(long)]
    client_go: Option<PathBuf>,
    /// A tenth of the rounds
    #[arg(long)]
    quick: bool,
    /// Only these measurements
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where results.json, the charts and the page go
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// What can be measured, and how long it takes
    #[arg(long)]
    list: bool,
}

/// One thing that is measured.
struct Measurement {
    name: &'static str,
    rounds: u32,
    /// Seconds, with both contestants.
    each: u32,
    what: &'static str,
}

const MEASUREMENTS: [Measurement; 6] = [
    Measurement {
        name: "floor",
        rounds: 300,
        each: 1,
        what: "release replace, watch event, acquiring replace: two clients and nothing else",
    },
    Measurement {
        name: "handover-1",
        rounds: 300,
        each: 9,
        what: "SIGTERM to the leader until the next one leads, 1 standby",
    },
    Measurement {
        name: "handover-9",
        rounds: 300,
        each: 9,
        what: "the same, 9 standbys",
    },
    Measurement {
        name: "killed-1",
        rounds: 30,
        each: 24,
        what: "SIGKILL to the leader until the next one leads, 1 standby; 15 s, 10 s, 2 s",
    },
    Measurement {
        name: "killed-9",
        rounds: 30,
        each: 24,
        what: "the same, 9 standbys",
    },
    Measurement {
        name: "weight",
        rounds: 10,
        each: 12,
        what: "size of the program, memory of an idle standby, start to leading",
    },
];

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let rounds = |measurement: &Measurement| {
        if args.quick {
            measurement.rounds.div_ceil(10)
        } else {
            measurement.rounds
        }
    };
    if args.list {
        for measurement in &MEASUREMENTS {
            let minutes = f64::from(rounds(measurement) * measurement.each) / 60.0;
            let (name, what) = (measurement.name, measurement.what);
            println!("{name:12} about {minutes:5.1} min  {what}");
        }
        return Ok(());
    }
    let known = |name: &String| MEASUREMENTS.iter().any(|one| one.name == name);
    if let Some(name) = args.only.iter().find(|name| !known(name)) {
        bail!("there is no measurement {name}; --list names them");
    }
    let bench = Bench::start(args.tenure, args.client_go).await?;
    let mut results = Results::read_or_new(&args.out, Machine::here());
    for measurement in &MEASUREMENTS {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == measurement.name) {
            continue;
        }
        let (name, many) = (measurement.name, rounds(measurement));
        println!("{name}: {many} rounds");
        let measured = match name {
            "floor" => floor::measure(&bench, many).await,
            "handover-1" => handover::measure(&bench, name, 1, many).await,
            "handover-9" => handover::measure(&bench, name, 9, many).await,
            "killed-1" => gone::measure(&bench, name, 1, many).await,
            "killed-9" => gone::measure(&bench, name, 9, many).await,
            _ => weight::measure(&bench, many).await,
        };
        let measured = measured.with_context(|| format!("measuring {name}"))?;
        for series in &measured {
            println!("  {series}");
        }
        results.replace(name, measured);
        results.write(&args.out)?;
    }
    bench.stop().await?;
    chart::draw(&results, &args.out)?;
    page::write(&results, &args.out)?;
    println!("written to {}", args.out.display());
    Ok(())
}

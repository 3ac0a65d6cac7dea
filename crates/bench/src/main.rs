//! Times elections on one real control plane: tenure, client-go, and the floor below both, in turns
//! within one run. `cargo xtask bench` builds what it needs and calls it.

mod asking;
mod candidate;
mod chart;
mod crowd;
mod died;
mod floor;
mod goals;
mod gone;
mod growth;
mod growth_chart;
mod handover;
mod idle;
mod life;
mod locks;
mod page;
mod plane;
mod rested;
mod results;
mod seen;
mod usage;
mod weight;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    candidate::Kind,
    plane::{Bench, Programs},
    results::{Machine, Results, Series, Versions},
};

#[derive(Parser)]
#[command(about = "Times elections: tenure beside client-go, and the floor below both")]
struct Args {
    /// The program `tenure`
    #[arg(long, required_unless_present_any = ["list", "draw"])]
    tenure: Option<PathBuf>,
    /// The least candidate on the library (tenure-candidate)
    #[arg(long, required_unless_present_any = ["list", "draw"])]
    library: Option<PathBuf>,
    /// What only watches a Lease (kube-alone)
    #[arg(long, required_unless_present_any = ["list", "draw"])]
    alone: Option<PathBuf>,
    /// The candidate on client-go; without it, tenure is measured alone
    #[arg(long)]
    client_go: Option<PathBuf>,
    /// A candidate on another library, as kubert=PROGRAM; where one stands by, and what it weighs
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = other)]
    other: Vec<(Kind, PathBuf)>,
    /// A tenth of the rounds, and shorter windows
    #[arg(long)]
    quick: bool,
    /// Only these measurements; what the folder has of others stays
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where results.json, the charts and the page go
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// What can be measured, and how long it takes
    #[arg(long)]
    list: bool,
    /// Measure nothing: draw the charts and write the page from results.json
    #[arg(long)]
    draw: bool,
}

fn other(text: &str) -> Result<(Kind, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or("NAME=PROGRAM is needed")?;
    let mut others = Kind::OTHERS.into_iter();
    let kind = others.find(|kind| kind.slug() == name);
    Ok((
        kind.ok_or(format!("{name} is no library that is known here"))?,
        program.into(),
    ))
}

/// One thing that is measured.
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    /// What it is called on the page.
    pub(crate) title: &'static str,
    how: How,
}

/// How it is measured: in rounds, or by looking on for some seconds.
enum How {
    Floor { rounds: u32 },
    HandOver { standbys: u32, rounds: u32 },
    Rested { pairs: u32 },
    Crowd { standbys: u32, rounds: u32 },
    Killed { standbys: u32, rounds: u32 },
    Died { rounds: u32 },
    Life { rounds: u32 },
    Weight { rounds: u32 },
    Asking { rounds: u32 },
    Idle { seconds: u32 },
    Locks { seconds: u32 },
    MoreCandidates { seconds: u32 },
    MoreLocks { seconds: u32 },
}

#[rustfmt::skip]
pub(crate) const MEASUREMENTS: [Measurement; 16] = [
    Measurement { name: "floor", title: "The floor by itself", how: How::Floor { rounds: 300 } },
    Measurement { name: "handover-1", title: "A leader ends in order, 1 standby", how: How::HandOver { standbys: 1, rounds: 300 } },
    Measurement { name: "handover-9", title: "A leader ends in order, 9 standbys", how: How::HandOver { standbys: 9, rounds: 300 } },
    Measurement { name: "handover-99", title: "A leader ends in order, 99 standbys", how: How::HandOver { standbys: 99, rounds: 100 } },
    Measurement { name: "handover-999", title: "A leader ends in order, 999 standbys in one process", how: How::Crowd { standbys: 999, rounds: 60 } },
    Measurement { name: "rested", title: "A leader ends in order after a long calm, 1 standby", how: How::Rested { pairs: 20 } },
    Measurement { name: "killed-1", title: "A leader is killed, 1 standby", how: How::Killed { standbys: 1, rounds: 30 } },
    Measurement { name: "killed-9", title: "A leader is killed, 9 standbys", how: How::Killed { standbys: 9, rounds: 30 } },
    Measurement { name: "run", title: "The command of `tenure run` dies, 1 standby", how: How::Died { rounds: 100 } },
    Measurement { name: "life", title: "A leader for life is killed, and its Pod deleted by force", how: How::Life { rounds: 60 } },
    Measurement { name: "weight", title: "What a candidate costs", how: How::Weight { rounds: 20 } },
    Measurement { name: "is-leading", title: "`is_leading()`", how: How::Asking { rounds: 1000 } },
    Measurement { name: "idle-300", title: "300 standbys in one process, and nothing happens", how: How::Idle { seconds: 180 } },
    Measurement { name: "locks-1000", title: "1,000 locks led by one process", how: How::Locks { seconds: 60 } },
    Measurement { name: "candidates", title: "Growth: 1 to 1,000 standbys in one process", how: How::MoreCandidates { seconds: 20 } },
    Measurement { name: "locks", title: "Growth: 1 to 1,000 locks led by one process", how: How::MoreLocks { seconds: 20 } },
];

impl Measurement {
    /// Rounds, or seconds: fewer when it is to be quick.
    fn amount(&self, quick: bool) -> u32 {
        let (whole, part) = match self.how {
            How::Floor { rounds }
            | How::HandOver { rounds, .. }
            | How::Rested { pairs: rounds }
            | How::Crowd { rounds, .. }
            | How::Killed { rounds, .. }
            | How::Died { rounds }
            | How::Life { rounds }
            | How::Weight { rounds }
            | How::Asking { rounds } => (rounds, 10),
            How::Idle { seconds }
            | How::Locks { seconds }
            | How::MoreCandidates { seconds }
            | How::MoreLocks { seconds } => (seconds, 2),
        };
        if quick { whole.div_ceil(part) } else { whole }
    }

    /// About how many seconds it takes, with both contestants.
    fn takes(&self, quick: bool) -> f64 {
        let amount = f64::from(self.amount(quick));
        match self.how {
            How::Floor { .. } => amount * 0.3,
            How::HandOver { standbys: 1, .. } => amount * 4.5,
            How::HandOver { standbys, .. } => amount * 2.5 + f64::from(standbys) * 0.3,
            How::Rested { .. } => amount * 1.5 + 310.0,
            How::Crowd { .. } => amount * 8.0 + 120.0,
            How::Killed { .. } => amount * 8.5 + 15.0,
            How::Died { .. } | How::Life { .. } => amount * 2.0,
            How::Weight { .. } => amount * 10.0,
            How::Asking { .. } => amount * 0.001 + 1.0,
            How::Idle { .. } => amount * 4.0 + 210.0,
            How::Locks { .. } => amount * 8.0 + 190.0,
            How::MoreCandidates { .. } | How::MoreLocks { .. } => amount * 9.0 + 240.0,
        }
    }

    async fn measure(&self, bench: &Bench) -> Result<Vec<Series>> {
        let (name, amount) = (self.name, self.amount(bench.quick));
        match self.how {
            How::Floor { .. } => floor::measure(bench, amount).await,
            How::HandOver { standbys, .. } => {
                handover::measure(bench, name, standbys, amount).await
            }
            How::Rested { .. } => rested::measure(bench, name, amount).await,
            How::Crowd { standbys, .. } => crowd::measure(bench, name, standbys, amount).await,
            How::Killed { standbys, .. } => gone::measure(bench, name, standbys, amount).await,
            How::Died { .. } => died::measure(bench, name, amount).await,
            How::Life { .. } => life::measure(bench, name, amount).await,
            How::Weight { .. } => weight::measure(bench, amount).await,
            How::Asking { .. } => asking::measure(bench, amount).await,
            How::Idle { .. } => idle::measure(bench, amount).await,
            How::Locks { .. } => locks::measure(bench, amount).await,
            How::MoreCandidates { .. } => growth::candidates(bench, amount).await,
            How::MoreLocks { .. } => growth::locks(bench, amount).await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        for one in &MEASUREMENTS {
            let minutes = one.takes(args.quick) / 60.0;
            println!("{:12} about {minutes:5.1} min  {}", one.name, one.title);
        }
        return Ok(());
    }
    let known = |name: &String| MEASUREMENTS.iter().any(|one| one.name == name);
    if let Some(name) = args.only.iter().find(|name| !known(name)) {
        bail!("there is no measurement {name}; --list names them");
    }
    if !args.draw {
        // Whatever ends us, what we started ends with us.
        tokio::select! {
            measured = measure(&args) => measured?,
            ended = asked_to_end() => return ended,
        }
    }
    let results = Results::read(&args.out)?;
    chart::draw(&results, &args.out)?;
    page::write(&results, &args.out)?;
    println!("written to {}", args.out.display());
    Ok(())
}

async fn asked_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => bail!("asked to end by SIGTERM"),
        asked = tokio::signal::ctrl_c() => asked.map_err(Into::into).and_then(|()| bail!("asked to end")),
    }
}

/// Measures, and keeps what there is after each measurement.
async fn measure(args: &Args) -> Result<()> {
    let programs = Programs {
        tenure: args.tenure.clone().context("--tenure is missing")?,
        library: args.library.clone().context("--library is missing")?,
        alone: args.alone.clone().context("--alone is missing")?,
        client_go: args.client_go.clone(),
        others: args.other.clone(),
    };
    let bench = Bench::start(programs, args.quick).await?;
    let versions = Versions::of(&bench).await?;
    let mut results = Results::read_or_new(&args.out, Machine::here(), versions);
    for one in &MEASUREMENTS {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == one.name) {
            continue;
        }
        println!(
            "{}: about {:.1} min",
            one.name,
            one.takes(args.quick) / 60.0
        );
        let measured = one.measure(&bench).await;
        let measured = measured.with_context(|| format!("measuring {}", one.name))?;
        for series in &measured {
            println!("  {series}");
        }
        results.replace(one.name, args.quick, measured);
        results.write(&args.out)?;
    }
    bench.server.stop().await
}

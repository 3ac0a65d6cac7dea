//! What a candidate costs: its program, its memory, and how soon after its start it leads.

use std::{fs, time::Duration};

use anyhow::Result;
use rustix::process::Signal;

use crate::{
    candidate::{millis, unix_ns},
    plane::Bench,
    results::Series,
};

/// After this time of standing by, memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) async fn measure(bench: &Bench, rounds: u32) -> Result<Vec<Series>> {
    let mut all: Vec<(&str, &str, &str, Vec<f64>)> = Vec::new();
    let mut keep = |contestant, unit, what, value| {
        let place = all
            .iter_mut()
            .find(|(who, _, which, _)| *who == contestant && *which == what);
        match place {
            Some((.., values)) => values.push(value),
            None => all.push((contestant, unit, what, vec![value])),
        }
    };
    for round in 0..rounds {
        for kind in bench.contestants() {
            let name = kind.name();
            let lock = format!("weight-{name}-{round}");
            let began = unix_ns();
            let mut leader = bench.candidate(kind, &lock, "first")?;
            let leads = leader.leads().await?;
            keep(
                name,
                "ms",
                "from the start until it leads",
                millis(leads - began),
            );
            let mut standby = bench.candidate(kind, &lock, "second")?;
            standby.stands_by().await?;
            tokio::time::sleep(IDLE).await;
            keep(name, "MiB", "memory of an idle standby", standby.memory()?);
            #[allow(clippy::cast_precision_loss, reason = "sizes of programs")]
            let size = fs::metadata(bench.program(kind))?.len() as f64 / f64::from(1 << 20);
            keep(name, "MiB", "the program", size);
            for candidate in [standby, leader] {
                candidate.signal(Signal::TERM)?;
                candidate.ended().await?;
            }
        }
    }
    let series = |(contestant, unit, what, values)| Series::of(contestant, unit, what, values);
    Ok(all.into_iter().filter_map(series).collect())
}

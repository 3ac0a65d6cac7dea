//! What a candidate costs: its program, its memory, and how soon after its start it leads.

use std::{fs, time::Duration};

use anyhow::Result;
use rustix::process::Signal;

use crate::{
    candidate::{Kind, millis, unix_ns},
    plane::Bench,
    results::Series,
    usage::{Requests, memory},
};

/// After this time of standing by, memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// What the series are called.
pub(crate) const MEMORY: &str = "memory of an idle standby";
pub(crate) const PROGRAM: &str = "the program";
pub(crate) const REQUESTS: &str = "requests for the Lease until it leads";

pub(crate) async fn measure(bench: &Bench, rounds: u32) -> Result<Vec<Series>> {
    let mut kinds = vec![Kind::Tenure];
    kinds.extend(bench.crowds());
    kinds.extend(bench.others());
    let mut times = vec![[const { Vec::new() }; 3]; kinds.len()];
    let mut of_alone = Vec::new();
    for round in 0..rounds {
        let mut resting = Vec::new();
        for (kind, [starts, memories, requests]) in kinds.iter().zip(&mut times) {
            let lock = format!("weight-{}-{round}", kind.slug());
            let before = Requests::read(bench).await?;
            let began = unix_ns();
            let mut leader = bench.candidate(*kind, &lock, "first")?;
            starts.push(millis(leader.leads().await? - began));
            let after = Requests::read(bench).await?;
            requests.push(after.reads + after.writes - before.reads - before.writes);
            let mut standby = bench.candidate(*kind, &lock, "second")?;
            standby.stands_by().await?;
            resting.push((standby, leader, memories));
        }
        // It watches what the first of them have led and stood by for.
        let lock = format!("weight-{}-{round}", Kind::Tenure.slug());
        let mut alone = bench.candidate(Kind::Alone, &lock, "alone")?;
        alone.stands_by().await?;
        tokio::time::sleep(IDLE).await;
        of_alone.push(memory(alone.pid)?);
        alone.signal(Signal::TERM)?;
        alone.ended().await?;
        for (standby, leader, memories) in resting {
            memories.push(memory(standby.pid)?);
            for candidate in [standby, leader] {
                candidate.signal(Signal::TERM)?;
                candidate.ended().await?;
            }
        }
    }
    let mut measured = Vec::new();
    let size = |kind| -> Result<f64> {
        #[allow(clippy::cast_precision_loss, reason = "sizes of programs")]
        Ok(fs::metadata(bench.program(kind))?.len() as f64 / f64::from(1 << 20))
    };
    for (kind, [starts, memories, requests]) in kinds.into_iter().zip(times) {
        let of = |unit: &str, what: &str, values| Series::of(kind.name(), unit, what, values);
        measured.extend(of("ms", "from the start until it leads", starts));
        measured.extend(of("requests", REQUESTS, requests));
        measured.extend(of("MiB", MEMORY, memories));
        measured.extend(of("MiB", PROGRAM, vec![size(kind)?]));
    }
    let alone = |what, values| Series::of(Kind::Alone.name(), "MiB", what, values);
    measured.extend(alone(MEMORY, of_alone));
    measured.extend(alone(PROGRAM, vec![size(Kind::Alone)?]));
    Ok(measured)
}

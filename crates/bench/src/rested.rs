//! A leader ends in order after five minutes in which nothing happened, beside the same after five
//! seconds: a connection that has been idle for long may be gone, or slow to begin with.

use std::time::Duration;

use anyhow::Result;

use crate::{
    candidate::Kind,
    floor::Floor,
    handover::{Fleet, Times, round},
    plane::Bench,
    results::Series,
};

/// What the two series are called.
pub(crate) const AFTER_SECONDS: &str = "after 5 s, from the release to the next leader";
pub(crate) const AFTER_MINUTES: &str = "after 5 min, from the release to the next leader";

const CALMS: [(&str, Duration); 2] = [
    (AFTER_SECONDS, Duration::from_secs(5)),
    (AFTER_MINUTES, Duration::from_secs(300)),
];
/// Floor rounds for each round of a pair.
const FLOORS: u32 = 3;

/// Each pair has a lock of its own, so that all of them rest at the same time.
pub(crate) async fn measure(bench: &Bench, name: &str, pairs: u32) -> Result<Vec<Series>> {
    let kind = Kind::Tenure;
    let mut floor = Floor::start(bench, name).await?;
    let mut fleets = Vec::new();
    for pair in 0..pairs {
        fleets.push(Fleet::start(bench, kind, &format!("{name}-{pair}"), 1).await?);
    }
    let mut measured = Vec::new();
    for (what, calm) in CALMS {
        tokio::time::sleep(calm).await;
        let mut times = Times::default();
        for fleet in &mut fleets {
            floor.rounds(FLOORS).await?;
            round(fleet, &mut times).await?;
        }
        measured.extend(Series::of(kind.name(), "ms", what, times.from_release));
    }
    for fleet in fleets {
        fleet.end().await?;
    }
    let mut all = floor.series();
    all.append(&mut measured);
    Ok(all)
}

//! A leader is killed: until the next one leads, and by how much that is later than it had to be.
//!
//! Had to be: a standby may not lead before the lease duration has passed since it last saw the
//! Lease renewed. When that was is taken from a watch of our own on the same Lease, on the same
//! machine: what it sees a standby can see, within a millisecond or a few. So a lateness may be off
//! by that much, and is so for all alike.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use rand::RngExt as _;
use rustix::process::Signal;

use crate::{
    candidate::millis, floor::Floor, handover::Fleet, plane::Bench, results::Series, seen::Seen,
};

/// The default lease duration of both.
const LEASE: i64 = 15_000_000_000;
/// Floor rounds for each round of the contestants.
const FLOORS: u32 = 10;

/// Rounds of all contestants, side by side: each is mostly waiting. The floor is in between.
pub(crate) async fn measure(
    bench: &Bench,
    name: &str,
    standbys: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let mut floor = Floor::start(bench, name).await?;
    let mut fleets = Vec::new();
    for kind in bench.contestants() {
        let fleet = Fleet::start(bench, kind, name, standbys).await?;
        let seen = Seen::start(bench, &fleet.lock).await?;
        fleets.push((fleet, seen, Vec::new(), Vec::new()));
    }
    for _ in 0..rounds {
        floor.rounds(FLOORS).await?;
        let all = fleets
            .iter_mut()
            .map(async |(fleet, seen, whole, late)| -> Result<()> {
                let (took, later) = round(fleet, seen).await?;
                whole.push(took);
                late.push(later);
                Ok(())
            });
        try_join_all(all).await?;
    }
    let mut measured = floor.series();
    for (fleet, _, whole, late) in fleets {
        let series = |what: &str, values| Series::of(fleet.kind.name(), "ms", what, values);
        measured.extend(series("from the kill to the next leader", whole));
        measured.extend(series("later than it had to be", late));
        fleet.end().await?;
    }
    Ok(measured)
}

async fn round(fleet: &mut Fleet<'_>, seen: &Seen) -> Result<(f64, f64)> {
    // Anywhere between two renewals.
    let pause = Duration::from_millis(rand::rng().random_range(4000..7000));
    tokio::time::sleep(pause).await;
    let leader = fleet.leader.take().context("nobody leads")?;
    let killed = leader.signal(Signal::KILL)?;
    let identity = leader.identity.clone();
    leader.ended().await?;
    let leads = fleet.successor().await?;
    let last = seen.of(&identity).context("it was never seen")?.last;
    fleet.add().await?;
    Ok((millis(leads - killed), millis(leads - last - LEASE)))
}

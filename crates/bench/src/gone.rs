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
/// So many locks, each with candidates of its own, lose their leaders at times of their own: nearly
/// all of a round is waiting for a lease to run out.
const LANES: u32 = 3;
/// From one round of the floor to the next. A takeover comes after seconds in which its process had
/// nothing to do, and the floor is to be no warmer than that.
const FLOOR_PAUSE: Duration = Duration::from_millis(700);

/// Rounds of all contestants, side by side, and the floor beside them.
pub(crate) async fn measure(
    bench: &Bench,
    name: &str,
    standbys: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let mut floor = Floor::start(bench, name).await?;
    let lanes = LANES.min(rounds);
    let mut contests = Vec::new();
    for lane in 0..lanes {
        for kind in bench.contestants() {
            let fleet = Fleet::start(bench, kind, &format!("{name}-{lane}"), standbys).await?;
            contests.push(Contest::of(bench, fleet).await?);
        }
    }
    {
        let each = rounds.div_ceil(lanes);
        let all = try_join_all(contests.iter_mut().map(|contest| contest.rounds(each)));
        tokio::pin!(all);
        loop {
            let floors = async {
                tokio::time::sleep(FLOOR_PAUSE).await;
                floor.round().await?;
                anyhow::Ok(())
            };
            tokio::select! {
                ended = &mut all => {
                    ended?;
                    break;
                }
                measured = floors => measured?,
            }
        }
    }
    let mut measured = floor.series();
    for kind in bench.contestants() {
        let of_kind = || contests.iter().filter(|contest| contest.fleet.kind == kind);
        let all = |values: fn(&Contest<'_>) -> Vec<f64>| of_kind().flat_map(values).collect();
        let series = |what: &str, values| Series::of(kind.name(), "ms", what, values);
        measured.extend(series(
            "from the kill to the next leader",
            all(|contest| contest.whole.clone()),
        ));
        measured.extend(series(
            "later than it had to be",
            all(|contest| contest.late.clone()),
        ));
    }
    try_join_all(contests.into_iter().map(|contest| contest.fleet.end())).await?;
    Ok(measured)
}

/// The candidates of one contestant for one lock, and what their rounds came to.
struct Contest<'a> {
    fleet: Fleet<'a>,
    seen: Seen,
    whole: Vec<f64>,
    late: Vec<f64>,
}

impl<'a> Contest<'a> {
    async fn of(bench: &Bench, fleet: Fleet<'a>) -> Result<Self> {
        let seen = Seen::start(bench, &fleet.lock).await?;
        let (whole, late) = (Vec::new(), Vec::new());
        Ok(Self {
            fleet,
            seen,
            whole,
            late,
        })
    }

    async fn rounds(&mut self, rounds: u32) -> Result<()> {
        for _ in 0..rounds {
            let (whole, late) = round(&mut self.fleet, &self.seen).await?;
            self.whole.push(whole);
            self.late.push(late);
        }
        Ok(())
    }
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

//! What leading costs: one process that leads a thousand locks.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::RngExt as _;
use rustix::process::Signal;
use tokio::time::timeout;

use crate::{
    candidate::{Kind, millis, unix_ns},
    handover::{self, Fleet, Times},
    idle::{PASSES, window},
    plane::Bench,
    results::{Series, merge},
};

const LOCKS: u32 = 1000;
/// What a lone lock's hand-over under this load is called.
pub(crate) const MEANWHILE: &str = "a lone lock's hand-over meanwhile";
/// The longest until it leads all of them.
const LIMIT: Duration = Duration::from_secs(120);
/// Until the renewals have found their rhythm.
const SETTLE: Duration = Duration::from_secs(10);

/// Whole retry periods of either pace, in seconds: locks that are renewed in one half of a period would be
/// counted once more by a window that ends in the middle of one.
const PERIODS: u32 = 10;

pub(crate) async fn measure(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    let mut measured = Vec::new();
    let part = (seconds / PASSES).next_multiple_of(PERIODS);
    for _ in 0..PASSES {
        measured.extend(window("nobody", bench, part, &[]).await?);
        for kind in bench.crowds().into_iter().chain([Kind::OwnPace]) {
            measured.extend(many(bench, kind, LOCKS, part, part / 2).await?);
        }
    }
    Ok(merge(measured))
}

/// One process leads so many for `seconds`, and while others hand one over `rounds` times; then it
/// ends.
pub(crate) async fn many(
    bench: &Bench,
    kind: Kind,
    locks: u32,
    seconds: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let name = kind.name();
    let lock = format!("locks-{locks}-{}", kind.slug());
    let began = unix_ns();
    let mut process = bench.crowd(kind, &lock, "leader", 1, locks as usize)?;
    let all = async {
        for _ in 0..locks {
            process.leads().await?;
        }
        anyhow::Ok(unix_ns())
    };
    let led = timeout(LIMIT, all)
        .await
        .with_context(|| format!("{name} does not lead {locks} locks within {LIMIT:?}"))??;
    tokio::time::sleep(SETTLE).await;
    let mut measured = window(name, bench, seconds, &[process.pid]).await?;
    if rounds > 0 {
        let times = meanwhile(bench, kind, rounds).await?;
        measured.extend(Series::of(name, "ms", MEANWHILE, times));
    }
    #[allow(clippy::cast_precision_loss, reason = "a thousand at most")]
    let lost = process.count("lost") as f64;
    let ending = process.signal(Signal::TERM)?;
    process.ended().await?;
    let of = |unit: &str, what: &str, value| Series::of(name, unit, what, vec![value]);
    measured.extend(of(
        "ms",
        "from the start until it leads all",
        millis(led - began),
    ));
    measured.extend(of(
        "ms",
        "from SIGTERM until all are released",
        millis(unix_ns() - ending),
    ));
    measured.extend(of("locks", "locks lost", lost));
    Ok(measured)
}

/// Hand-overs of a lock that two processes of the same kind stand for.
async fn meanwhile(bench: &Bench, kind: Kind, rounds: u32) -> Result<Vec<f64>> {
    let mut fleet = Fleet::start(bench, kind, "meanwhile", 1).await?;
    let mut times = Times::default();
    for _ in 0..rounds {
        // Anywhere between two tries of those who try every two seconds.
        let pause = Duration::from_millis(rand::rng().random_range(500..2500));
        tokio::time::sleep(pause).await;
        handover::round(&mut fleet, &mut times).await?;
    }
    fleet.end().await?;
    Ok(times.from_release)
}

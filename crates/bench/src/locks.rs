//! What leading costs: one process that leads a thousand locks.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::{
    candidate::{Kind, millis, unix_ns},
    idle::window,
    plane::Bench,
    results::Series,
};

const LOCKS: u32 = 1000;
/// The longest until it leads all of them.
const LIMIT: Duration = Duration::from_secs(120);
/// Until the renewals have found their rhythm.
const SETTLE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    let mut measured = window("nobody", bench, seconds, &[]).await?;
    for kind in bench.crowds() {
        measured.extend(many(bench, kind, seconds).await?);
    }
    Ok(measured)
}

async fn many(bench: &Bench, kind: Kind, seconds: u32) -> Result<Vec<Series>> {
    let name = kind.name();
    let lock = format!("locks-{}", kind.slug());
    let began = unix_ns();
    let mut process = bench.crowd(kind, &lock, "leader", 1, LOCKS as usize)?;
    let all = async {
        for _ in 0..LOCKS {
            process.leads().await?;
        }
        anyhow::Ok(unix_ns())
    };
    let led = timeout(LIMIT, all)
        .await
        .with_context(|| format!("{name} does not lead {LOCKS} locks within {LIMIT:?}"))??;
    tokio::time::sleep(SETTLE).await;
    let mut measured = window(name, bench, seconds, &[process.pid]).await?;
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

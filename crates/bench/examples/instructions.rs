//! Does each thing that is counted a fixed number of times. By itself it shows nothing: callgrind
//! counts the instructions of the functions whose names begin with `counted_` (`cargo xtask
//! instructions`).

#[path = "../benches/scenes/mod.rs"]
mod scenes;

use std::hint::black_box;

use anyhow::{Result, bail, ensure};
use scenes::Pair;
use tenure::{ContextInfo, LeaderElection, LeadershipHandle};
use tenure_harness::TestServer;

const TIMES: u64 = 1000;

fn main() -> Result<()> {
    let what = std::env::args().nth(1);
    match what.as_deref() {
        Some("renewal") => renewals(),
        Some("sight") => sights(),
        Some("is-leading") => asked(),
        _ => bail!("what is to be done? renewal, sight or is-leading"),
    }
}

fn renewals() -> Result<()> {
    let mut pair = Pair::new();
    let before = pair.writes();
    for _ in 0..TIMES {
        pair.counted_renewal();
    }
    ensure!(pair.leads(), "it lost the Lease");
    ensure!(pair.writes() == before + TIMES, "a turn was no renewal");
    Ok(())
}

fn sights() -> Result<()> {
    let mut pair = Pair::new();
    let before = pair.writes();
    for _ in 0..TIMES {
        pair.renew();
        pair.counted_sight();
    }
    ensure!(pair.writes() == before + TIMES, "a turn was no renewal");
    Ok(())
}

fn asked() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (leadership, _server) = runtime.block_on(async {
        let server = TestServer::embedded().await?;
        let namespace = server.namespace("bench").await?;
        let election = LeaderElection::lease_lock("bench")
            .build(server.config(), ContextInfo::outside(namespace, "bench"))?;
        let leadership = election.acquire().await?;
        anyhow::Ok((leadership, server))
    })?;
    let led = counted_is_leading(&leadership.handle());
    runtime.block_on(async { leadership.release().await });
    ensure!(led == TIMES, "it led {led} times of {TIMES}");
    Ok(())
}

#[inline(never)]
fn counted_is_leading(handle: &LeadershipHandle) -> u64 {
    (0..TIMES)
        .map(|_| u64::from(black_box(handle).is_leading()))
        .sum()
}

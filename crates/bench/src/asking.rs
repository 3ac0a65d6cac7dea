//! What it costs to ask `is_leading()`, beside one reading of the clock that it asks.

use std::hint::black_box;

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use tenure::{ContextInfo, LeaderElection};

use crate::{plane::Bench, results::Series};

/// Questions in one round: a round takes longer than what interrupts it.
const QUESTIONS: u32 = 10_000;

/// Rounds of both in turns.
pub(crate) async fn measure(bench: &Bench, rounds: u32) -> Result<Vec<Series>> {
    let context = ContextInfo::outside("default", "asking");
    let election = LeaderElection::lease_lock("asking").build(bench.server.config(), context)?;
    let leadership = election.acquire().await?;
    let handle = leadership.handle();
    let (mut asked, mut read) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        read.push(nanos_each(|| {
            black_box(clock_gettime(ClockId::Boottime));
        }));
        asked.push(nanos_each(|| {
            black_box(black_box(&handle).is_leading());
        }));
        // The election's own work is on this runtime, too.
        tokio::task::yield_now().await;
    }
    ensure!(handle.is_leading(), "leadership was lost meanwhile");
    leadership.release().await;
    let series = [
        Series::of("tenure", "ns", "is_leading()", asked),
        Series::of("the clock", "ns", "clock_gettime(CLOCK_BOOTTIME)", read),
    ];
    Ok(series.into_iter().flatten().collect())
}

fn nanos_each(mut question: impl FnMut()) -> f64 {
    let began = tenure::now();
    for _ in 0..QUESTIONS {
        question();
    }
    tenure::now().since(began).as_secs_f64() * 1e9 / f64::from(QUESTIONS)
}

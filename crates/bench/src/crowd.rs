//! A leader ends in order before a great crowd: a thousand candidates in one process, each with
//! connections of its own.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::{
    candidate::{Kind, millis},
    floor::Floor,
    handover::refused,
    plane::Bench,
    results::Series,
    usage::Requests,
};

/// The longest until all of them stand by.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two rounds: all have heard of the new leader, and their servers have calmed down.
const PAUSE: Duration = Duration::from_secs(3);

pub(crate) async fn measure(
    bench: &Bench,
    name: &str,
    standbys: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let kind = Kind::Library;
    let mut floor = Floor::start(bench, name).await?;
    let mut crowd = bench.crowd(kind, name, "crowd", standbys as usize + 1, 1)?;
    // Some may have seen who leads before the leader says so.
    let all = async {
        let (mut leads, mut known) = (false, 0);
        while !leads || known < standbys {
            let told = crowd
                .until(|told| matches!(&*told.event, "leading" | "standby"))
                .await?;
            if told.event == "leading" {
                leads = true;
            } else {
                known += 1;
            }
        }
        anyhow::Ok(())
    };
    timeout(LIMIT, all)
        .await
        .with_context(|| format!("{standbys} standbys do not stand by within {LIMIT:?}"))??;
    let (mut times, mut conflicts) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tokio::time::sleep(PAUSE).await;
        floor.rounds(1).await?;
        let before = Requests::read(bench).await?.conflicts;
        // Whoever leads in there leaves, and goes last.
        crowd.signal(Signal::USR1)?;
        let released = crowd.released().await?;
        let leads = crowd.leads().await?;
        times.push(millis(leads - released));
        // Those who lost the race have had their answers.
        tokio::time::sleep(PAUSE).await;
        conflicts.push(Requests::read(bench).await?.conflicts - before);
    }
    let mut measured = floor.series();
    let of = |unit: &str, what: &str, values| Series::of(kind.name(), unit, what, values);
    measured.extend(of("ms", "from the release to the next leader", times));
    measured.extend(refused(kind, conflicts));
    crowd.signal(Signal::TERM)?;
    crowd.ended().await?;
    Ok(measured)
}

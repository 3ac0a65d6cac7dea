//! What standing by costs: many candidates for one lock, and nothing happens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::{
    candidate::{Candidate, Kind, millis},
    plane::Bench,
    results::{Series, merge},
    usage::{Requests, cpu, memory, server},
};

const CANDIDATES: u32 = 300;
/// The longest until all of them stand by.
const LIMIT: Duration = Duration::from_secs(300);
/// Until all have settled.
const SETTLE: Duration = Duration::from_secs(15);

/// All contestants in turns, so often: a machine is not as quick in one minute as in the next, and what a server does
/// by itself differs by more than what standbys make it do.
pub(crate) const PASSES: u32 = 3;

pub(crate) async fn measure(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    let mut measured = Vec::new();
    let part = seconds / PASSES;
    for _ in 0..PASSES {
        measured.extend(window("nobody", bench, part, &[]).await?);
        measured.extend(watches(bench, part).await?);
        for kind in bench.crowds() {
            measured.extend(crowd(bench, kind, CANDIDATES, part).await?);
        }
    }
    Ok(merge(measured))
}

/// As many who only watch what one candidate renews: nobody who hears of each change can cost less.
async fn watches(bench: &Bench, seconds: u32) -> Result<Vec<Series>> {
    let lock = format!("idle-{CANDIDATES}-{}", Kind::Alone.slug());
    let mut leader = bench.candidate(Kind::Library, &lock, "leader")?;
    leader.leads().await?;
    let mut crowd = bench.crowd(Kind::Alone, &lock, "watch", CANDIDATES as usize, 1)?;
    all_stand_by(&mut crowd, CANDIDATES).await?;
    let measured = window(Kind::Alone.name(), bench, seconds, &[crowd.pid]).await?;
    for one in [crowd, leader] {
        one.signal(Signal::TERM)?;
        one.ended().await?;
    }
    Ok(measured)
}

async fn all_stand_by(crowd: &mut Candidate, candidates: u32) -> Result<()> {
    let all = async {
        for _ in 0..candidates {
            crowd.stands_by().await?;
        }
        anyhow::Ok(())
    };
    timeout(LIMIT, all)
        .await
        .with_context(|| format!("{candidates} standbys do not stand by within {LIMIT:?}"))??;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// So many stand by for `seconds`; then the leader goes.
pub(crate) async fn crowd(
    bench: &Bench,
    kind: Kind,
    candidates: u32,
    seconds: u32,
) -> Result<Vec<Series>> {
    let lock = format!("idle-{candidates}-{}", kind.slug());
    let mut leader = bench.candidate(kind, &lock, "leader")?;
    leader.leads().await?;
    let mut crowd = bench.crowd(kind, &lock, "standby", candidates as usize, 1)?;
    all_stand_by(&mut crowd, candidates).await?;
    let name = kind.name();
    let mut measured = window(name, bench, seconds, &[crowd.pid]).await?;
    // And do they still see it when the leader goes?
    let before = Requests::read(bench).await?;
    leader.signal(Signal::TERM)?;
    let leads = crowd.leads().await?;
    let released = leader.released().await?;
    let took = millis(leads - released);
    leader.ended().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = Requests::read(bench).await?.conflicts - before.conflicts;
    let of = |unit: &str, what: &str, value| Series::of(name, unit, what, vec![value]);
    measured.extend(of("ms", "then, from the release to the next leader", took));
    measured.extend(of("writes", "refused writes of that hand-over", refused));
    crowd.signal(Signal::TERM)?;
    crowd.ended().await?;
    Ok(measured)
}

/// What is used in `seconds`, in which `pids` are looked at as one.
pub(crate) async fn window(
    name: &str,
    bench: &Bench,
    seconds: u32,
    pids: &[i32],
) -> Result<Vec<Series>> {
    let (apiserver, etcd) = (server("kube-apiserver")?, server("serve")?);
    let sum = |pids: &[i32], of: fn(i32) -> Result<f64>| -> Result<f64> {
        pids.iter().map(|pid| of(*pid)).sum()
    };
    let requests = Requests::read(bench).await?;
    let began = tenure::now();
    let used = (cpu(apiserver)?, cpu(etcd)?, sum(pids, cpu)?);
    tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
    let spent = (cpu(apiserver)?, cpu(etcd)?, sum(pids, cpu)?);
    let took = tenure::now().since(began).as_secs_f64();
    let after = Requests::read(bench).await?;
    let per_minute = |before: f64, after: f64| (after - before) / took * 60.0;
    let mut all = vec![
        (
            "requests/s",
            "reads of Leases",
            (after.reads - requests.reads) / took,
        ),
        (
            "requests/s",
            "writes of Leases",
            (after.writes - requests.writes) / took,
        ),
        (
            "requests/s",
            "all requests, watches apart",
            (after.all - requests.all) / took,
        ),
        ("watches", "open watches of Leases", after.watches),
        (
            "s/min",
            "CPU of kube-apiserver",
            per_minute(used.0, spent.0),
        ),
        ("s/min", "CPU of etcd", per_minute(used.1, spent.1)),
    ];
    if !pids.is_empty() {
        all.push(("s/min", "CPU of the process", per_minute(used.2, spent.2)));
        all.push(("MiB", "memory of the process", sum(pids, memory)?));
    }
    let series = |(unit, what, value)| Series::of(name, unit, what, vec![value]);
    Ok(all.into_iter().filter_map(series).collect())
}

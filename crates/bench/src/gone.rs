//! A leader is killed: until the next one leads, and by how much that is later than it had to be.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::{Api, api::DynamicObject, core::ApiResource};
use rand::RngExt as _;
use rustix::process::Signal;

use crate::{candidate::millis, handover::Fleet, plane::Bench, results::Series};

/// The default lease duration of both.
const LEASE: i64 = 15_000_000_000;

/// Rounds of all contestants, side by side: each is mostly waiting.
pub(crate) async fn measure(
    bench: &Bench,
    name: &str,
    standbys: u32,
    rounds: u32,
) -> Result<Vec<Series>> {
    let contestants = bench.contestants();
    let all = contestants.into_iter().map(async |kind| {
        let mut fleet = Fleet::start(bench, kind, name, standbys).await?;
        let (mut whole, mut late) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (took, later) = round(bench, &mut fleet).await?;
            whole.push(took);
            late.push(later);
        }
        let series = |what: &str, values| Series::of(kind.name(), "ms", what, values);
        let both = [
            series("from the kill until the next one leads", whole),
            series("later than the record's last renewTime + 15 s", late),
        ];
        anyhow::Ok(both.into_iter().flatten().collect::<Vec<_>>())
    });
    let mut measured = Vec::new();
    for series in futures::future::join_all(all).await {
        measured.extend(series?);
    }
    Ok(measured)
}

async fn round(bench: &Bench, fleet: &mut Fleet<'_>) -> Result<(f64, f64)> {
    let pause = Duration::from_millis(rand::rng().random_range(2000..4000));
    tokio::time::sleep(pause).await;
    let leader = fleet.leader.take().context("nobody leads")?;
    let killed = leader.signal(Signal::KILL)?;
    leader.ended().await?;
    let renewed = renew_time(bench, &fleet.lock).await?;
    let leads = fleet.successor().await?;
    fleet.add().await?;
    Ok((millis(leads - killed), millis(leads - renewed - LEASE)))
}

/// `renewTime`, in nanoseconds since 1970.
async fn renew_time(bench: &Bench, lock: &str) -> Result<i64> {
    let kind = ApiResource {
        group: "coordination.k8s.io".into(),
        version: "v1".into(),
        api_version: "coordination.k8s.io/v1".into(),
        kind: "Lease".into(),
        plural: "leases".into(),
    };
    let leases: Api<DynamicObject> = Api::namespaced_with(bench.server.client(), "default", &kind);
    let lease = leases.get(lock).await?;
    let text = lease.data["spec"]["renewTime"]
        .as_str()
        .context("it has no renewTime")?;
    let time: jiff::Timestamp = text.parse()?;
    Ok(time.as_microsecond() * 1000)
}

//! What no election can be faster than: one client frees a Lease, another sees that and takes it.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams, WatchEvent, WatchParams},
    core::ApiResource,
};
use serde_json::json;
use tenure::client::election_client;

use crate::{plane::Bench, results::Series};

const LEASE: &str = "floor";

pub(crate) async fn measure(bench: &Bench, rounds: u32) -> Result<Vec<Series>> {
    let leases =
        |client: Client| -> Api<DynamicObject> { Api::namespaced_with(client, "default", &kind()) };
    let leaver = leases(election_client(bench.server.config())?);
    let taker = leases(election_client(bench.server.config())?);
    let lease = lease("a")?;
    let mut held = leaver.create(&PostParams::default(), &lease).await?;
    let watch = WatchParams::default().fields(&format!("metadata.name={LEASE}"));
    let version = held.metadata.resource_version.clone().unwrap_or_default();
    let mut events = Box::pin(taker.watch(&watch, &version).await?);
    let (mut whole, mut one) = (Vec::new(), Vec::new());
    let params = PostParams::default();
    for _ in 0..rounds.saturating_add(WARM_UP) {
        held.data["spec"]["holderIdentity"] = json!("");
        let began = Instant::now();
        let freed = leaver.replace(LEASE, &params, &held);
        let seen = async {
            loop {
                match events.try_next().await?.context("the watch has ended")? {
                    WatchEvent::Modified(mut seen) => {
                        if seen.data["spec"]["holderIdentity"] == "" {
                            seen.data["spec"]["holderIdentity"] = json!("b");
                            break anyhow::Ok(taker.replace(LEASE, &params, &seen).await?);
                        }
                    }
                    WatchEvent::Error(status) => anyhow::bail!("the watch fails: {status}"),
                    _ => {}
                }
            }
        };
        let (freed, taken) = futures::join!(freed, seen);
        freed?;
        held = taken?;
        whole.push(began.elapsed().as_secs_f64() * 1e3);
        held.data["spec"]["holderIdentity"] = json!("a");
        let began = Instant::now();
        held = leaver.replace(LEASE, &params, &held).await?;
        one.push(began.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    let rest = |mut values: Vec<f64>| values.split_off(WARM_UP as usize);
    let series = [
        Series::of("floor", "ms", "release, watch event, acquire", rest(whole)),
        Series::of("replace", "ms", "one replace", rest(one)),
    ];
    Ok(series.into_iter().flatten().collect())
}

/// The first rounds make connections.
const WARM_UP: u32 = 3;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

fn kind() -> ApiResource {
    ApiResource {
        group: "coordination.k8s.io".into(),
        version: "v1".into(),
        api_version: "coordination.k8s.io/v1".into(),
        kind: "Lease".into(),
        plural: "leases".into(),
    }
}

fn lease(holder: &str) -> Result<DynamicObject> {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": LEASE },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15 },
    });
    Ok(serde_json::from_value(lease)?)
}

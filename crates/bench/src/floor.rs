//! What no election can be faster than: one client frees a Lease, another sees that and takes it.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{Stream, TryStreamExt as _};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams, WatchEvent, WatchParams},
    core::ApiResource,
};
use serde_json::json;
use tenure::client::election_client;
use tokio::time::timeout;

use crate::{
    plane::Bench,
    results::{FLOOR, Series},
};

/// Two clients with warm connections, and a Lease that nobody else knows of.
pub(crate) struct Floor {
    name: String,
    leaver: Api<DynamicObject>,
    taker: Api<DynamicObject>,
    events: Events,
    held: DynamicObject,
    whole: Vec<f64>,
    one: Vec<f64>,
}

/// The first rounds make connections.
const WARM_UP: u32 = 3;
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn measure(bench: &Bench, rounds: u32) -> Result<Vec<Series>> {
    let mut floor = Floor::start(bench, "alone").await?;
    for _ in 0..rounds {
        floor.round().await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(floor.series())
}

impl Floor {
    /// For the measurement `name`.
    pub(crate) async fn start(bench: &Bench, name: &str) -> Result<Self> {
        let name = format!("floor-{name}");
        let leases = |client: Client| -> Api<DynamicObject> {
            Api::namespaced_with(client, "default", &lease_kind())
        };
        let leaver = leases(election_client(bench.server.config())?);
        let taker = leases(election_client(bench.server.config())?);
        let lease = serde_json::from_value(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": name },
            "spec": { "holderIdentity": "a", "leaseDurationSeconds": 15 },
        }))?;
        let held = leaver.create(&PostParams::default(), &lease).await?;
        let mut floor = Self {
            events: watch_from(&taker, &name, &held).await?,
            name,
            leaver,
            taker,
            held,
            whole: Vec::new(),
            one: Vec::new(),
        };
        for _ in 0..WARM_UP {
            floor.round().await?;
        }
        floor.whole.clear();
        floor.one.clear();
        Ok(floor)
    }

    /// Some rounds, one after the other: they cost little beside the rest.
    pub(crate) async fn rounds(&mut self, many: u32) -> Result<()> {
        for _ in 0..many {
            self.round().await?;
        }
        Ok(())
    }

    pub(crate) async fn round(&mut self) -> Result<()> {
        let round = timeout(LIMIT, self.once()).await;
        match round.context("the floor takes forever")?? {
            Some((whole, one)) => {
                self.whole.push(whole);
                self.one.push(one);
            }
            // Watches are ended by the server every few minutes: the next round has another.
            None => self.events = watch_from(&self.taker, &self.name, &self.held).await?,
        }
        Ok(())
    }

    /// `None` when the watch had ended.
    async fn once(&mut self) -> Result<Option<(f64, f64)>> {
        let params = PostParams::default();
        let name = &self.name;
        self.held.data["spec"]["holderIdentity"] = json!("");
        let events = &mut self.events;
        let taker = &self.taker;
        let seen = async {
            loop {
                match events.try_next().await? {
                    None => return anyhow::Ok(None),
                    Some(WatchEvent::Modified(mut seen)) => {
                        if seen.data["spec"]["holderIdentity"] == "" {
                            seen.data["spec"]["holderIdentity"] = json!("b");
                            return Ok(Some(taker.replace(name, &params, &seen).await?));
                        }
                    }
                    Some(WatchEvent::Error(status)) => bail!("the watch fails: {status}"),
                    Some(_) => {}
                }
            }
        };
        let began = tenure::now();
        let (freed, taken) = futures::join!(self.leaver.replace(name, &params, &self.held), seen);
        let whole = millis_since(began);
        self.held = freed?;
        let taken = taken?;
        let is_whole = taken.is_some();
        // Without a watch nobody has taken it, and what is free already cannot be freed: that would
        // be no write, and no event.
        if let Some(taken) = taken {
            self.held = taken;
        }
        self.held.data["spec"]["holderIdentity"] = json!("a");
        let began = tenure::now();
        self.held = self.leaver.replace(name, &params, &self.held).await?;
        Ok(is_whole.then(|| (whole, millis_since(began))))
    }

    pub(crate) fn series(self) -> Vec<Series> {
        let series = [
            Series::of("floor", "ms", FLOOR, self.whole),
            Series::of("replace", "ms", "one replace", self.one),
        ];
        series.into_iter().flatten().collect()
    }
}

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Send>>;

async fn watch_from(api: &Api<DynamicObject>, name: &str, held: &DynamicObject) -> Result<Events> {
    let watch = WatchParams::default().fields(&format!("metadata.name={name}"));
    let version = held.metadata.resource_version.clone().unwrap_or_default();
    Ok(Box::pin(api.watch(&watch, &version).await?))
}

fn millis_since(began: tenure::Instant) -> f64 {
    tenure::now().since(began).as_secs_f64() * 1e3
}

pub(crate) fn lease_kind() -> ApiResource {
    ApiResource {
        group: "coordination.k8s.io".into(),
        version: "v1".into(),
        api_version: "coordination.k8s.io/v1".into(),
        kind: "Lease".into(),
        plural: "leases".into(),
    }
}

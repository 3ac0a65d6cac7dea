//! A leader for life is killed and its Pod deleted by force: until another one leads.
//!
//! The garbage collector of the real control plane deletes the lock with its owner.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use kube::{
    Api,
    api::{DynamicObject, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use rand::RngExt as _;
use rustix::process::Signal;
use tenure::client::election_client;
use tenure_harness::PodOptions;
use tokio::{process::Command, sync::mpsc, task::JoinHandle, time::timeout};

use crate::{
    candidate::{Candidate, Kind, PATIENCE, millis, unix_ns},
    floor::Floor,
    plane::Bench,
    results::Series,
};

const FLOORS: u32 = 3;

pub(crate) async fn measure(bench: &Bench, name: &str, rounds: u32) -> Result<Vec<Series>> {
    let mut floor = Floor::start(bench, name).await?;
    let mut gone = Gone::start(bench, name)?;
    let mut leader = owner(bench, name, 0).await?;
    leader.leads().await?;
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        let mut standby = owner(bench, name, number).await?;
        standby.stands_by().await?;
        let pause = Duration::from_millis(rand::rng().random_range(300..1300));
        tokio::time::sleep(pause).await;
        floor.rounds(FLOORS).await?;
        let pod = leader.identity.clone();
        leader.signal(Signal::KILL)?;
        leader.ended().await?;
        let deleted = unix_ns();
        bench.server.force_delete_pod("default", &pod).await?;
        let leads = standby.leads().await?;
        let removed = gone.next().await?;
        whole.push(millis(leads - deleted));
        after.push(millis(leads - removed));
        leader = standby;
    }
    leader.signal(Signal::TERM)?;
    leader.ended().await?;
    let mut measured = floor.series();
    let of = |what: &str, values| Series::of(Kind::Tenure.name(), "ms", what, values);
    measured.extend(of("from the Pod's deletion to the next leader", whole));
    measured.extend(of("from the lock's deletion to the next leader", after));
    Ok(measured)
}

/// A candidate in a Pod of its own, as far as there are Pods without a kubelet.
async fn owner(bench: &Bench, lock: &str, number: u32) -> Result<Candidate> {
    let pod = format!("{lock}-{number}");
    let (server, options) = (&bench.server, PodOptions::default());
    server.create_pod("default", &pod, &options).await?;
    let container = format!("containerd://{pod}");
    server
        .report_running("default", &pod, "main", &container)
        .await?;
    let mut command = Command::new(bench.program(Kind::Tenure));
    command
        .args(["campaign", lock, "--lock", "config-map", "--json"])
        .args(["-n", "default", "--pod", &pod])
        .arg("--kubeconfig")
        .arg(bench.server.kubeconfig());
    Candidate::spawn(command, &pod)
}

/// When the lock was deleted, as a watch of our own shows it: a millisecond or two after the fact.
struct Gone {
    times: mpsc::UnboundedReceiver<i64>,
    watching: JoinHandle<()>,
}

impl Gone {
    fn start(bench: &Bench, lock: &str) -> Result<Self> {
        let client = election_client(bench.server.config())?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
        let maps: Api<DynamicObject> = Api::namespaced_with(client, "default", &kind);
        let params = WatchParams::default().fields(&format!("metadata.name={lock}"));
        let (sender, times) = mpsc::unbounded_channel();
        let watching = tokio::spawn(async move {
            while let Ok(events) = maps.watch(&params, "0").await {
                let mut events = Box::pin(events);
                while let Ok(Some(event)) = events.try_next().await {
                    if matches!(event, WatchEvent::Deleted(_)) && sender.send(unix_ns()).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { times, watching })
    }

    async fn next(&mut self) -> Result<i64> {
        let time = timeout(PATIENCE, self.times.recv()).await;
        time.context("the lock was not seen to go")?
            .context("the watch ended")
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

//! An operator that reconciles only as the leader, term after term, in one process; every replica
//! keeps its store warm. It copies the label `greet` of ConfigMaps to an annotation.
use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{Controller, WatchStreamExt, controller::Action, reflector, watcher};
use kube::{Client, ResourceExt};
use tenure::{LeaderElection, LeadershipHandle};

type Context = Arc<(Client, LeadershipHandle)>;
async fn reconcile(map: Arc<ConfigMap>, context: Context) -> kube::Result<Action> {
    let (client, leadership) = &*context;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), &map.namespace().unwrap_or_default());
    let greet = map.labels().get("greet");
    if map.annotations().get("greeted") != greet && leadership.is_leading() {
        let patch = serde_json::json!({"metadata": {"annotations": {"greeted": greet}}});
        let (name, how) = (map.name_any(), PatchParams::default());
        maps.patch(&name, &how, &Patch::Merge(patch)).await?;
    }
    Ok(Action::await_change())
}

/// Stand, reconcile while leading, stand again; for ever.
pub async fn run(client: Client, election: LeaderElection) {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), election.namespace());
    let (store, writer) = reflector::store();
    let (changed, _) = tokio::sync::broadcast::channel(1024);
    let warm = watcher(maps, watcher::Config::default().labels("greet")).default_backoff();
    let warm = warm.reflect(writer).touched_objects().for_each(|map| {
        map.ok().map(|map| changed.send(Arc::new(map)));
        ready(())
    });
    let retry = |_, _: &_, _| Action::requeue(Duration::from_secs(1));
    let term = |leadership: LeadershipHandle| {
        let changes = (changed.subscribe(), leadership.clone());
        let changes = stream::unfold(changes, |(mut changes, leadership)| async {
            // One that is too far behind begins a new term, and with it all over.
            let map = changes.recv().await.map_err(|_| leadership.step_down());
            Some((map.ok()?, (changes, leadership)))
        });
        Controller::for_shared_stream(changes, store.clone())
            .reconcile_all_on(stream::iter([()]).chain(stream::pending()))
            .graceful_shutdown_on(leadership.lost().map(drop))
            .run(reconcile, retry, Arc::new((client.clone(), leadership)))
            .for_each(|_| ready(()))
            .map(Ok::<(), Infallible>)
    };
    let terms = async { while election.run_as_leader(term).await.is_ok() {} };
    futures::future::select(Box::pin(terms), Box::pin(warm)).await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let election = LeaderElection::lease_lock("greeter").in_cluster().await?;
    run(Client::try_default().await?, election).await;
    Err("the election has ended".into())
}

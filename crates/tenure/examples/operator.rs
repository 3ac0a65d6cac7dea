//! An operator that reconciles only as the leader, term after term, in one process; every replica
//! keeps its store warm. It copies the label `greet` of ConfigMaps to an annotation.
use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{Controller, WatchStreamExt, controller::Action, reflector, watcher};
use kube::{Client, ResourceExt};
use tenure::{ElectionError, LeaderElection, LeadershipHandle};

type Context = Arc<(Client, LeadershipHandle)>;

async fn reconcile(map: Arc<ConfigMap>, context: Context) -> kube::Result<Action> {
    let (client, leadership) = &*context;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), &map.namespace().unwrap_or_default());
    let greet = map.labels().get("greet");
    if map.annotations().get("greeted") != greet && leadership.is_leading() {
        let patch = serde_json::json!({"metadata": {"annotations": {"greeted": greet}}});
        maps.patch(
            &map.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await?;
    }
    Ok(Action::await_change())
}

/// Stand, reconcile while leading, stand again; for ever.
pub async fn run(client: Client, election: LeaderElection) -> Result<Infallible, ElectionError> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), election.namespace());
    let (store, writer) = reflector::store();
    let (changed, _) = tokio::sync::broadcast::channel(1024);
    let warm = watcher(maps, watcher::Config::default().labels("greet")).default_backoff();
    let warm = warm
        .reflect(writer)
        .touched_objects()
        .for_each(|map| ready(drop(map.map(|map| changed.send(Arc::new(map))))));
    let term = |leadership: LeadershipHandle| {
        let changes = stream::unfold(changed.subscribe(), |mut changes| async {
            let map = changes.recv().await.ok()?;
            Some((map, changes))
        });
        Controller::for_shared_stream(changes, store.clone())
            .reconcile_all_on(stream::iter([()]).chain(stream::pending()))
            .graceful_shutdown_on(leadership.lost().map(drop))
            .run(reconcile, retry, Arc::new((client.clone(), leadership)))
            .for_each(|_| ready(()))
            .map(Ok::<(), Infallible>)
    };
    let terms = async {
        loop {
            election.run_as_leader(term).await?;
        }
    };
    tokio::select! { never = terms => never, () = warm => Err(ElectionError::Ended) }
}

fn retry(_: Arc<ConfigMap>, _: &kube::Error, _: Context) -> Action {
    Action::requeue(Duration::from_secs(1))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let election = LeaderElection::lease_lock("greeter").in_cluster().await?;
    match run(Client::try_default().await?, election).await? {}
}

//! kube's client against the server, in process and over HTTP.
#![allow(clippy::unwrap_used)] // helpers outside of #[test] functions use it, too

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tenure_apiserver::ApiServer;

fn lease(name: &str) -> Lease {
    serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
    }))
    .unwrap()
}

async fn works(client: Client) {
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let created = leases
        .create(&PostParams::default(), &lease("x"))
        .await
        .unwrap();
    let version = created.metadata.resource_version.clone().unwrap();

    let again = leases
        .create(&PostParams::default(), &lease("x"))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = again else {
        panic!("no Status: {again}")
    };
    assert_eq!(
        (status.code, status.reason.as_str()),
        (409, "AlreadyExists")
    );

    let mut events = leases
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let mut changed = created.clone();
    changed.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
    let replaced = leases
        .replace("x", &PostParams::default(), &changed)
        .await
        .unwrap();
    let stale = leases
        .replace("x", &PostParams::default(), &changed)
        .await
        .unwrap_err();
    let kube::Error::Api(status) = stale else {
        panic!("no Status: {stale}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));

    match events.try_next().await.unwrap().unwrap() {
        WatchEvent::Modified(seen) => {
            assert_eq!(
                seen.metadata.resource_version,
                replaced.metadata.resource_version
            );
        }
        other => panic!("unexpected event: {other:?}"),
    }
    assert_eq!(
        leases
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert!(
        leases
            .delete("x", &DeleteParams::default())
            .await
            .unwrap()
            .is_right()
    );
    assert!(leases.get_opt("x").await.unwrap().is_none());

    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "m", "ownerReferences": [{
            "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod.metadata.uid,
        }]},
    }))
    .unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert!(
        pods.delete("p", &DeleteParams::default())
            .await
            .unwrap()
            .is_left()
    );
    assert!(
        maps.get_opt("m").await.unwrap().is_none(),
        "the dependent outlived its owner"
    );
}

#[tokio::test]
async fn the_client_works_in_process() {
    works(Client::new(ApiServer::new().service(), "default")).await;
}

#[tokio::test]
async fn the_client_works_over_http() {
    let server = ApiServer::builder().token("secret").build();
    let http = server
        .serve_http("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let config = Kubeconfig::from_yaml(&http.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(config, &options)
        .await
        .unwrap();
    works(Client::try_from(config).unwrap()).await;

    // The same state, on the same port, after a stop.
    let addr = http.addr;
    http.shutdown().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    let http = server.serve_http(addr).await.unwrap();
    assert_eq!(http.addr, addr);
    assert!(server.revision() > 5);
}

#[tokio::test]
async fn without_the_token_the_answer_is_401() {
    let server = ApiServer::new();
    let http = server
        .serve_http("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let client = Client::try_from(Config::new(http.url().parse().unwrap())).unwrap();
    let leases: Api<Lease> = Api::default_namespaced(client);
    let refused = leases.list(&ListParams::default()).await.unwrap_err();
    let kube::Error::Api(status) = refused else {
        panic!("no Status: {refused}")
    };
    assert_eq!((status.code, status.reason.as_str()), (401, "Unauthorized"));
}

#[tokio::test]
async fn an_address_that_others_could_reach_is_refused() {
    let refused = ApiServer::new()
        .serve_http("0.0.0.0:0".parse().unwrap())
        .await;
    assert!(matches!(
        refused,
        Err(tenure_apiserver::ServeError::NotLoopback { .. })
    ));
}

//! Who and where a process is, from what it is told and from its Pod.

#![allow(clippy::unwrap_used, reason = "a test")]

mod embedded;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use embedded::{POD_LIST, call};
use serde_json::{Value, json};
use tenure::context_info::{ContextError, ContextInfo, FixedSources, OwnPod, default_namespace};
use tenure_apiserver::ApiServer;

const SECRETS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn client(server: &ApiServer) -> kube::Client {
    kube::Client::new(server.service(), "default")
}

/// Make a Pod, and tell its uid.
async fn pod(server: &ApiServer, change: impl FnOnce(&mut Value)) -> String {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "worker-0", "namespace": "default"},
        "spec": {
            "restartPolicy": "Always", "serviceAccountName": "worker",
            "containers": [{"name": "app", "image": "app"}],
        },
    });
    change(&mut pod);
    let made = call(server, "POST", POD_LIST, &pod).await;
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn delete_pod(server: &ApiServer) {
    let at_once = json!({"gracePeriodSeconds": 0});
    call(server, "DELETE", &format!("{POD_LIST}/worker-0"), &at_once).await;
}

async fn discover(server: &ApiServer, sources: FixedSources) -> Result<ContextInfo, ContextError> {
    ContextInfo::discover_from(&client(server), &sources, None).await
}

fn told() -> FixedSources {
    FixedSources::new().env("POD_NAME", "worker-0")
}

fn token(namespace: &str, uid: &str) -> String {
    let claims = json!({"kubernetes.io": {
        "namespace": namespace,
        "pod": {"name": "worker-0", "uid": uid},
        "serviceaccount": {"name": "worker", "uid": "s"},
    }});
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn mounts(uid: &str, container: &str) -> String {
    format!(
        "1190 1184 259:1 /var/lib/kubelet/pods/{uid}/etc-hosts /etc/hosts rw - ext4 /dev/root rw\n\
         1191 1184 259:1 /var/lib/kubelet/pods/{uid}/containers/{container}/7d1c9ab3 \
         /dev/termination-log rw - ext4 /dev/root rw\n"
    )
}

#[tokio::test]
async fn a_pod_that_is_told_everything_knows_everything() {
    let server = ApiServer::new();
    let uid = pod(&server, |_| {}).await;
    let id = "4a52b8a1f20d3e3f5a7c0f9b8d6e4c2a1b3d5f7e9c0a2b4d6f8e0c1a3b5d7f90";
    let sources = told()
        .env("POD_UID", &uid)
        .env("NAMESPACE", "default")
        .file(&format!("{SECRETS}/token"), &token("default", &uid))
        .file("/proc/self/mountinfo", &mounts(&uid, "app"))
        .file(
            "/proc/self/cgroup",
            &format!("0::/kubepods/pod{uid}/{id}\n"),
        );
    let context = discover(&server, sources).await.unwrap();
    assert_eq!(context.namespace(), "default");
    assert_eq!(context.name_for_identity(), "worker-0");
    assert_eq!(context.pod_uid(), Some(&*uid));
    assert_eq!(context.container(), Some("app"));
    assert_eq!(context.container_id(), Some(id));
    assert_eq!(context.service_account(), Some("worker"));
    let own = context.own_pod().unwrap();
    assert_eq!(
        (own.name(), own.namespace(), own.uid()),
        ("worker-0", "default", &*uid)
    );
    assert_eq!(
        (own.container(), own.container_id()),
        (Some("app"), Some(id))
    );
    assert_eq!(
        (own.restart_policy(), own.has_one_container()),
        (Some("Always"), true)
    );
}

#[tokio::test]
async fn a_token_bound_to_the_pod_says_all_that_is_needed() {
    let server = ApiServer::new();
    let uid = pod(&server, |_| {}).await;
    let sources = FixedSources::new()
        .file(&format!("{SECRETS}/token"), &token("default", &uid))
        .file(&format!("{SECRETS}/namespace"), "default\n");
    let context = discover(&server, sources).await.unwrap();
    assert_eq!(context.own_pod().unwrap().uid(), uid);
    assert_eq!(context.container(), Some("app"), "it has one container");
    assert_eq!(context.container_id(), None);
}

#[tokio::test]
async fn a_token_at_another_place_is_read_there() {
    let server = ApiServer::new();
    let uid = pod(&server, |_| {}).await;
    let sources = FixedSources::new().file("/elsewhere/token", &token("default", &uid));
    let context =
        ContextInfo::discover_from(&client(&server), &sources, Some("/elsewhere/token")).await;
    assert_eq!(context.unwrap().own_pod().unwrap().uid(), uid);
}

#[tokio::test]
async fn the_namespace_is_the_first_that_is_told() {
    let server = ApiServer::new();
    let mut sources = FixedSources::new();
    let namespace = async |sources: &FixedSources| {
        let context = discover(&server, sources.clone()).await.unwrap();
        context.namespace().to_owned()
    };
    assert_eq!(namespace(&sources).await, "default", "the client's");
    sources = sources.file(&format!("{SECRETS}/namespace"), "from-file\n");
    assert_eq!(namespace(&sources).await, "from-file");
    sources = sources.env("POD_NAMESPACE", "from-pod");
    assert_eq!(namespace(&sources).await, "from-pod");
    sources = sources.env("NAMESPACE", " ");
    assert_eq!(namespace(&sources).await, "from-pod", "empty is unset");
    sources = sources.env("NAMESPACE", "from-env");
    assert_eq!(namespace(&sources).await, "from-env");
    // The same for a program that only looks.
    let found = default_namespace(&sources, "configured");
    assert_eq!(found.unwrap(), "from-env");
    let found = default_namespace(&FixedSources::new(), "configured");
    assert_eq!(found.unwrap(), "configured");
}

#[tokio::test]
async fn a_namespace_that_is_missing_or_none_is_an_error_that_shows_the_manifest() {
    let server = ApiServer::new();
    let error = discover(&server, FixedSources::new().env("NAMESPACE", "No_Name"))
        .await
        .unwrap_err();
    assert!(matches!(
        &error,
        ContextError::NamespaceInvalid {
            source_name: "NAMESPACE",
            ..
        }
    ));
    assert!(
        error.to_string().contains("fieldPath: metadata.namespace"),
        "{error}"
    );
    let nameless = kube::Client::new(server.service(), "");
    let error = ContextInfo::discover_from(&nameless, &FixedSources::new(), None)
        .await
        .unwrap_err();
    assert_eq!(error, ContextError::NamespaceUnknown);
    assert!(
        error.to_string().contains("fieldPath: metadata.namespace"),
        "{error}"
    );
}

#[tokio::test]
async fn outside_of_a_pod_a_lease_can_be_had_and_leader_for_life_says_what_is_missing() {
    let server = ApiServer::new();
    let sources = FixedSources::new().file("/proc/sys/kernel/hostname", "my_laptop\n");
    let context = discover(&server, sources).await.unwrap();
    assert_eq!(
        context.name_for_identity(),
        "my-laptop",
        "what stands before _ is the name (L8)"
    );
    assert_eq!(context.pod_uid(), None);
    let error = context.own_pod().unwrap_err();
    assert_eq!(error, ContextError::PodNameUnknown);
    let text = error.to_string();
    for part in [
        "POD_NAME",
        "POD_UID",
        "NAMESPACE",
        "metadata.name",
        "metadata.uid",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(server.requests().is_empty(), "nothing to ask for");
}

#[tokio::test]
async fn f2_a_pod_of_ones_own_name_is_not_oneself_when_its_uid_is_another() {
    let server = ApiServer::new();
    let old = pod(&server, |_| {}).await;
    delete_pod(&server).await;
    let new = pod(&server, |_| {}).await;
    assert_ne!(old, new);
    let with_token = told().file(&format!("{SECRETS}/token"), &token("default", &old));
    let with_mounts = told().file("/proc/self/mountinfo", &mounts(&old, "app"));
    for sources in [told().env("POD_UID", &old), with_token, with_mounts] {
        let context = discover(&server, sources).await.unwrap();
        assert_eq!(context.pod_uid(), Some(&*old), "it still knows who it is");
        match context.own_pod() {
            Err(ContextError::PodReplaced { found, claimed, .. }) => {
                assert_eq!((found, claimed), (new.clone(), old.clone()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn f2_sources_that_name_different_uids_are_an_error() {
    let server = ApiServer::new();
    let uid = pod(&server, |_| {}).await;
    let sources = told()
        .env("POD_UID", "copied")
        .file("/proc/self/mountinfo", &mounts(&uid, "app"));
    let error = discover(&server, sources)
        .await
        .unwrap()
        .own_pod()
        .unwrap_err();
    assert!(
        matches!(
            error,
            ContextError::UidsDisagree {
                first_source: "POD_UID",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn f2_the_mirror_of_a_static_pod_cannot_own_a_lock() {
    let server = ApiServer::new();
    pod(&server, |pod| {
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "abc"});
        pod["spec"]["serviceAccountName"] = Value::Null;
    })
    .await;
    let context = discover(&server, told().env("POD_UID", "of-the-static-pod"))
        .await
        .unwrap();
    assert_eq!(
        context.own_pod(),
        Err(ContextError::MirrorPod("worker-0".into()))
    );
}

#[tokio::test]
async fn f3_the_container_is_the_one_of_the_mount_then_the_named_one_then_the_only_one() {
    let server = ApiServer::new();
    let uid = pod(&server, |pod| {
        pod["spec"]["containers"] =
            json!([{"name": "app", "image": "a"}, {"name": "side", "image": "b"}]);
    })
    .await;
    let container = async |sources: FixedSources| {
        let context = discover(&server, sources).await.unwrap();
        context
            .own_pod()
            .map(|pod| pod.container().map(ToOwned::to_owned))
    };
    assert_eq!(container(told()).await, Ok(None), "which of the two?");
    let named = told().env("CONTAINER_NAME", "side");
    assert_eq!(container(named.clone()).await, Ok(Some("side".into())));
    let mounted = named.file("/proc/self/mountinfo", &mounts(&uid, "app"));
    assert_eq!(container(mounted).await, Ok(Some("app".into())));
    let wrong = told().env("CONTAINER_NAME", "of-another-tool");
    assert_eq!(container(wrong).await, Ok(None));
}

#[tokio::test]
async fn f3_init_containers_and_sidecars_are_containers_too() {
    let server = ApiServer::new();
    pod(&server, |pod| {
        pod["spec"]["initContainers"] =
            json!([{"name": "side", "image": "b", "restartPolicy": "Always"}]);
    })
    .await;
    let context = discover(&server, told()).await.unwrap();
    let own = context.own_pod().unwrap();
    assert!(!own.has_one_container());
    assert_eq!(own.container(), None);
    assert_eq!(own.containers(), ["app", "side"]);
}

#[tokio::test]
async fn a_pod_that_is_not_there_may_not_be_read_or_cannot_be_is_told_apart() {
    let server = ApiServer::new();
    let own_pod = async || {
        let context = discover(&server, told().env("POD_UID", "u")).await.unwrap();
        assert_eq!(
            (context.name_for_identity(), context.pod_uid()),
            ("worker-0", Some("u"))
        );
        context.own_pod().unwrap_err()
    };
    let absent = own_pod().await;
    assert!(
        matches!(absent, ContextError::PodNotFound { .. }),
        "{absent}"
    );
    server.deny("get", "pods");
    let refused = own_pod().await;
    assert!(matches!(refused, ContextError::PodRefused(_)), "{refused}");
    assert!(refused.to_string().contains("verbs: [get]"), "{refused}");
    tokio::time::pause();
    server.set_reachable(false);
    let unread = own_pod().await;
    assert!(matches!(unread, ContextError::PodUnread(_)), "{unread}");
}

#[tokio::test]
async fn the_own_pod_is_where_its_token_says_even_if_the_locks_are_elsewhere() {
    let server = ApiServer::new();
    let uid = pod(&server, |_| {}).await;
    let sources = told()
        .env("NAMESPACE", "locks")
        .file(&format!("{SECRETS}/token"), &token("default", &uid));
    let context = discover(&server, sources).await.unwrap();
    assert_eq!(context.namespace(), "locks");
    assert_eq!(context.own_pod().unwrap().namespace(), "default");
}

#[test]
fn a_context_by_hand_has_a_pod_only_if_it_is_given_one() {
    let context = ContextInfo::outside("shop", "laptop");
    assert_eq!(context.own_pod(), Err(ContextError::NoPod));
    let pod = OwnPod::new("shop", "worker-0", "u-1")
        .with_container("app")
        .with_container_id("c-1")
        .with_containers(&["app"])
        .with_restart_policy("Never");
    let context = context.with_pod(pod.clone()).with_namespace("other");
    assert_eq!(context.own_pod(), Ok(&pod));
    assert_eq!(
        (context.name_for_identity(), context.pod_uid()),
        ("worker-0", Some("u-1"))
    );
    assert_eq!(
        (context.container(), context.container_id()),
        (Some("app"), Some("c-1"))
    );
    assert_eq!(context.namespace(), "other");
    assert!(pod.has_one_container());
}

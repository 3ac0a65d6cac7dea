//! The rights that `tenure` asks for are those that its elections use.

#![allow(clippy::unwrap_used, reason = "a test")]

mod embedded;

use embedded::{POD_LIST, S, call, server};
use serde_json::{Value, json};
use tenure::{
    ContextInfo, Kind, LeaderElection, clock,
    crd::{self, CrdError, Installed},
    rbac::{Rights, rbac_manifests},
};
/// The verbs that the rules allow on `resource`, and whether they are narrowed to a name.
fn verbs(manifests: &[Value], resource: &str) -> Vec<(String, bool)> {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let rules = manifests[0]["rules"].as_array().unwrap().iter();
    let matching = rules
        .filter(|rule| rule["resources"] == json!([plural]) && rule["apiGroups"] == json!([group]));
    let mut verbs: Vec<_> = matching
        .flat_map(|rule| {
            let narrowed = rule.get("resourceNames").is_some();
            let verbs = rule["verbs"].as_array().unwrap().iter();
            verbs.map(move |verb| (verb.as_str().unwrap().to_owned(), narrowed))
        })
        .collect();
    verbs.sort();
    verbs
}

#[tokio::test(start_paused = true)]
async fn events_and_labels_use_the_rights_that_are_given_for_them_and_no_other() {
    let server = server();
    let client = || kube::Client::new(server.service(), "default");
    let (mut elections, mut pods) = (Vec::new(), Vec::new());
    for (name, seed) in [("a", 1), ("b", 2)] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            // As a dead leader leaves it.
            "metadata": {"name": name, "labels": {
                "tenure.dev/candidate": "nightly", "tenure.dev/role": "leader",
            }},
            "spec": {"containers": [{"name": "main", "image": "x"}]},
        });
        let pod = call(&server, "POST", POD_LIST, &pod).await;
        pods.push(pod["metadata"]["uid"].as_str().unwrap().to_owned());
        server.clear_log();
        if name == "a" {
            let pod = tenure::context_info::OwnPod::new("default", name, &pods[0]);
            let election = LeaderElection::lease_lock("nightly")
                .clock(clock::tokio_clock())
                .seed(seed)
                .events()
                .label_pod()
                .build_over(
                    client(),
                    ContextInfo::outside("default", name).with_pod(pod),
                )
                .unwrap();
            elections.push(election);
        }
    }
    server.clear_log();
    let election = elections.remove(0);
    let leading = election.acquire().await.unwrap();
    tokio::time::sleep(60 * S).await;
    leading.release().await;
    election.close().await;
    let used = |resource: &str| {
        let mut verbs: Vec<_> = server
            .requests()
            .into_keys()
            .filter(|key| key.resource == resource)
            .map(|key| (key.verb, false))
            .collect();
        verbs.sort();
        verbs.dedup();
        verbs
    };
    let rights = Rights::new(Kind::Lease, "default", "worker").name("nightly");
    assert_eq!(verbs(&rights.manifests(), "pods"), []);
    assert_eq!(verbs(&rights.manifests(), "events.events.k8s.io"), []);
    let rights = rights.events().label_pod().manifests();
    assert_eq!(used("pods"), verbs(&rights, "pods"));
    assert_eq!(
        used("events.events.k8s.io"),
        verbs(&rights, "events.events.k8s.io")
    );
}

#[tokio::test(start_paused = true)]
async fn an_election_by_a_lease_uses_every_right_that_it_is_given_and_no_other() {
    let server = server();
    let candidate = |name: &str, seed| {
        LeaderElection::lease_lock("nightly")
            .clock(clock::tokio_clock())
            .seed(seed)
            .build_over(
                kube::Client::new(server.service(), "shop"),
                ContextInfo::outside("default", name),
            )
            .unwrap()
    };
    let (first, second) = (candidate("a", 1), candidate("b", 2));
    let leading = first.acquire().await.unwrap();
    let waiting = tokio::spawn(async move { second.acquire().await.unwrap().release().await });
    tokio::time::sleep(60 * S).await;
    leading.release().await;
    tokio::time::timeout(60 * S, waiting)
        .await
        .unwrap()
        .unwrap();

    let mut used: Vec<_> = server
        .requests()
        .into_keys()
        .map(|key| (key.verb, key.resource))
        .collect();
    used.sort();
    used.dedup();
    let rights = rbac_manifests(Kind::Lease, Some("nightly"), "default", "worker");
    let mut granted: Vec<_> = verbs(&rights, "leases.coordination.k8s.io")
        .into_iter()
        .map(|(verb, _)| (verb, "leases.coordination.k8s.io".to_owned()))
        .collect();
    granted.dedup();
    assert_eq!(used, granted);
}

#[test]
fn all_but_create_is_narrowed_to_the_locks_name() {
    let pairs = |pairs: &[(&str, bool)]| -> Vec<(String, bool)> {
        pairs
            .iter()
            .map(|&(verb, narrowed)| (verb.to_owned(), narrowed))
            .collect()
    };
    let lease = rbac_manifests(Kind::Lease, Some("nightly"), "shop", "worker");
    let expected = [
        ("create", false),
        ("get", true),
        ("update", true),
        ("watch", true),
    ];
    assert_eq!(
        verbs(&lease, "leases.coordination.k8s.io"),
        pairs(&expected)
    );
    assert_eq!(verbs(&lease, "pods"), []);
    for (kind, resource) in [
        (Kind::ConfigMap, "configmaps"),
        (Kind::LeaderLock, "leaderlocks.coralogix.com"),
    ] {
        let life = rbac_manifests(kind, Some("nightly"), "shop", "worker");
        let expected = [
            ("create", false),
            ("delete", true),
            ("get", true),
            ("update", true),
            ("watch", true),
        ];
        assert_eq!(verbs(&life, resource), pairs(&expected));
        assert_eq!(verbs(&life, "pods"), pairs(&[("get", false)]));
    }
}

#[test]
fn without_a_name_the_rights_hold_for_every_lock_of_the_kind() {
    let all = rbac_manifests(Kind::Lease, None, "shop", "worker");
    let verbs = verbs(&all, "leases.coordination.k8s.io");
    assert!(verbs.iter().all(|(_, narrowed)| !narrowed));
    assert_eq!(verbs.len(), 4);
}

#[test]
fn a_set_watches_the_whole_namespace_and_the_rest_stays_narrow() {
    let rights = Rights::new(Kind::Lease, "shop", "worker").set();
    let named = rights.clone().name("a").name("b").manifests();
    let expected = [
        ("create", false),
        ("get", true),
        ("update", true),
        ("watch", false),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(verb, narrow)| ((*verb).to_owned(), *narrow))
        .collect();
    assert_eq!(verbs(&named, "leases.coordination.k8s.io"), expected);
    let names = named[0]["rules"][0]["resourceNames"].clone();
    assert_eq!(names, json!(["a", "b"]));
    let all = verbs(&rights.manifests(), "leases.coordination.k8s.io");
    assert!(
        all.len() == 4 && all.iter().all(|(_, narrowed)| !narrowed),
        "{all:?}"
    );
    assert!(rights.yaml().contains("cannot be narrowed"));
    let life = Rights::new(Kind::ConfigMap, "shop", "worker").name("a");
    assert_eq!(life.clone().set(), life, "there are sets of Leases only");
}

#[test]
fn a_binding_binds_the_role_to_the_service_account_of_its_own_namespace() {
    for (account, namespace) in [("worker", "shop"), ("other:worker", "other")] {
        let manifests = rbac_manifests(Kind::Lease, Some("nightly"), "shop", account);
        let [role, binding] = manifests.as_slice() else {
            panic!("{manifests:?}")
        };
        assert_eq!(role["metadata"]["namespace"], "shop");
        assert_eq!(binding["metadata"]["namespace"], "shop");
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        let subject = json!([{"kind": "ServiceAccount", "name": "worker", "namespace": namespace}]);
        assert_eq!(binding["subjects"], subject);
    }
}

#[test]
fn the_rights_of_one_account_or_lock_do_not_replace_those_of_another() {
    let of = |rights: Rights| rights.manifests()[1]["metadata"]["name"].clone();
    let lease = |account: &str| Rights::new(Kind::Lease, "shop", account);
    let names = [
        of(lease("worker")),
        of(lease("worker").set()),
        of(lease("worker").name("nightly")),
        of(lease("other").name("nightly")),
        of(lease("far:worker").name("nightly")),
        of(lease("worker").name("nightly").name("hourly")),
        of(lease("worker").name("nightly").name("weekly")),
        of(Rights::new(Kind::ConfigMap, "shop", "worker").name("nightly")),
    ];
    for (at, name) in names.iter().enumerate() {
        assert!(!names[at + 1..].contains(name), "{names:?}");
    }
    let more = of(lease("worker").name("nightly").events());
    assert_eq!(more, names[2], "more rights for the same replace them");
}

#[test]
fn the_yaml_reads_back_as_the_manifests_whatever_the_names_look_like() {
    for name in ["nightly", "no", "1e3", "0x10", "null", "a.b-c", "yes: # no"] {
        let rights = Rights::new(Kind::ConfigMap, "shop", "true").name(name);
        let read: Vec<Value> = serde_saphyr::from_multiple(&rights.yaml()).unwrap();
        assert_eq!(read, rights.manifests(), "{name}");
    }
    let pods = Rights::new(Kind::Lease, "shop", "worker").read_pods(true);
    assert_eq!(
        verbs(&pods.manifests(), "pods"),
        [("get".to_owned(), false)]
    );
}

#[tokio::test(start_paused = true)]
async fn the_definition_is_installed_once_and_left_alone_afterwards() {
    let server = server();
    let client = kube::Client::new(server.service(), "default");
    assert_eq!(crd::install_crd(&client).await, Ok(Installed::Created));
    let resource = "customresourcedefinitions.apiextensions.k8s.io";
    let installed = server.object(resource, "", crd::CRD_NAME).unwrap();
    assert_eq!(installed["spec"]["names"]["shortNames"], json!(["ll"]));
    assert_eq!(crd::install_crd(&client).await, Ok(Installed::AlreadyThere));
    assert_eq!(server.object(resource, "", crd::CRD_NAME), Some(installed));
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_may_not_be_installed_is_refused_with_the_missing_right() {
    let server = server();
    server.deny_user("create", "customresourcedefinitions", "jane");
    let client = kube::Client::new(server.service_as("jane"), "default");
    match crd::install_crd(&client).await {
        Err(error @ CrdError::Refused(_)) => {
            let text = error.to_string();
            assert!(text.contains("kubectl create clusterrole"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn installing_ends_when_the_server_does_not_answer() {
    let server = server();
    server.set_reachable(false);
    let client = kube::Client::new(server.service(), "default");
    let began = tokio::time::Instant::now();
    let result = crd::install_crd(&client).await;
    assert!(matches!(result, Err(CrdError::NotServed(_))), "{result:?}");
    assert!(began.elapsed() <= crd::INSTALL_LIMIT + S);
}

//! Writes, their order, and the rules of replaces.

mod common;

use std::collections::BTreeSet;

use common::{CRDS, LEASES, LOCKS, MAPS, delete, get, leader_locks, lease, map, merge, post, put};
use http::StatusCode;
use serde_json::{Value, json};
use tenure_apiserver::{ApiServer, TokioClock};

#[tokio::test]
async fn one_revision_counts_the_writes_of_all_resources() {
    let server = ApiServer::new();
    let before = server.revision();
    let (_, a) = post(&server, LEASES, lease("a", "x")).await;
    let (_, b) = post(&server, MAPS, map("b")).await;
    assert_eq!(
        a["metadata"]["resourceVersion"],
        json!((before + 1).to_string())
    );
    assert_eq!(
        b["metadata"]["resourceVersion"],
        json!((before + 2).to_string())
    );
    let (_, list) = get(&server, LEASES).await;
    assert_eq!(
        list["metadata"]["resourceVersion"],
        json!((before + 2).to_string())
    );
    assert!(
        list["items"][0]["kind"].is_null(),
        "items of built-in lists carry no kind"
    );
}

#[tokio::test]
async fn equal_seeds_give_equal_objects() {
    let mut seen = BTreeSet::new();
    for seed in [7, 7, 8] {
        let clock = TokioClock::from_epoch_seconds(1_700_000_000);
        let server = ApiServer::builder().seed(seed).clock(clock).build();
        let (_, created) = post(&server, MAPS, json!({"metadata": {"generateName": "x-"}})).await;
        seen.insert(created.to_string());
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_create_of_what_exists_and_a_stale_replace_are_told_apart_by_their_reason() {
    let server = ApiServer::new();
    let (code, first) = post(&server, LEASES, lease("a", "x")).await;
    assert_eq!(code, StatusCode::CREATED);
    let (code, status) = post(&server, LEASES, lease("a", "x")).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("AlreadyExists"))
    );
    assert_eq!(
        status["message"],
        "leases.coordination.k8s.io \"a\" already exists"
    );

    let mut changed = first.clone();
    changed["spec"]["holderIdentity"] = json!("y");
    assert_eq!(
        put(&server, &format!("{LEASES}/a"), changed.clone())
            .await
            .0,
        StatusCode::OK
    );
    let (code, status) = put(&server, &format!("{LEASES}/a"), changed).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("Conflict"))
    );
    assert_eq!(
        status["message"],
        "Operation cannot be fulfilled on leases.coordination.k8s.io \"a\": the object has been \
         modified; please apply your changes to the latest version and try again"
    );
}

#[tokio::test]
async fn an_equal_replace_does_not_move_the_resource_version() {
    let server = ApiServer::new();
    let (_, first) = post(&server, LEASES, lease("a", "x")).await;
    let before = server.revision();
    let (code, second) = put(&server, &format!("{LEASES}/a"), first.clone()).await;
    assert_eq!((code, second), (StatusCode::OK, first));
    assert_eq!(server.revision(), before);
}

#[tokio::test]
async fn replaces_follow_the_rules_of_their_kind() {
    let server = ApiServer::new();
    post(&server, LEASES, lease("a", "x")).await;
    post(&server, MAPS, map("a")).await;

    // Without a resourceVersion: refused for leases, an overwrite for config maps.
    let (code, status) = put(&server, &format!("{LEASES}/a"), lease("a", "y")).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        status["message"],
        "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: \
         must be specified for an update"
    );
    let (code, _) = put(
        &server,
        &format!("{MAPS}/a"),
        json!({"metadata": {"name": "a"}}),
    )
    .await;
    assert_eq!(code, StatusCode::OK);
    assert!(get(&server, &format!("{MAPS}/a")).await.1["data"].is_null());

    // Of what does not exist: creates a lease, but no config map.
    assert_eq!(
        put(&server, &format!("{LEASES}/n"), lease("n", "x"))
            .await
            .0,
        StatusCode::CREATED
    );
    assert_eq!(
        put(&server, &format!("{MAPS}/n"), map("n")).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_replace_of_a_deleted_lease_is_a_conflict_with_its_uid_and_creates_without() {
    let server = ApiServer::new();
    let path = format!("{LEASES}/a");
    let (_, old) = post(&server, LEASES, lease("a", "x")).await;
    delete(&server, &path, Value::Null).await;

    let (code, status) = put(&server, &path, old.clone()).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("Conflict"))
    );
    let uid = old["metadata"]["uid"].as_str().unwrap();
    let told = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
    assert!(
        status["message"].as_str().unwrap().ends_with(&told),
        "{status}"
    );

    // The next object of that name has another uid: the old one's is still refused.
    post(&server, LEASES, lease("a", "z")).await;
    let (code, status) = put(&server, &path, old.clone()).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("Conflict"))
    );

    delete(&server, &path, Value::Null).await;
    let mut without_uid = old;
    without_uid["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("uid");
    assert_eq!(
        put(&server, &path, without_uid).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn of_many_concurrent_replaces_of_one_version_one_wins() {
    let server = ApiServer::new();
    let (_, first) = post(&server, LEASES, lease("a", "x")).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (server, mut mine) = (server.clone(), first.clone());
        mine["spec"]["holderIdentity"] = json!(format!("candidate-{n}"));
        tasks.spawn(async move { put(&server, &format!("{LEASES}/a"), mine).await.0 });
    }
    let codes = tasks.join_all().await;
    assert_eq!(
        codes.iter().filter(|code| **code == StatusCode::OK).count(),
        1
    );
    assert_eq!(
        codes
            .iter()
            .filter(|code| **code == StatusCode::CONFLICT)
            .count(),
        49
    );
}

#[tokio::test]
async fn leases_are_validated_and_brought_into_form() {
    let server = ApiServer::new();
    for (field, value, code) in [
        ("leaseDurationSeconds", json!(0), 422),
        ("leaseTransitions", json!(-1), 422),
        ("leaseTransitions", json!(2_147_483_648_i64), 400),
        ("leaseTransitions", json!(2_147_483_647), 201),
        ("renewTime", json!("2024-01-02T03:04:05Z"), 400),
        ("holderIdentity", json!(5), 400),
    ] {
        let mut body = lease("a", "x");
        body["spec"][field] = value.clone();
        let (given, answer) = post(&server, LEASES, body).await;
        assert_eq!(given.as_u16(), code, "{field}: {value}: {answer}");
    }

    let mut odd = lease("odd", "x");
    odd["spec"]["renewTime"] = json!("2024-01-02T03:04:05.123456+02:00");
    odd["spec"]["acquireTime"] = Value::Null;
    odd["spec"]["unknown"] = json!(1);
    let (code, stored) = post(&server, LEASES, odd.clone()).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(
        stored["spec"],
        json!({
            "holderIdentity": "x", "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "renewTime": "2024-01-02T01:04:05.123456Z",
        })
    );
    let (code, status) = post(&server, &format!("{LEASES}?fieldValidation=Strict"), odd).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert_eq!(
        status["message"],
        "Lease in version \"v1\" cannot be handled as a Lease: strict decoding error: unknown \
         field \"spec.unknown\""
    );
}

#[tokio::test]
async fn custom_resources_live_and_die_with_their_definition() {
    let server = ApiServer::new();
    let lock = json!({
        "apiVersion": "coralogix.com/v1", "kind": "LeaderLock", "metadata": {"name": "a"},
        "spec": {"pruned": true},
    });
    let (code, text) = post(&server, LOCKS, lock.clone()).await;
    assert_eq!(
        (code, text),
        (StatusCode::NOT_FOUND, json!("404 page not found\n"))
    );

    assert_eq!(
        post(&server, CRDS, leader_locks()).await.0,
        StatusCode::CREATED
    );
    let definition = format!("{CRDS}/leaderlocks.coralogix.com");
    let (_, established) = get(&server, &definition).await;
    assert_eq!(
        established["status"]["conditions"][1]["type"],
        "Established"
    );

    let (code, stored) = post(&server, LOCKS, lock).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(
        (&stored["spec"], &stored["metadata"]["generation"]),
        (&json!({}), &json!(1))
    );
    let (code, _) = merge(
        &server,
        &format!("{LOCKS}/a"),
        json!({"metadata": {"labels": {"x": "y"}}}),
    )
    .await;
    assert_eq!(code, StatusCode::OK);
    let (_, kept) = get(&server, &format!("{LOCKS}/a")).await;
    assert_eq!(kept["metadata"]["generation"], 1, "metadata does not count");
    let mut without_version = kept;
    without_version["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let (code, _) = put(&server, &format!("{LOCKS}/a"), without_version).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);

    delete(&server, &definition, Value::Null).await;
    assert_eq!(get(&server, &definition).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&server, LOCKS).await.1, json!("404 page not found\n"));
    assert_eq!(
        server.object("leaderlocks.coralogix.com", "default", "a"),
        None
    );
}

#[tokio::test]
async fn a_dry_run_leaves_everything_as_it_is() {
    let server = ApiServer::new();
    let before = server.revision();
    let (code, _) = post(&server, &format!("{MAPS}?dryRun=All"), map("a")).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(
        get(&server, &format!("{MAPS}/a")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(server.revision(), before);
}

#[tokio::test]
async fn lists_can_be_read_in_pages_and_as_they_were() {
    let server = ApiServer::new();
    for name in ["a", "b", "c"] {
        post(&server, MAPS, map(name)).await;
    }
    let then = server.revision();
    let (_, page) = get(&server, &format!("{MAPS}?limit=2")).await;
    delete(&server, &format!("{MAPS}/c"), Value::Null).await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&page), ["a", "b"]);
    let next = page["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = get(&server, &format!("{MAPS}?limit=2&continue={next}")).await;
    assert_eq!(names(&rest), ["c"], "pages show one moment");
    let exact = format!("{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact");
    assert_eq!(names(&get(&server, &exact).await.1), ["a", "b", "c"]);
    server.compact(server.revision());
    let (code, status) = get(&server, &exact).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::GONE, &json!("Expired"))
    );
}

#[tokio::test]
async fn a_restore_takes_resource_versions_back_and_ends_watches() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    let server = ApiServer::new();
    let (_, made) = post(&server, LEASES, lease("a", "x")).await;
    let copy = server.snapshot();
    assert_eq!(copy.revision(), server.revision());
    let request = http::Request::get(format!("{LEASES}?watch=true"))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let watch = server.service().oneshot(request).await.unwrap();
    post(&server, LEASES, lease("b", "y")).await;
    let written = server.revision();

    server.restore(&copy);
    assert_eq!(server.revision(), copy.revision());
    let (code, there) = get(&server, &format!("{LEASES}/a")).await;
    assert_eq!((code, &there), (StatusCode::OK, &made));
    let (code, _) = get(&server, &format!("{LEASES}/b")).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    // The watch ends instead of going on in another history.
    let shown = watch.into_body().collect().await.unwrap().to_bytes();
    assert!(!shown.is_empty());
    post(&server, LEASES, lease("c", "z")).await;
    assert_eq!(server.revision(), written, "a resourceVersion comes again");
}

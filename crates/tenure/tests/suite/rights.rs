//! The least rights, and each of them taken away.

use serde_json::{Value, json};
use tenure::{ContextInfo, Kind, Status, rbac::Rights};
use tenure_harness::{PodOptions, TestServer};

use super::{LOCK, S, World, status, within};

const ACCOUNT: &str = "candidate";

/// A candidate with exactly the rights that `rbac` writes leads; with one verb fewer its status
/// names the missing right and the command that grants it.
pub(crate) async fn least_rights(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    server
        .create_service_account(&world.namespace, ACCOUNT)
        .await
        .unwrap();
    let rights = Rights::new(kind, &world.namespace, ACCOUNT).name(LOCK);
    server
        .apply_yaml(&world.namespace, &rights.yaml())
        .await
        .unwrap();
    let options = PodOptions::default()
        .containers(["main"])
        .service_account(ACCOUNT)
        .scheduler_name("nobody");
    let pod = server
        .create_pod(&world.namespace, "a", &options)
        .await
        .unwrap();
    let pod = world.own_pod(&pod);
    let config = server
        .service_account_config(&world.namespace, ACCOUNT, Some("a"))
        .await
        .unwrap();
    let context = ContextInfo::outside(&world.namespace, "a").with_pod(pod);
    let build = || {
        world
            .builder()
            .build(config.clone(), context.clone())
            .unwrap()
    };

    let election = build();
    let stand = tokio::spawn({
        let election = election.clone();
        async move { election.acquire().await.unwrap() }
    });
    let (leader, _) = within(10 * S, "with the least rights", stand).await;
    tokio::time::sleep(2 * S).await;
    assert!(leader.is_leading(), "it renews with them too");
    leader.release().await;
    drop(election);

    for (rule, verb) in required(kind) {
        let fewer = without(&rights.manifests(), rule, verb);
        for object in fewer {
            server.apply(&world.namespace, object).await.unwrap();
        }
        if verb == "create" && kind == Kind::Lease {
            // Only where there is none does anybody create one.
            world.delete_lock().await;
        }
        let election = build();
        let stand = tokio::spawn({
            let election = election.clone();
            async move { election.acquire().await }
        });
        let seen = status(&election, 10 * S, &format!("without {verb}"), |status| {
            matches!(
                status,
                Status::Standby { error: Some(_), .. } | Status::Jeopardy { .. }
            )
        })
        .await;
        let (Status::Standby {
            error: Some(error), ..
        }
        | Status::Jeopardy { error, .. }) = seen
        else {
            unreachable!()
        };
        assert!(error.contains(verb), "{verb}: {error}");
        assert!(error.contains("tenure rbac"), "{verb}: {error}");
        stand.abort();
        server
            .apply_yaml(&world.namespace, &rights.yaml())
            .await
            .unwrap();
    }
}

/// The verbs without which nobody leads: the resource's plural, and the verb.
fn required(kind: Kind) -> Vec<(&'static str, &'static str)> {
    match kind {
        Kind::Lease => vec![
            ("leases", "get"),
            ("leases", "create"),
            ("leases", "update"),
        ],
        Kind::ConfigMap => vec![("configmaps", "get"), ("configmaps", "create")],
        _ => vec![("leaderlocks", "get"), ("leaderlocks", "create")],
    }
}

fn without(manifests: &[Value], plural: &str, verb: &str) -> Vec<Value> {
    let mut manifests: Vec<Value> = manifests
        .iter()
        .filter(|object| object["kind"] == "Role")
        .cloned()
        .collect();
    for rule in manifests
        .iter_mut()
        .flat_map(|role| role["rules"].as_array_mut().into_iter().flatten())
    {
        if rule["resources"] == json!([plural])
            && let Some(verbs) = rule["verbs"].as_array_mut()
        {
            verbs.retain(|granted| granted != verb);
        }
    }
    for role in &mut manifests {
        if let Some(rules) = role["rules"].as_array_mut() {
            rules.retain(|rule| rule["verbs"] != json!([]));
        }
    }
    manifests
}

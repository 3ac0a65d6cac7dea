//! Leader for life over the embedded server, on virtual time: both kinds of lock.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;

use std::time::Duration;

use embedded::{POD_LIST, S, call, server, stands};
use kube::Client;
use serde_json::{Value, json};
use tenure::{
    Builder, ContextInfo, ElectionError, LeaderElection, Leadership, LossReason, Released,
    SettingsError, Status, clock, context_info::OwnPod, crd,
};
use tenure_apiserver::{ApiServer, Fault, FaultAction, Gc};

const KINDS: [&str; 2] = ["configmaps", "leaderlocks.coralogix.com"];

struct World {
    server: ApiServer,
    people: Client,
    kind: &'static str,
}

impl World {
    async fn new(kind: &'static str) -> Self {
        Self::with(kind, Gc::Immediate).await
    }

    async fn with(kind: &'static str, gc: Gc) -> Self {
        let server = embedded::builder().gc(gc).build();
        let people = Client::new(server.service(), "default");
        crd::install_crd(&people).await.unwrap();
        Self {
            server,
            people,
            kind,
        }
    }

    async fn pod(&self, name: &str) -> OwnPod {
        let pod = json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "main", "image": "none"}], "restartPolicy": "Never"},
        });
        let made = self.send("POST", POD_LIST, &pod).await;
        let uid = made["metadata"]["uid"].as_str().unwrap();
        OwnPod::new("default", name, uid)
            .with_containers(&["main"])
            .with_container("main")
    }

    fn builder(&self) -> Builder {
        match self.kind {
            "configmaps" => LeaderElection::config_map_lock("reports"),
            _ => LeaderElection::leader_lock("reports"),
        }
        .clock(clock::tokio_clock())
    }

    fn candidate(&self, pod: &OwnPod, seed: u64) -> LeaderElection {
        let context = ContextInfo::outside("default", pod.name()).with_pod(pod.clone());
        let client = Client::new(self.server.service_as(pod.name()), "default");
        self.builder()
            .seed(seed)
            .build_over(client, context)
            .unwrap()
    }

    fn lock(&self) -> Option<Value> {
        self.server.object(self.kind, "default", "reports")
    }

    fn lock_path(&self) -> &'static str {
        match self.kind {
            "configmaps" => "/api/v1/namespaces/default/configmaps/reports",
            _ => "/apis/coralogix.com/v1/namespaces/default/leaderlocks/reports",
        }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        call(&self.server, method, path, body).await
    }

    async fn force_delete_pod(&self, name: &str) {
        let path = format!("{POD_LIST}/{name}");
        self.send("DELETE", &path, &json!({"gracePeriodSeconds": 0}))
            .await;
    }
}

async fn within(limit: Duration, waiting: tokio::task::JoinHandle<Leadership>) -> Leadership {
    tokio::time::timeout(limit, waiting)
        .await
        .expect("in time")
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_leads_for_life_and_hands_over_when_it_gives_up() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let (one, two) = (world.pod("p").await, world.pod("q").await);
        let (a, b) = (world.candidate(&one, 1), world.candidate(&two, 2));
        let first = a.acquire().await.unwrap();
        assert_eq!((first.valid_until(), first.term()), (None, 0));
        let owner = &world.lock().unwrap()["metadata"]["ownerReferences"][0];
        assert_eq!(owner["uid"], one.uid(), "F1");
        assert!(owner.get("controller").is_none(), "F1");
        let waiting = stands(&b);
        tokio::time::sleep(3600 * S).await;
        assert!(first.is_leading() && !waiting.is_finished());
        assert!(
            matches!(&*b.status().borrow(), Status::Standby { holder: Some(h), .. } if *h.identity == *"p")
        );
        let token = first.token().clone();
        first.release().await;
        let second = within(S, waiting).await;
        assert!(second.token().newer_than(&token));
        second.release().await;
        assert_eq!(world.lock(), None, "F10");
    }
}

#[tokio::test(start_paused = true)]
async fn f8_a_dead_pod_frees_the_lock_with_the_collector_and_without() {
    for kind in KINDS {
        for gc in [Gc::Immediate, Gc::Off] {
            let world = World::with(kind, gc).await;
            let (one, two) = (world.pod("p").await, world.pod("q").await);
            let (a, b) = (world.candidate(&one, 1), world.candidate(&two, 2));
            let first = a.acquire().await.unwrap();
            let waiting = stands(&b);
            tokio::time::sleep(100 * S).await;
            assert!(first.is_leading());
            world.force_delete_pod("p").await;
            let limit = if matches!(gc, Gc::Off) { 31 * S } else { S };
            let second = within(limit, waiting).await;
            tokio::task::yield_now().await;
            assert!(second.is_leading());
            assert!(!first.is_leading(), "F6");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f2_a_pod_of_the_same_name_and_another_uid_is_somebody_else() {
    for kind in KINDS {
        let world = World::with(kind, Gc::Off).await;
        let p = world.pod("p").await;
        let first = world.candidate(&p, 1).acquire().await.unwrap();
        world.force_delete_pod("p").await;
        let again = world.pod("p").await;
        assert_ne!(p.uid(), again.uid());
        let second = within(31 * S, stands(&world.candidate(&again, 2))).await;
        assert!(second.is_leading());
        tokio::time::sleep(S).await;
        assert!(!first.is_leading());
        let log = world.server.writes();
        assert!(
            log.iter()
                .any(|w| w.verb == "delete" && w.name == "reports"),
            "F8, not F3"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn f6_a_lock_deleted_or_re_owned_by_hand_ends_leadership_at_once() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let p = world.pod("p").await;
        let first = world.candidate(&p, 1).acquire().await.unwrap();
        world.send("DELETE", world.lock_path(), &json!({})).await;
        assert_eq!(first.lost().await, LossReason::Deleted);
        assert!(!first.is_leading());

        let second = world.candidate(&p, 2).acquire().await.unwrap();
        let thief = json!({"metadata": {
            "annotations": {"tenure.dev/owner": null},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "thief", "uid": "x"}],
        }});
        world.send("PATCH", world.lock_path(), &thief).await;
        assert_eq!(second.lost().await, LossReason::TakenBy("thief".into()));
        assert!(!second.is_leading());
    }
}

#[tokio::test(start_paused = true)]
async fn f4_a_create_whose_answer_is_lost_is_settled_by_a_read() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let p = world.pod("p").await;
        world.server.inject(
            Fault::new(FaultAction::LoseAnswer)
                .verb("create")
                .user("p")
                .times(1),
        );
        let leadership = within(10 * S, stands(&world.candidate(&p, 1))).await;
        assert!(leadership.is_leading());
    }
}

#[tokio::test(start_paused = true)]
async fn f9_a_container_that_ended_for_good_frees_the_lock_and_nothing_less_does() {
    let world = World::with("configmaps", Gc::Off).await;
    let p = world.pod("p").await.with_container_id("containerd://1");
    let q = world.pod("q").await;
    let first = world.candidate(&p, 1).acquire().await.unwrap();
    let waiting = stands(&world.candidate(&q, 2));
    let ended = |id: &str, reason: &str| {
        json!({"status": {"phase": "Failed", "containerStatuses": [{
            "name": "main", "image": "none", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"containerID": id, "reason": reason, "exitCode": 137,
                "finishedAt": "2024-01-01T00:00:00Z", "startedAt": "2024-01-01T00:00:00Z"}},
        }]}})
    };
    let status = "/api/v1/namespaces/default/pods/p/status";
    for no_proof in [
        json!({"status": {"phase": "Failed", "reason": "NodeLost"}}),
        ended("containerd://other", "Error"),
        ended("containerd://1", "ContainerStatusUnknown"),
    ] {
        world.send("PATCH", status, &no_proof).await;
        tokio::time::sleep(120 * S).await;
        assert!(first.is_leading() && !waiting.is_finished(), "{no_proof}");
    }
    world
        .send("PATCH", status, &ended("containerd://1", "OOMKilled"))
        .await;
    let second = within(31 * S, waiting).await;
    assert!(second.is_leading());
}

#[tokio::test(start_paused = true)]
async fn f11_somebodys_configuration_is_never_taken_over_or_deleted() {
    let world = World::new("configmaps").await;
    let theirs = json!({"metadata": {"name": "reports"}, "data": {"config.yaml": "precious"}});
    let made = world
        .send("POST", "/api/v1/namespaces/default/configmaps", &theirs)
        .await;
    let waiting = stands(&world.candidate(&world.pod("p").await, 1));
    tokio::time::sleep(3600 * S).await;
    assert!(!waiting.is_finished());
    assert_eq!(world.lock().unwrap(), made);
}

#[tokio::test(start_paused = true)]
async fn f10_a_lock_that_is_kept_is_taken_up_again_by_its_own_process_with_a_newer_token() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let p = world.pod("p").await;
        let context = ContextInfo::outside("default", "p").with_pod(p);
        let client = Client::new(world.server.service(), "default");
        let election = world
            .builder()
            .delete_lock_on_release(false)
            .build_over(client, context)
            .unwrap();
        let first = election.acquire().await.unwrap();
        let token = first.token().clone();
        first.release().await;
        assert!(world.lock().is_some());
        let second = within(5 * S, stands(&election)).await;
        assert!(second.token().newer_than(&token), "F3: by a replace");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_definition_is_waited_for() {
    let server = server();
    let people = Client::new(server.service(), "default");
    let world = World {
        server,
        people,
        kind: "leaderlocks.coralogix.com",
    };
    let waiting = stands(&world.candidate(&world.pod("p").await, 1));
    tokio::time::sleep(300 * S).await;
    assert!(!waiting.is_finished());
    crd::install_crd(&world.people).await.unwrap();
    assert!(within(31 * S, waiting).await.is_leading());
}

#[tokio::test]
async fn without_an_own_pod_it_is_refused_with_what_to_add() {
    let server = ApiServer::builder().build();
    let client = || Client::new(server.service(), "default");
    let outside = ContextInfo::outside("default", "laptop");
    let error = LeaderElection::config_map_lock("a")
        .build_over(client(), outside)
        .unwrap_err();
    assert!(matches!(error, ElectionError::Context(_)), "{error:?}");
    assert!(error.to_string().contains("with_pod"), "{error}");

    let elsewhere = ContextInfo::outside("default", "p").with_pod(OwnPod::new("default", "p", "u"));
    let error = LeaderElection::config_map_lock("a")
        .namespace("other")
        .build_over(client(), elsewhere)
        .unwrap_err();
    assert!(
        matches!(
            error,
            ElectionError::Settings(SettingsError::NotThePodsNamespace { .. })
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_delete_a_release_says_so_and_the_collector_frees_the_lock() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let (one, two) = (world.pod("p").await, world.pod("q").await);
        let first = world.candidate(&one, 1).acquire().await.unwrap();
        world.server.deny("delete", kind.split('.').next().unwrap());
        let released = tokio::time::timeout(120 * S, first.release())
            .await
            .unwrap();
        assert!(
            matches!(&released, Released::Failed(why) if why.contains("delete")),
            "{released:?}"
        );
        assert!(world.lock().is_some());
        let waiting = stands(&world.candidate(&two, 2));
        world.force_delete_pod("p").await;
        assert!(within(31 * S, waiting).await.is_leading());
    }
}

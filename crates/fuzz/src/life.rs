//! Locks for life and Pods from strangers (F4, F5, F8, F9, F11): what is no lock is not touched, a
//! lock is deleted only by its version and only when its owner is certainly gone, and whatever
//! stood there, a candidate leads once the place is free.

use std::time::Duration;

use serde_json::{Value, json};
use tenure::{ContextInfo, LeaderElection, Leadership, context_info::OwnPod};
use tokio::time::Instant;

use crate::{
    choices::Choices,
    stage::{Book, LOCK, Play, STEPS, Shared, version},
    strange,
    world::{self, Answer, Asked},
};

const MARK: &str = "/metadata/annotations/tenure.dev~1owner";
const PODS: &str = "/api/v1/namespaces/shop/pods/";
const MY_UID: &str = "uid-of-me";
/// Pauses are 30 s at most, and calls have 10 s.
const FREE_TO_LEADING: Duration = Duration::from_secs(120);

pub(crate) fn run(input: &[u8]) {
    world::tell(story(Choices::new(input)));
}

async fn story(choices: Choices) {
    let setting = choices.byte();
    let stage = Shared::new(LifePlay::new(setting & 1 == 1), choices.clone());
    if setting & 2 == 2 {
        stage.lock().strangers_turn();
    }
    let election = candidate(&stage, setting);
    let mut leadership: Option<Leadership> = None;
    for _ in 0..24 {
        if choices.is_over() {
            break;
        }
        match choices.below(8) {
            0..=2 => stage.lock().strangers_turn(),
            3 => stage.lock().strange_event(),
            4 => leave(&choices, &mut leadership).await,
            _ => {}
        }
        let step = choices.one_of(&STEPS);
        live_through(step, &election, &mut leadership, &stage).await;
    }
    drop(leadership.take());
    {
        let mut stage = stage.lock();
        stage.quiet = true;
        stage.choices.finish();
        // Somebody tidies up.
        stage.remove();
    }
    let until = Instant::now() + FREE_TO_LEADING;
    while Instant::now() < until {
        let second = Duration::from_secs(1);
        live_through(second, &election, &mut leadership, &stage).await;
        if leadership.as_ref().is_some_and(|l| l.is_leading()) {
            return;
        }
    }
    panic!("no leader within {FREE_TO_LEADING:?} of a free place");
}

fn candidate(stage: &Shared<LifePlay>, setting: u8) -> LeaderElection {
    let mut pod = OwnPod::new("shop", "me", MY_UID);
    if setting & 4 == 4 {
        pod = pod.with_container("main").with_container_id("c0ffee");
    }
    if setting & 8 == 8 {
        pod = pod.with_containers(&["main"]);
    }
    let builder = if stage.lock().play.config_map {
        LeaderElection::config_map_lock(LOCK)
    } else {
        LeaderElection::leader_lock(LOCK)
    };
    let election = builder
        .clock(world::clock(4_000))
        .seed(1)
        .label("fuzz", "yes")
        .delete_lock_on_release(setting & 16 == 0)
        .build_over(
            stage.client(),
            ContextInfo::outside("shop", "me").with_pod(pod),
        );
    match election {
        Ok(election) => election,
        Err(error) => panic!("no election: {error}"),
    }
}

async fn live_through(
    time: Duration,
    election: &LeaderElection,
    leadership: &mut Option<Leadership>,
    stage: &Shared<LifePlay>,
) {
    let end = Instant::now() + time;
    if leadership.is_none() {
        match tokio::time::timeout_at(end, election.acquire()).await {
            Ok(Ok(gained)) => *leadership = Some(gained),
            Ok(Err(error)) => panic!("the election has ended: {error}"),
            Err(_) => {}
        }
    }
    if let Some(held) = leadership.as_ref().filter(|held| held.is_leading()) {
        let token = held.token().as_str();
        let known = &stage.lock().play.known;
        assert!(
            known.iter().any(|version| version == token),
            "leads by {token}, which is no version of an own write"
        );
    }
    tokio::time::sleep_until(end).await;
    if leadership.as_ref().is_some_and(|held| !held.is_leading()) {
        let over = leadership.take();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(
            over.is_none_or(|held| !held.is_leading()),
            "a lost term has come back (L9)"
        );
    }
}

async fn leave(choices: &Choices, leadership: &mut Option<Leadership>) {
    let Some(held) = leadership.take() else {
        return;
    };
    match choices.below(4) {
        0 => {
            let within = Duration::from_secs(300);
            let released = tokio::time::timeout(within, held.release()).await;
            assert!(released.is_ok(), "a release has no end");
        }
        1 => drop(held.release()),
        2 => {
            held.step_down();
            *leadership = Some(held);
        }
        _ => held.abandon(),
    }
}

/// What a story about a lock for life remembers.
struct LifePlay {
    config_map: bool,
    writes: Vec<Value>,
    known: Vec<String>,
    /// Pods that were read, by name: the uid that came, or none where they may be gone for good.
    pods: Vec<(String, Option<String>)>,
    others: u32,
}

impl LifePlay {
    fn new(config_map: bool) -> Self {
        Self {
            config_map,
            writes: Vec::new(),
            known: Vec::new(),
            pods: Vec::new(),
            others: 0,
        }
    }
}

impl Play for LifePlay {
    fn collection(&self) -> &str {
        if self.config_map {
            "/api/v1/namespaces/shop/configmaps"
        } else {
            "/apis/coralogix.com/v1/namespaces/shop/leaderlocks"
        }
    }

    fn check_write(&mut self, book: &Book, asked: &Asked) {
        let body = asked.json();
        if asked.method == http::Method::POST {
            let metadata = &body["metadata"];
            assert!(metadata.get("uid").is_none() && metadata.get("resourceVersion").is_none());
            assert!(body.get("data").is_none(), "{body}");
            self.writes.push(body);
            return;
        }
        let wanted = match asked.method.as_str() {
            "DELETE" => json!({"metadata": body["preconditions"]}),
            "PUT" => body.clone(),
            other => panic!("{other} of a lock for life"),
        };
        let Some(version) = version(&wanted) else {
            panic!(
                "{} without uid and resourceVersion (F5): {body}",
                asked.method
            );
        };
        let states = book.states(&version);
        assert!(!states.is_empty(), "{version:?} was never shown (F5)");
        assert!(
            states.iter().any(|state| not_a_lock(state).is_none()),
            "what is no lock is touched (F11): {} over {states:?}",
            asked.method
        );
        if asked.method == http::Method::PUT {
            let kept = of_others(&body);
            assert!(
                states.iter().any(|state| of_others(state) == kept),
                "what others had put there is lost: {body}, over {states:?}"
            );
            assert!(
                states.iter().any(|state| owner(state).1 == MY_UID),
                "another Pod's lock is replaced (F3): {states:?}"
            );
            self.writes.push(body);
        } else {
            // F8, F9: another Pod's lock only after something was said about that Pod.
            let may_go = states.iter().any(|state| {
                let (name, uid) = owner(state);
                let gone = |(read, found): &(String, Option<String>)| {
                    let same = *read == name || read.contains('%');
                    same && found.as_deref() != Some(uid.as_str())
                };
                uid == MY_UID || !uid.is_empty() && self.pods.iter().any(gone)
            });
            assert!(may_go, "a lock is deleted whose owner may live: {states:?}");
        }
    }

    fn shown(&mut self, object: &Value) {
        let Some((_, revision)) = version(object) else {
            return;
        };
        let mark = object.pointer(MARK);
        if mark.is_some() && self.writes.iter().any(|write| write.pointer(MARK) == mark) {
            self.known.push(revision);
        }
    }

    fn applied(&mut self, _: &Asked, object: &Value) {
        // Any 2xx to an own write: what else was stored is judged by what the leader does then.
        self.known
            .extend(version(object).map(|(_, revision)| revision));
    }

    fn strange_state(
        &mut self,
        choices: &Choices,
        now: Option<&Value>,
        past: &[Value],
    ) -> Option<Value> {
        let mut object = now.cloned().unwrap_or_else(|| {
            let (api, kind) = if self.config_map {
                ("v1", "ConfigMap")
            } else {
                ("coralogix.com/v1", "LeaderLock")
            };
            json!({
                "apiVersion": api, "kind": kind,
                "metadata": {"name": LOCK, "namespace": "shop"},
            })
        });
        match choices.below(12) {
            0 => return None,
            1 | 2 => strange::mangle(choices, &mut object, self.places()),
            3 | 4 => self.take(choices, &mut object, "other-0", "uid-of-other"),
            5 => self.take(choices, &mut object, "me", MY_UID),
            6 => {
                // As other implementations write it.
                strange::put(&mut object, "/metadata/annotations", json!({}));
                let name = choices.one_of(&["other-1", "me"]);
                let uid = if name == "me" { MY_UID } else { "uid-of-other" };
                let owner = json!([{
                    "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid,
                    "controller": true, "blockOwnerDeletion": true,
                }]);
                strange::put(&mut object, "/metadata/ownerReferences", owner);
            }
            7 => object["data"] = json!({"config.yaml": "x"}),
            8 => {
                let owner = json!([
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"},
                ]);
                strange::put(&mut object, "/metadata/ownerReferences", owner);
            }
            9 => {
                let time = json!("2026-01-01T00:00:00Z");
                strange::put(&mut object, "/metadata/deletionTimestamp", time);
                strange::put(&mut object, "/metadata/finalizers", json!(["f/f"]));
            }
            10 => {
                let at = choices.below(past.len());
                object = past.get(at).cloned()?;
            }
            _ => {
                let label = json!(format!("{}", choices.byte()));
                strange::put(&mut object, "/metadata/labels/theirs", label);
            }
        }
        Some(object)
    }

    fn aside(&mut self, choices: &Choices, asked: &Asked, quiet: bool) -> Option<Answer> {
        let Some(name) = asked.path.strip_prefix(PODS) else {
            panic!("{} {}", asked.method, asked.path);
        };
        assert_eq!(asked.method, http::Method::GET);
        let uid = if name == "me" { MY_UID } else { "uid-of-other" };
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": "5"},
            "spec": {"restartPolicy": "Always", "containers": [{"name": "main"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "main", "state": {"running": {}}},
            ]},
        });
        let ended = json!({
            "containerID": "containerd://1", "reason": "Error", "exitCode": 1,
            "finishedAt": "2026-01-01T00:00:00Z",
        });
        // At the end everybody else is gone.
        match if quiet { 1 } else { choices.below(10) } {
            0 => {}
            1 => {
                self.pods.push((name.to_owned(), None));
                return Some(world::answer(404, world::status(404, "NotFound", "pods")));
            }
            2 => {
                // It is not the Pod that is missing.
                let kind = choices.one_of(&["namespaces", "", "leases"]);
                return Some(world::answer(404, world::status(404, "NotFound", kind)));
            }
            3 => {
                self.pods.push((name.to_owned(), None));
                strange::put(&mut pod, "/metadata/uid", json!("uid-of-the-next"));
            }
            4 => {
                self.pods.push((name.to_owned(), None));
                strange::put(
                    &mut pod,
                    "/status/containerStatuses/0/state/terminated",
                    ended,
                );
                let policy = json!(choices.one_of(&["Never", "Always", "OnFailure", "New"]));
                strange::put(&mut pod, "/spec/restartPolicy", policy);
                let phase = json!(choices.one_of(&["Running", "Failed", "Succeeded"]));
                strange::put(&mut pod, "/status/phase", phase);
            }
            5 => {
                // None of this proves a death (F9).
                strange::put(&mut pod, "/status/phase", json!("Failed"));
                strange::put(
                    &mut pod,
                    "/metadata/deletionTimestamp",
                    json!("2026-01-01T00:00:00Z"),
                );
                strange::put(&mut pod, "/spec/restartPolicy", json!("Never"));
            }
            6 => {
                self.pods.push((name.to_owned(), None));
                strange::mangle(choices, &mut pod, &POD_PLACES);
            }
            7 => return Some(world::answer(403, world::status(403, "Forbidden", "pods"))),
            8 => return Some(world::answer(404, "404 page not found")),
            _ => return Some(world::answer(200, "{}")),
        }
        let found = pod.pointer("/metadata/uid").and_then(Value::as_str);
        if let Some(found) = found {
            self.pods.push((name.to_owned(), Some(found.to_owned())));
        }
        Some(world::answer(200, pod.to_string()))
    }

    fn places(&self) -> &'static [&'static str] {
        &[
            "/metadata/ownerReferences",
            "/metadata/ownerReferences/0/uid",
            "/metadata/ownerReferences/0/name",
            "/metadata/ownerReferences/0/kind",
            "/metadata/ownerReferences/0/apiVersion",
            "/metadata/annotations",
            MARK,
            "/metadata/annotations/theirs",
            "/metadata/labels",
            "/metadata/finalizers",
            "/metadata/deletionTimestamp",
            "/metadata/uid",
            "/metadata/resourceVersion",
            "/metadata",
            "/data",
            "/binaryData",
            "/spec",
            "/kind",
        ]
    }
}

const POD_PLACES: [&str; 10] = [
    "/metadata/uid",
    "/metadata/deletionTimestamp",
    "/spec/restartPolicy",
    "/spec/containers",
    "/spec/containers/0/restartPolicyRules",
    "/status/phase",
    "/status/containerStatuses",
    "/status/containerStatuses/0/state",
    "/status/containerStatuses/0/lastState/terminated",
    "/status",
];

impl LifePlay {
    /// A process of that Pod leads by it.
    fn take(&mut self, choices: &Choices, object: &mut Value, name: &str, uid: &str) {
        self.others += 1;
        let mut record = json!({
            "pod": name, "podUid": uid, "container": choices.one_of(&["main", "side"]),
            "containerId": "containerd://1", "term": format!("process-{}", self.others),
            "process": {
                "pid": choices.one_of(&[1_u32, 0, 4_000_000_000]), "startTime": 1,
                "bootId": "b", "pidNamespace": "pid:[1]",
            },
        });
        if choices.below(4) == 3 {
            let places = [
                "/podUid",
                "/term",
                "/process",
                "/containerId",
                "/process/pid",
            ];
            strange::mangle(choices, &mut record, &places);
        }
        strange::put(object, MARK, json!(record.to_string()));
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}]);
        strange::put(object, "/metadata/ownerReferences", owner);
    }
}

/// Why this is somebody's own object, judged apart from how a candidate does it (F11).
fn not_a_lock(object: &Value) -> Option<&'static str> {
    let full = |name: &str| {
        let field = object.get(name).and_then(Value::as_object);
        field.is_some_and(|field| !field.is_empty())
    };
    if full("data") || full("binaryData") {
        return Some("data");
    }
    let owners = object.pointer("/metadata/ownerReferences");
    let owners = owners
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if owners.len() > 1 || owners.iter().any(|owner| owner["kind"] != "Pod") {
        return Some("owners");
    }
    match object.pointer(MARK) {
        None if owners.is_empty() => Some("no owner"),
        None => None,
        Some(mark) => match mark.as_str().map(serde_json::from_str::<Value>) {
            Some(Ok(record)) if record.is_object() || record.is_array() => None,
            _ => Some("annotation"),
        },
    }
}

/// The name and uid of the Pod that a lock belongs to: by the annotation, else by the reference.
fn owner(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mark = object.pointer(MARK).and_then(Value::as_str);
    if let Some(Ok(record)) = mark.map(serde_json::from_str::<Value>) {
        // The order of a record's fields, where it is written as an array.
        return match &record {
            Value::Array(_) => (text(&record[0]), text(&record[1])),
            _ => (text(&record["pod"]), text(&record["podUid"])),
        };
    }
    let reference = &object["metadata"]["ownerReferences"][0];
    (text(&reference["name"]), text(&reference["uid"]))
}

/// What a candidate does not write.
fn of_others(object: &Value) -> Value {
    let mut object = object.clone();
    for ours in ["/metadata/ownerReferences", MARK, "/metadata/labels/fuzz"] {
        // Whatever stood there or on the way, it is nothing.
        strange::put(&mut object, ours, Value::Null);
    }
    object
}

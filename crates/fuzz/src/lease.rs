//! Leases from strangers (L5, L6, L7, L9, L16, L20): whatever stands in one, and whatever the
//! server answers, a candidate goes on, keeps what is others', and leads by its own writes alone.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tenure::{ContextInfo, LeaderElection, Leadership};
use tokio::time::Instant;

use crate::{
    choices::Choices,
    stage::{Book, LOCK, Play, STEPS, Shared, version},
    strange,
    world::{self, Answer, Asked},
};

const MARK: &str = "/metadata/annotations/tenure.dev~1write";
const COLLECTION: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
const OURS: [&str; 5] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
];
/// H: how long a write is trusted.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// A stranger's duration that a story waits out; beyond it a fresh candidate has to do.
const PATIENCE: u64 = 150;

pub(crate) fn run(input: &[u8]) {
    world::tell(story(Choices::new(input)));
}

async fn story(choices: Choices) {
    let stage = Shared::new(LeasePlay::default(), choices.clone());
    let twin = choices.byte();
    if twin & 1 == 1 {
        stage.lock().strangers_turn();
    }
    let election = candidate(&stage, 1, twin & 2 == 2, twin & 4 == 4);
    election.identity().clone_into(&mut stage.lock().play.me);
    let mut office = Office::new(&election);
    for _ in 0..24 {
        if choices.is_over() {
            break;
        }
        match choices.below(8) {
            0 | 1 => stage.lock().strangers_turn(),
            2 | 3 => stage.lock().strange_event(),
            4 => office.leave(&choices).await,
            _ => {}
        }
        let step = choices.one_of(&STEPS);
        office.live_through(step, &stage).await;
    }
    drop(office.leadership.take());
    recovers(&stage, &election, office).await;
}

/// However it was before: a record of somebody who is gone is waited out and taken.
async fn recovers(stage: &Shared<LeasePlay>, election: &LeaderElection, mut office: Office<'_>) {
    let longest = {
        let mut stage = stage.lock();
        stage.quiet = true;
        stage.choices.finish();
        let sane = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LOCK, "namespace": "shop"},
            "spec": {
                "holderIdentity": "former", "leaseDurationSeconds": 15, "leaseTransitions": 3,
                "acquireTime": "2020-01-01T00:00:00.000000Z",
                "renewTime": "2020-01-01T00:00:00.000000Z",
            },
        });
        stage.put(sane, 0);
        stage.play.longest
    };
    let fresh;
    let mut wait = Duration::from_secs(longest.clamp(15, PATIENCE) + 60);
    if longest > PATIENCE {
        // A stranger's duration is honoured (L20), by who has seen it: the old candidate has to
        // live on, and one that has not seen it has to lead.
        wait = Duration::from_secs(75);
        office.live_through(Duration::from_secs(5), stage).await;
        drop(office.leadership.take());
        assert!(
            election.healthy(Duration::from_secs(1)),
            "its task has ended"
        );
        fresh = candidate(stage, 2, false, false);
        fresh.identity().clone_into(&mut stage.lock().play.me);
        office = Office::new(&fresh);
    }
    let until = Instant::now() + wait;
    while Instant::now() < until {
        office.live_through(Duration::from_secs(1), stage).await;
        if office.leadership.as_ref().is_some_and(|l| l.is_leading()) {
            return;
        }
    }
    panic!("no leader within {wait:?} of a sane record");
}

fn candidate(
    stage: &Shared<LeasePlay>,
    seed: u64,
    fixed_identity: bool,
    wait_when_absent: bool,
) -> LeaderElection {
    let mut builder = LeaderElection::lease_lock(LOCK)
        .clock(world::clock(4_000))
        .seed(seed)
        .label("fuzz", "yes")
        .annotation("fuzz/says", "hello")
        .wait_when_absent(wait_when_absent);
    if fixed_identity {
        builder = builder.identity("me");
    }
    let context = ContextInfo::outside("shop", "me");
    match builder.build_over(stage.client(), context) {
        Ok(election) => election,
        Err(error) => panic!("no election: {error}"),
    }
}

/// The candidate's own side: it wants to lead, leads, and checks that it may.
struct Office<'a> {
    election: &'a LeaderElection,
    leadership: Option<Leadership>,
    over: bool,
}

impl<'a> Office<'a> {
    fn new(election: &'a LeaderElection) -> Self {
        Self {
            election,
            leadership: None,
            over: false,
        }
    }

    /// Want to lead for so long, and look at what comes of it.
    async fn live_through(&mut self, time: Duration, stage: &Shared<LeasePlay>) {
        let end = Instant::now() + time;
        if self.leadership.is_none() {
            let wanted = tokio::time::timeout_at(end, self.election.acquire()).await;
            if let Ok(answer) = wanted {
                match answer {
                    Ok(leadership) => self.leadership = Some(leadership),
                    Err(error) => panic!("the election has ended: {error}"),
                }
                self.over = false;
                self.check(stage);
            }
        }
        tokio::time::sleep_until(end).await;
        self.check(stage);
        if self.over {
            self.leadership = None;
        }
    }

    async fn leave(&mut self, choices: &Choices) {
        let Some(leadership) = self.leadership.take() else {
            return;
        };
        match choices.below(4) {
            0 => {
                // Bounded by the call limit, whatever the server does.
                let released = leadership.release();
                let within = Duration::from_secs(60);
                let answered = tokio::time::timeout(within, released).await;
                assert!(answered.is_ok(), "a release has no end");
            }
            1 => drop(leadership.release()),
            2 => {
                leadership.step_down();
                self.leadership = Some(leadership);
            }
            _ => leadership.abandon(),
        }
    }

    /// L1, L7, L9: who leads does so by a write of its own, for H from before that was sent.
    fn check(&mut self, stage: &Shared<LeasePlay>) {
        let Some(leadership) = &self.leadership else {
            return;
        };
        if !leadership.is_leading() {
            self.over = true;
            return;
        }
        assert!(!self.over, "a lost term has come back (L9)");
        let stage = stage.lock();
        let token = leadership.token().as_str();
        let by_own_write = stage.play.known.iter().any(|known| known.version == token);
        assert!(
            by_own_write,
            "leads by {token}, which is no version of an own write (L7)"
        );
        let newest = stage.play.known.iter().map(|known| known.sent).max();
        let end = leadership.remaining().map(|left| Instant::now() + left);
        let most = newest.map(|sent| sent + RENEW_DEADLINE);
        assert!(end <= most, "leads for longer than its writes allow (L1)");
    }
}

/// A write of the candidate's.
struct Write {
    body: Value,
    sent: Instant,
}

/// A state that is known to the candidate as one of its own.
struct Known {
    version: String,
    sent: Instant,
}

/// What a story about a Lease remembers.
#[derive(Default)]
struct LeasePlay {
    me: String,
    writes: Vec<Write>,
    known: Vec<Known>,
    /// The longest duration, in seconds, that stood in anything that was shown.
    longest: u64,
    others: u32,
}

impl Play for LeasePlay {
    fn collection(&self) -> &str {
        COLLECTION
    }

    fn check_write(&mut self, book: &Book, asked: &Asked) {
        let body = asked.json();
        let metadata = &body["metadata"];
        assert_eq!(metadata["labels"]["fuzz"], "yes", "{body}");
        assert_eq!(metadata["annotations"]["fuzz/says"], "hello", "{body}");
        assert!(body.pointer(MARK).is_some_and(Value::is_string), "{body}");
        match asked.method.as_str() {
            "POST" => assert!(
                metadata.get("uid").is_none() && metadata.get("resourceVersion").is_none(),
                "a create names a version: {body}"
            ),
            "PUT" => check_replace(book, &body),
            other => panic!("{other} of a Lease (L5)"),
        }
        self.writes.push(Write {
            body,
            sent: Instant::now(),
        });
    }

    fn shown(&mut self, object: &Value) {
        let written = object["spec"]["leaseDurationSeconds"].as_i64().unwrap_or(0);
        let mark: Value = object
            .pointer(MARK)
            .and_then(Value::as_str)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let marked = mark["durationSeconds"].as_u64().unwrap_or(0);
        let written = u64::try_from(written).unwrap_or(0);
        self.longest = self.longest.max(written).max(marked);
        // What is read counts as an own write if annotation and holder are (L6).
        let Some((_, revision)) = version(object) else {
            return;
        };
        for write in &self.writes {
            let same_mark = write.body.pointer(MARK) == object.pointer(MARK);
            let holder = &object["spec"]["holderIdentity"];
            if same_mark && write.body["spec"]["holderIdentity"] == *holder {
                self.known.push(Known {
                    version: revision.clone(),
                    sent: write.sent,
                });
            }
        }
    }

    /// A 2xx to an own write counts as that write's if it shows what was replaced, held as it was
    /// written. Other fields may differ: admission may change them.
    fn applied(&mut self, asked: &Asked, object: &Value) {
        let body = asked.json();
        let replaced = &body["metadata"]["uid"];
        let here = replaced.is_null() || *replaced == object["metadata"]["uid"];
        let held = body["spec"]["holderIdentity"] == object["spec"]["holderIdentity"];
        let sent = self.writes.iter().rev().find(|write| write.body == body);
        if let (true, Some(write), Some((_, version))) = (here && held, sent, version(object)) {
            let sent = write.sent;
            self.known.push(Known { version, sent });
        }
    }

    fn strange_state(
        &mut self,
        choices: &Choices,
        now: Option<&Value>,
        past: &[Value],
    ) -> Option<Value> {
        let mut object = now.cloned().unwrap_or_else(|| {
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": LOCK, "namespace": "shop"}, "spec": {},
            })
        });
        match choices.below(12) {
            0 | 1 => strange::mangle(choices, &mut object, self.places()),
            2 => {
                // client-go: it keeps annotations.
                self.others += 1;
                let holder = format!("other-{}", self.others % 4);
                let seconds = choices.one_of(&[15, 1, 60, 0, -5, 3_600, i64::from(i32::MAX)]);
                self.hold(&mut object, &holder, seconds);
            }
            3 => self.another_process(choices, &mut object, false),
            4 => self.another_process(choices, &mut object, true),
            5 => return None,
            6 => {
                let label = json!(format!("{}", choices.byte()));
                strange::put(&mut object, "/metadata/labels/theirs", label);
            }
            7 => {
                let at = choices.below(past.len());
                object = past.get(at).cloned()?;
            }
            8 => object["spec"] = choices.one_of(&[json!({}), Value::Null, json!([])]),
            9 => {
                let me = self.me.clone();
                self.hold(&mut object, &me, 15);
            }
            10 => {
                // An own record, edited by hand.
                object = self.writes.last()?.body.clone();
                strange::mangle(choices, &mut object, self.places());
            }
            _ => {
                strange::put(
                    &mut object,
                    "/spec/strategy",
                    json!("OldestEmulationVersion"),
                );
                strange::put(&mut object, "/spec/preferredHolder", json!("p"));
            }
        }
        Some(object)
    }

    fn aside(&mut self, _: &Choices, asked: &Asked, _: bool) -> Option<Answer> {
        panic!(
            "a candidate for a Lease calls {} {}",
            asked.method, asked.path
        );
    }

    fn places(&self) -> &'static [&'static str] {
        &[
            "/spec/holderIdentity",
            "/spec/leaseDurationSeconds",
            "/spec/renewTime",
            "/spec/acquireTime",
            "/spec/leaseTransitions",
            "/spec/strategy",
            "/spec/new",
            "/spec",
            "/metadata/annotations",
            MARK,
            "/metadata/annotations/theirs",
            "/metadata/labels",
            "/metadata/finalizers",
            "/metadata/uid",
            "/metadata/resourceVersion",
            "/metadata/managedFields",
            "/metadata",
            "/status",
            "/kind",
        ]
    }
}

impl LeasePlay {
    fn hold(&mut self, object: &mut Value, holder: &str, seconds: i64) {
        self.others += 1;
        let time = format!("2026-01-01T00:{:02}:00.000000Z", self.others % 60);
        let spec = json!({
            "holderIdentity": holder, "leaseDurationSeconds": seconds, "acquireTime": time,
            "renewTime": time, "leaseTransitions": self.others,
        });
        for (name, value) in spec.as_object().into_iter().flatten() {
            strange::put(object, &format!("/spec/{name}"), value.clone());
        }
    }

    /// Another process of tenure takes it, or gives it up.
    fn another_process(&mut self, choices: &Choices, object: &mut Value, released: bool) {
        let name = choices.one_of(&["them", "me", ""]);
        let holder = if released { "" } else { name };
        let seconds = choices.one_of(&[15_i64, 1, 30, 4_000_000_000]);
        self.hold(object, holder, seconds.min(i64::from(i32::MAX)));
        let mut mark = json!({
            "process": format!("process-{}", choices.below(3)), "write": choices.byte(),
            "holder": holder, "durationSeconds": seconds,
            "renewTime": object["spec"]["renewTime"], "released": released,
        });
        if choices.below(4) == 3 {
            strange::mangle(
                choices,
                &mut mark,
                &["/process", "/write", "/durationSeconds"],
            );
        }
        strange::put(object, MARK, json!(mark.to_string()));
    }
}

/// L5: a replace names the uid and resourceVersion of something that was shown, and carries on
/// whatever others had put there.
fn check_replace(book: &Book, body: &Value) {
    let Some(version) = version(body) else {
        panic!("a replace without uid and resourceVersion (L5): {body}");
    };
    let states = book.states(&version);
    assert!(
        !states.is_empty(),
        "{version:?} was never shown (L5): {body}"
    );
    let kept = of_others(body);
    assert!(
        states.iter().any(|state| of_others(state) == kept),
        "what others had put there is lost (L5): {body}, over {states:?}"
    );
}

/// What is not written by a candidate. `managedFields` is written by the server alone, which keeps
/// its own when a write has none.
fn of_others(object: &Value) -> Value {
    let mut object = match object {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    let mut metadata = fields_of(object.remove("metadata"));
    metadata.remove("managedFields");
    let mut annotations = fields_of(metadata.remove("annotations"));
    for ours in ["tenure.dev/write", "fuzz/says"] {
        annotations.remove(ours);
    }
    let mut labels = fields_of(metadata.remove("labels"));
    labels.remove("fuzz");
    let mut spec = fields_of(object.remove("spec"));
    for ours in OURS {
        spec.remove(ours);
    }
    json!([object, metadata, annotations, labels, spec])
}

fn fields_of(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

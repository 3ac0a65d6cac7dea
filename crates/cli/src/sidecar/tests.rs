//! The answers, in process: each that the OpenAPI file names is given, none else is, and each has
//! the shape that the file says.

mod answers;
mod probes;

use std::{
    collections::BTreeSet,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use futures::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tenure::{
    ContextInfo, Instant, Kind, LeaderElection,
    clock::{Clock, Sleep, SystemClock},
};
use tenure_apiserver::ApiServer;
use tokio::sync::{mpsc, oneshot, watch};
use tower::ServiceExt as _;

use self::answers::Answers;
use super::{
    desk::Desk,
    routes::{self, Front, MOST_BODY, PATHS},
    security::{PROBES, Security},
    stand,
    watch::{MOST_WATCHERS, Watchers},
};

/// A sidecar without connections.
struct Sidecar {
    desk: Arc<Desk>,
    election: LeaderElection,
    asked: Option<mpsc::Receiver<stand::Ask>>,
    closing: watch::Sender<bool>,
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_millis(50);

impl Sidecar {
    fn new(server: &ApiServer, kind: Kind, identity: &str) -> Self {
        let lock = LeaderElection::lease_lock("nightly").identity(identity);
        Self::over(server, kind, lock)
    }

    fn over(server: &ApiServer, kind: Kind, lock: tenure::Builder) -> Self {
        let client = kube::Client::new(server.service(), "default");
        let context = ContextInfo::outside("default", "me");
        let election = lock.build_over(client, context).unwrap();
        let (asks, asked) = mpsc::channel(2);
        Self {
            desk: Arc::new(Desk::new(&election, kind, ANSWER_LIMIT, asks)),
            election,
            asked: Some(asked),
            closing: watch::Sender::new(false),
        }
    }

    /// Stands until the test is over.
    fn stand(&mut self) {
        let (desk, election) = (Arc::clone(&self.desk), self.election.clone());
        let mut asked = self.asked.take().unwrap();
        tokio::spawn(async move {
            let mut end = Box::pin(pending());
            stand::stand(&desk, &election, &mut asked, &mut end).await
        });
        let desk = Arc::clone(&self.desk);
        tokio::spawn(async move { desk.follow().await });
    }

    fn router(&self) -> Router {
        self.guarded(Security::new([127, 0, 0, 1].into(), Vec::new(), None).unwrap())
    }

    fn guarded(&self, security: Security) -> Router {
        routes::router(self.front(security))
    }

    fn probes(&self) -> Router {
        let security = Security::new([127, 0, 0, 1].into(), Vec::new(), None);
        routes::probes(self.front(security.unwrap()))
    }

    fn front(&self, security: Security) -> Arc<Front> {
        Arc::new(Front {
            desk: Arc::clone(&self.desk),
            security,
            watchers: Watchers::new(self.closing.subscribe()),
            body_limit: Duration::from_millis(50),
        })
    }

    async fn until(&self, holds: impl Fn(&Desk) -> bool) {
        let mut changes = self.desk.changes();
        let becomes = async {
            while !holds(&self.desk) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, becomes).await.unwrap();
    }

    async fn leads(&self) {
        self.until(|desk| desk.gate.look().is_some()).await;
    }
}

/// A clock whose sleepers are never woken, and that goes on without them.
#[derive(Debug, Default)]
struct StuckClock {
    ahead: AtomicU64,
}

impl Clock for StuckClock {
    fn mono(&self) -> Instant {
        let ahead = self.ahead.load(Ordering::Acquire);
        SystemClock.mono().after(Duration::from_secs(ahead))
    }

    fn wall(&self) -> tenure_core::MicroTime {
        SystemClock.wall()
    }

    fn sleep_until(&self, _: Instant) -> Sleep {
        Box::pin(pending())
    }
}

#[tokio::test]
async fn every_answer_is_in_the_openapi_file_and_every_one_in_the_file_is_given() {
    let server = ApiServer::new();
    let mut answers = Answers::new();
    let mut sidecar = Sidecar::new(&server, Kind::Lease, "me_1");
    let router = sidecar.router();

    // Before it has seen anything.
    assert_eq!(answers.get(&router, "/readyz").await.0, 503);
    let (code, said) = answers.get(&router, "/leader").await;
    assert_eq!((code, &said["phase"]), (503, &json!("standby")));
    assert_eq!(answers.get(&router, "/replica").await.0, 200);
    assert_eq!(answers.get(&router, "/").await.1, json!({"name": ""}));
    for (path, code) in [("/v1/step-down", 422), ("/v1/hand-over", 409)] {
        assert_eq!(answers.post(&router, path, r#"{"to":"b"}"#).await.0, code);
        assert_eq!(answers.post(&router, path, "{").await.0, 400);
        assert_eq!(answers.post(&router, path, "[]").await.0, 422);
        assert_eq!(answers.post(&router, path, r#"{"x":1}"#).await.0, 422);
        let twice = r#"{"to":"b","to":"c"}"#;
        assert_eq!(answers.post(&router, path, twice).await.0, 422);
        assert_eq!(answers.post(&router, path, r#"["b"]"#).await.0, 422);
        assert_eq!(
            answers
                .post(&router, path, " ".repeat(MOST_BODY + 1))
                .await
                .0,
            413
        );
        let untyped = Request::post(path)
            .header("host", "localhost")
            .body("{}".into());
        assert_eq!(answers.ask(&router, untyped.unwrap()).await.0, 415);
        let never = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(answers.post(&router, path, never).await.0, 408);
    }
    assert_eq!(answers.post(&router, "/v1/step-down", "{}").await.0, 409);
    for to in ["", " ", "a\\nb", &"x".repeat(257)] {
        let body = format!("{{\"to\":\"{to}\"}}");
        assert_eq!(
            answers.post(&router, "/v1/hand-over", body).await.0,
            422,
            "{to}"
        );
    }

    // As the leader.
    sidecar.stand();
    sidecar.leads().await;
    assert_eq!(answers.get(&router, "/readyz").await.0, 200);
    let (code, said) = answers.get(&router, "/leader").await;
    assert_eq!((code, &said["valid_for_ms"]), (200, &json!(50)));
    assert_eq!(
        (&said["holder"], &said["phase"]),
        (&json!("me_1"), &json!("leading"))
    );
    assert_eq!(answers.get(&router, "/replica").await.0, 503);
    assert_eq!(answers.get(&router, "/").await.1, json!({"name": "me"}));
    for path in [
        "/v1/status",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/v1/watch",
    ] {
        assert_eq!(answers.get(&router, path).await.0, 200, "{path}");
    }
    let (code, left) = answers
        .post(&router, "/v1/hand-over", r#"{"to":"other"}"#)
        .await;
    assert_eq!(
        (code, &left["released"], &left["to"]),
        (200, &json!(true), &json!("other"))
    );
    sidecar.leads().await;
    let bare = Request::post("/v1/step-down")
        .header("host", "localhost")
        .body(Body::empty());
    let (code, left) = answers.ask(&router, bare.unwrap()).await;
    assert_eq!(
        (code, &left["released"], &left["to"]),
        (200, &json!(true), &json!(null))
    );

    refusals(&sidecar, &mut answers).await;
    wedged(&server, &mut answers).await;
    not_freed(&mut answers).await;

    let mut told = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for (path, methods) in answers.file["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            paths.insert((method.as_str(), path.as_str()));
            for code in about["responses"].as_object().unwrap().keys() {
                told.insert((path.clone(), code.clone()));
            }
        }
    }
    assert_eq!(paths, PATHS.iter().copied().collect());
    assert_eq!(told, answers.seen);
}

/// Everything that has to do with who asks.
async fn refusals(sidecar: &Sidecar, answers: &mut Answers) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let guarded = |token: &str| {
        std::fs::write(&file, token).unwrap();
        let security = Security::new([0, 0, 0, 0].into(), Vec::new(), Some(file.clone()));
        sidecar.guarded(security.unwrap())
    };
    let (open, closed) = (sidecar.router(), guarded("0123456789abcdef"));
    let with = |method: &str, path: &str, header: (&str, &str)| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header.0, header.1);
        request.body(Body::empty()).unwrap()
    };
    let behind_security: Vec<(&str, &str)> = PATHS
        .iter()
        .copied()
        .filter(|(_, path)| !matches!(*path, "/healthz" | "/readyz"))
        .collect();
    for (method, path) in &behind_security {
        let method = method.to_uppercase();
        let rebound = with(&method, path, ("host", "evil.example"));
        assert_eq!(answers.ask(&open, rebound).await.0, 403, "{path}");
        for wrong in [
            "Bearer x",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            "Bearer ",
        ] {
            let wrong = with(&method, path, ("authorization", wrong));
            assert_eq!(answers.ask(&closed, wrong).await.0, 401, "{path}");
        }
    }
    let right = with(
        "GET",
        "/v1/status",
        ("authorization", "bearer 0123456789abcdef"),
    );
    assert_eq!(answers.ask(&closed, right).await.0, 200);
    for path in ["/healthz", "/readyz"] {
        let kubelet = with("GET", path, ("host", "10.1.2.3:4040"));
        assert_eq!(answers.ask(&closed, kubelet).await.0, 200);
    }

    // Another token, and then none: who has the old one is refused.
    std::fs::write(&file, "fedcba9876543210\n").unwrap();
    let ask = || {
        with(
            "GET",
            "/v1/status",
            ("authorization", "Bearer fedcba9876543210"),
        )
    };
    answers.until(&closed, ask, 200).await;
    std::fs::remove_file(&file).unwrap();
    answers.until(&closed, ask, 503).await;
    for (method, path) in &behind_security {
        let request = with(&method.to_uppercase(), path, ("host", "localhost"));
        assert_eq!(answers.ask(&closed, request).await.0, 503, "{path}");
    }
}

/// An election that does nothing that it is due to do.
async fn wedged(server: &ApiServer, answers: &mut Answers) {
    let clock = Arc::new(StuckClock::default());
    let lock = LeaderElection::lease_lock("other").clock(clock.clone());
    let sidecar = Sidecar::over(server, Kind::Lease, lock);
    let router = sidecar.router();
    assert_eq!(answers.get(&router, "/healthz").await.0, 200);
    // Answers of the API server still wake it; when the last has come, nothing does.
    let told = async {
        while answers.get(&router, "/healthz").await.0 != 503 {
            clock.ahead.fetch_add(60, Ordering::AcqRel);
            tokio::task::yield_now().await;
        }
    };
    let within = tokio::time::timeout(LIMIT, told).await;
    within.expect("a wedged election is told within 30 s");
    let (_, figures) = answers.get(&router, "/metrics").await;
    assert!(
        figures
            .as_str()
            .unwrap()
            .contains("tenure_healthy{lock=\"other\",namespace=\"default\",kind=\"lease\"} 0\n")
    );
}

/// A lock that cannot be given up.
async fn not_freed(answers: &mut Answers) {
    for (path, body) in [("/v1/step-down", ""), ("/v1/hand-over", r#"{"to":"b"}"#)] {
        let server = ApiServer::new();
        let mut sidecar = Sidecar::new(&server, Kind::Lease, "me");
        sidecar.stand();
        sidecar.leads().await;
        server.deny("update", "leases");
        let (code, told) = answers.post(&sidecar.router(), path, body).await;
        assert_eq!(code, 502, "{told}");
        assert!(
            told["error"].as_str().unwrap().contains("forbidden"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_refused_in_json() {
    let sidecar = Sidecar::new(&ApiServer::new(), Kind::Lease, "me");
    for (method, path, code) in [
        ("GET", "/nope", 404),
        ("GET", "/v1/status/", 404),
        ("POST", "/v1/status", 405),
        ("GET", "/v1/step-down", 405),
        ("DELETE", "/", 405),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", "localhost").body(Body::empty());
        let response = sidecar.router().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), code, "{method} {path}");
        assert_eq!(response.headers().contains_key("allow"), code == 405);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let told: Value = serde_json::from_slice(&body).unwrap();
        assert!(
            told["error"].is_string() && told["what_to_do"].is_string(),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_lock_for_life_is_handed_over_to_nobody() {
    let sidecar = Sidecar::new(&ApiServer::new(), Kind::ConfigMap, "me");
    let mut answers = Answers::new();
    let (code, told) = answers
        .post(&sidecar.router(), "/v1/hand-over", r#"{"to":"b"}"#)
        .await;
    assert_eq!(code, 422);
    assert!(
        told["what_to_do"]
            .as_str()
            .unwrap()
            .contains("/v1/step-down"),
        "{told}"
    );
}

#[tokio::test]
async fn more_questions_to_step_down_than_fit_are_refused() {
    let sidecar = Sidecar::new(&ApiServer::new(), Kind::Lease, "me");
    let leadership = tenure::Leadership::for_tests();
    sidecar.desk.begin_term(leadership.handle());
    for _ in 0..2 {
        let (answer, _) = oneshot::channel();
        let (to, token) = (None, "1".to_owned());
        sidecar
            .desk
            .asks
            .try_send(stand::Ask { to, token, answer })
            .unwrap();
    }
    let (code, _) = Answers::new()
        .post(&sidecar.router(), "/v1/step-down", "")
        .await;
    assert_eq!(code, 503);
}

#[tokio::test]
async fn l10_the_lock_is_released_when_what_was_promised_last_is_over() {
    let server = ApiServer::new();
    let mut sidecar = Sidecar::new(&server, Kind::Lease, "me");
    let router = sidecar.router();
    let mut answers = Answers::new();
    sidecar.stand();
    sidecar.leads().await;
    let asked = tenure::now();
    let (_, said) = answers.get(&router, "/leader").await;
    let valid = Duration::from_millis(said["valid_for_ms"].as_u64().unwrap());
    let (asking, saying) = (answers.post(&router, "/v1/step-down", ""), async {
        sidecar.until(|desk| desk.gate.is_leaving()).await;
        let said = serde_json::to_value(sidecar.desk.promise()).unwrap();
        assert_eq!(
            (&said["phase"], &said["leading"]),
            (&json!("leaving"), &json!(false))
        );
        assert_eq!(sidecar.desk.name(), "");
        let lease = server.object("leases.coordination.k8s.io", "default", "nightly");
        assert_eq!(lease.unwrap()["spec"]["holderIdentity"], "me");
    });
    let ((code, left), ()) = tokio::join!(asking, saying);
    assert_eq!((code, &left["released"]), (200, &json!(true)));
    assert!(tenure::now() >= asked.after(valid));
}

#[tokio::test]
async fn watchers_get_what_is_known_and_each_change_and_no_more_than_fit_are_let_in() {
    let server = ApiServer::new();
    let mut sidecar = Sidecar::new(&server, Kind::Lease, "me");
    let router = sidecar.router();
    let watch = || {
        Request::get("/v1/watch")
            .header("host", "localhost")
            .body(Body::empty())
    };
    let response = router.clone().oneshot(watch().unwrap()).await.unwrap();
    let mut events = response.into_body().into_data_stream();
    let answers = Answers::new();
    let mut next = async || {
        use futures::StreamExt as _;
        let event = events.next().await?.unwrap();
        let event = std::str::from_utf8(&event).unwrap().to_owned();
        let data = event
            .strip_prefix("event: status\ndata: ")
            .unwrap_or_else(|| panic!("{event}"));
        let said: Value = serde_json::from_str(data).unwrap();
        answers.hold("Watched", &said);
        Some(said)
    };
    let first = next().await.unwrap();
    assert_eq!(
        (&first["phase"], &first["leading"]),
        (&json!("standby"), &json!(false))
    );
    sidecar.stand();
    let leading = loop {
        let event = next().await.unwrap();
        if event["leading"] == true {
            break event;
        }
    };
    assert_eq!(
        leading["valid_for_ms"],
        Value::Null,
        "nobody may act by an event"
    );
    assert_eq!(leading["token"], sidecar.desk.gate.look().unwrap().token());

    // One reads, this one does not: others are let in as long as there are places.
    let mut idle = Vec::new();
    for _ in 1..MOST_WATCHERS {
        let response = router.clone().oneshot(watch().unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        idle.push(response);
    }
    let full = router.clone().oneshot(watch().unwrap()).await.unwrap();
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    idle.pop();
    let response = router.clone().oneshot(watch().unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    let (code, _) = Answers::new().post(&router, "/v1/step-down", "").await;
    assert_eq!(code, 200, "readers that stand still hold nothing up");
    assert_eq!(next().await.unwrap()["leading"], false);
    sidecar.closing.send_replace(true);
    while let Some(_event) = next().await {}
}

//! A connection that is used now and then stays open.
//!
//! A standby with a watch sends nothing for hours, and both sides close connections that have been
//! idle for 90 s. The takeover would then begin with a TCP and a TLS handshake. So a question that
//! costs the server next to nothing goes out when there was no other call for a minute. It is not
//! about the lock, nothing waits for its answer, and nothing is decided by it.
//!
//! That question is `OPTIONS *`, the ping of HTTP (RFC 9110, 9.3.7): an API server answers it before it
//! looks at who asks, at a tenth of what `GET /version` costs it. Something in between may not know it, and
//! may even hang up; whoever does not answer it well is asked `GET /version` from then on.
//!
//! The latter also goes out shortly before a candidate that has waited for a lease to run out will write: what
//! has slept for so long, here and in the server, is awake by then.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use kube::Client;
use tenure_core::Instant;

/// A connection is not idle for longer.
pub(crate) const EVERY: Duration = Duration::from_secs(60);
/// So long before its turn a candidate that has waited for it asks.
const AHEAD: Duration = Duration::from_millis(100);
/// Where something was sent so shortly ago there is no need.
const FRESH: Duration = Duration::from_secs(1);
/// The answer is not waited for any longer.
const LIMIT: Duration = Duration::from_secs(10);

/// What keeps the connection of one client open. Clones share it, with everybody who calls.
#[derive(Clone)]
pub(crate) struct Warmth {
    /// None where the connection is somebody else's business.
    client: Option<Client>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// When something was sent last, in nanoseconds.
    used: AtomicU64,
    /// No more pings: the last one was not answered well, or not yet.
    plain: AtomicBool,
}

/// One candidate's turn, before which the connection is seen to.
#[derive(Debug, Default)]
pub(crate) struct BeforeTurn {
    planned: Option<Instant>,
}

impl BeforeTurn {
    /// When to ask. Only a turn that is far enough away is planned for: whoever may write at once does.
    pub(crate) fn due(&mut self, turn: Option<Instant>, now: Instant) -> Option<Instant> {
        let ask_at = turn?.before(AHEAD);
        if now >= ask_at {
            return None;
        }
        self.planned = turn;
        Some(ask_at)
    }

    /// The question, if it is due, once for each turn.
    pub(crate) fn ask(
        &mut self,
        warmth: &Warmth,
        turn: Option<Instant>,
        now: Instant,
    ) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        let planned = self.planned?;
        if turn != Some(planned) || now < planned.before(AHEAD) {
            return None;
        }
        self.planned = None;
        (now < planned)
            .then(|| warmth.ask_before_turn(now))
            .flatten()
    }
}

impl Warmth {
    pub(crate) fn of(client: &Client) -> Self {
        Self {
            client: Some(client.clone()),
            state: Arc::default(),
        }
    }

    pub(crate) fn none() -> Self {
        Self {
            client: None,
            state: Arc::default(),
        }
    }

    /// Something was sent, which keeps the connection open for a while.
    pub(crate) fn used(&self, now: Instant) {
        self.state.used.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }

    /// When the question is due, if nothing else is sent until then.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.client.as_ref()?;
        let used = self.state.used.load(Ordering::Relaxed);
        // What was never used is not kept open.
        (used > 0).then(|| Instant::from_nanos(used).after(EVERY))
    }

    /// The question, if it is due: of those who share a connection only one gets it.
    pub(crate) fn ask(
        &self,
        now: Instant,
    ) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        let due = self.due().filter(|due| now >= *due)?;
        let client = self.whoever_asks(due.before(EVERY), now)?;
        let state = Arc::clone(&self.state);
        Some(within_limit(async move {
            let ping = !state.plain.swap(true, Ordering::Relaxed);
            if ping && send(&client, Method::OPTIONS, "*").await {
                state.plain.store(false, Ordering::Relaxed);
            } else {
                send(&client, Method::GET, "/version").await;
            }
        }))
    }

    /// The question before a turn, if nothing was sent of late.
    fn ask_before_turn(
        &self,
        now: Instant,
    ) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        let used = Instant::from_nanos(self.state.used.load(Ordering::Relaxed));
        let rested = used == Instant::default() || now >= used.after(FRESH);
        let client = rested.then(|| self.whoever_asks(used, now)).flatten()?;
        Some(within_limit(async move {
            send(&client, Method::GET, "/version").await;
        }))
    }

    /// The client, for the first of those who find that it was `used` then.
    fn whoever_asks(&self, used: Instant, now: Instant) -> Option<Client> {
        let (used, now) = (used.as_nanos(), now.as_nanos());
        self.state
            .used
            .compare_exchange(used, now, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        self.client.clone()
    }
}

async fn within_limit(question: impl Future<Output = ()>) {
    // Whatever comes of it, the connection was used, or is known to be gone.
    let _ = tokio::time::timeout(LIMIT, question).await;
}

/// Whether the answer is a good one.
async fn send(client: &Client, method: Method, target: &'static str) -> bool {
    let mut request = Request::new(Vec::new());
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static(target);
    client.request_text(request).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::{self, Answer, RawServer};

    type Asked = Arc<std::sync::Mutex<Vec<String>>>;

    /// A connection on which that is the answer to a ping.
    fn pinged(answer: http::StatusCode) -> (Warmth, Asked) {
        let asked = Asked::default();
        let server = {
            let asked = Arc::clone(&asked);
            tower::service_fn(move |request: Request<kube::client::Body>| {
                let what = format!("{} {}", request.method(), request.uri());
                let mut response = http::Response::new(kube::client::Body::empty());
                if request.method() == Method::OPTIONS {
                    *response.status_mut() = answer;
                }
                asked.lock().unwrap().push(what);
                std::future::ready(Ok::<_, std::io::Error>(response))
            })
        };
        (Warmth::of(&Client::new(server, "default")), asked)
    }

    fn warmth() -> Warmth {
        pinged(http::StatusCode::OK).0
    }

    fn second(n: u64) -> Instant {
        Instant::from_nanos(n * 1_000_000_000)
    }

    #[tokio::test]
    async fn the_question_is_due_a_minute_after_the_last_call_and_one_of_many_asks_it() {
        let (a, b) = {
            let warmth = warmth();
            (warmth.clone(), warmth)
        };
        assert_eq!(a.due(), None, "nothing was sent yet");
        assert!(a.ask(second(1000)).is_none());
        a.used(second(1000));
        b.used(second(1030));
        a.used(second(1020));
        assert_eq!(a.due(), Some(second(1090)));
        assert!(a.ask(second(1089)).is_none());
        let asked = b.ask(second(1095)).expect("it is due");
        assert!(a.ask(second(1095)).is_none(), "b has asked");
        assert_eq!(a.due(), Some(second(1155)));
        asked.await;
    }

    #[tokio::test]
    async fn what_does_not_answer_a_ping_well_is_asked_in_plain_from_then_on() {
        for (answer, expected) in [
            (200, ["OPTIONS *", "OPTIONS *", "OPTIONS *"].as_slice()),
            (204, &["OPTIONS *", "OPTIONS *", "OPTIONS *"]),
            (
                400,
                &["OPTIONS *", "GET /version", "GET /version", "GET /version"],
            ),
            (
                502,
                &["OPTIONS *", "GET /version", "GET /version", "GET /version"],
            ),
        ] {
            let (warmth, asked) = pinged(http::StatusCode::from_u16(answer).unwrap());
            warmth.used(second(1));
            for minute in 1..4 {
                let question = warmth.ask(second(1 + 60 * minute));
                question.expect("it is due").await;
            }
            assert_eq!(*asked.lock().unwrap(), expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn on_the_wire_a_ping_is_one_where_the_api_server_is_all_there_is_at_its_address() {
        for (path, status, expected) in [
            ("", "200 OK", ["OPTIONS * HTTP/1.1"].as_slice()),
            // What passes on to many servers knows them by their paths.
            (
                "/clusters/one",
                "404 Not Found",
                &[
                    "OPTIONS /clusters/one* HTTP/1.1",
                    "GET /clusters/one/version HTTP/1.1",
                ],
            ),
        ] {
            let server = RawServer::start(Answer::Bytes(raw::http(status, "", ""))).await;
            let config = raw::config(&format!("http://{}{path}", server.address));
            let warmth = Warmth::of(&crate::client::election_client(config).unwrap());
            warmth.used(second(1));
            warmth.ask(second(61)).expect("it is due").await;
            assert_eq!(server.asked(), expected);
        }
    }

    #[tokio::test]
    async fn a_ping_that_is_never_answered_is_the_last() {
        let (warmth, asked) = pinged(http::StatusCode::OK);
        warmth.used(second(1));
        drop(warmth.ask(second(61)).expect("it is due"));
        let mut question = Box::pin(warmth.ask(second(121)).expect("it is due"));
        assert!(futures::poll!(&mut question).is_pending());
        drop(question);
        warmth.ask(second(181)).expect("it is due").await;
        let asked = asked.lock().unwrap();
        assert_eq!(asked.last().map(String::as_str), Some("GET /version"));
    }

    #[tokio::test]
    async fn the_connection_is_seen_to_once_before_a_turn_that_was_waited_for() {
        let (warmth, mut before) = (warmth(), BeforeTurn::default());
        warmth.used(second(1));
        let (turn, ask_at) = (Some(second(20)), second(20).before(AHEAD));
        assert_eq!(before.due(turn, second(5)), Some(ask_at));
        assert!(before.ask(&warmth, turn, second(19)).is_none(), "too early");
        let renewed = Some(second(22));
        assert!(before.ask(&warmth, renewed, ask_at).is_none(), "it moved");
        assert!(before.ask(&warmth, turn, ask_at).is_some());
        assert!(before.ask(&warmth, turn, ask_at).is_none(), "once");
        assert_eq!(before.due(turn, ask_at), None);
        let soon = Some(ask_at.after(AHEAD / 2));
        assert_eq!(before.due(soon, ask_at), None);
        assert!(
            before.ask(&warmth, soon, ask_at).is_none(),
            "it came at once"
        );

        assert!(before.due(renewed, second(21)).is_some());
        warmth.used(second(21));
        let at = second(22).before(AHEAD);
        assert!(
            before.ask(&warmth, renewed, at).is_none(),
            "it was just used"
        );
        assert!(before.due(renewed, second(21)).is_some());
        assert!(
            before.ask(&warmth, renewed, second(22)).is_none(),
            "too late"
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_somebody_elses_is_left_alone() {
        let warmth = Warmth::none();
        warmth.used(second(1));
        assert!(warmth.due().is_none() && warmth.ask(second(1000)).is_none());
    }
}

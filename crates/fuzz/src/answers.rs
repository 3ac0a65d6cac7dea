//! Answers of an API server, or of whatever answers in its place (L6, L16): any status, any
//! headers, any body in any pieces. What was certainly done, and what was certainly not, is judged
//! here once more, apart from how the library does it; everything else is unknown.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tenure::{ContextError, ContextInfo, LeaderElection, context_info::FixedSources};
use tokio::time::Instant;

use crate::{
    choices::Choices,
    strange,
    world::{self, Answer},
};

/// A call has at most this: three tries of 3 s, and pauses.
const LONGEST_READ: Duration = Duration::from_secs(11);

pub(crate) fn run(input: &[u8]) {
    world::tell(story(Choices::new(input)));
}

async fn story(choices: Choices) {
    let reads = choices.byte() & 1 == 0;
    let told = Told::choose(&choices);
    if reads {
        read(told).await;
    } else {
        write(told).await;
    }
}

/// What is certain after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certain {
    Done,
    Absent,
    Conflict,
    Refused,
    /// Nothing.
    Unknown,
}

/// An answer: the same each time it is asked for.
#[derive(Clone)]
struct Told {
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    piece: usize,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    Broken,
    Silent,
    Endless,
}

impl Told {
    fn choose(choices: &Choices) -> Self {
        let status = match choices.below(4) {
            0 => 200,
            1 => choices.one_of(&[201, 204, 404, 409, 429, 403, 422, 400, 500, 503, 504, 302]),
            _ => 100 + u16::from(choices.byte()) * 3,
        };
        // Below 200 there is no answer yet, and above 599 there is none in HTTP.
        let status = status.clamp(200, 599);
        let mut headers = Vec::new();
        for _ in 0..choices.below(4) {
            let (name, value) = choices.one_of(&[
                ("retry-after", "3600"),
                ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
                ("content-length", "0"),
                ("content-type", "text/html"),
                ("content-encoding", "gzip"),
                ("location", "http://127.0.0.1:1/"),
                ("warning", "299 - \"old\""),
            ]);
            headers.push((
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            ));
        }
        let mut said = status;
        if choices.below(8) == 7 {
            said = 100 + u16::from(choices.byte());
        }
        let body = match choices.below(8) {
            0 => pod().to_string().into_bytes(),
            1..=3 => refusal(choices, said).to_string().into_bytes(),
            4 => {
                let mut body = refusal(choices, said);
                strange::mangle(choices, &mut body, &PLACES);
                body.to_string().into_bytes()
            }
            5 => {
                let mut body = pod();
                strange::mangle(choices, &mut body, &PLACES);
                body.to_string().into_bytes()
            }
            6 => {
                let mut body = refusal(choices, said).to_string().into_bytes();
                let at = choices.below(body.len());
                if choices.below(2) == 0 {
                    body.truncate(at);
                } else {
                    body[at] = choices.byte();
                }
                body
            }
            _ => choices.take(64),
        };
        let endings = [
            Ending::Whole,
            Ending::Whole,
            Ending::Whole,
            Ending::Whole,
            Ending::Whole,
            Ending::Broken,
            Ending::Silent,
            Ending::Endless,
        ];
        Self {
            status,
            headers,
            body,
            piece: choices.one_of(&[usize::MAX, 1, 3, 64]),
            ending: choices.one_of(&endings),
        }
    }

    /// Rule L6, for a call about an object of this kind.
    fn certain(&self, method: &Method, plural: &str, group: &str) -> Certain {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let Some(body) = body.filter(|_| self.ending == Ending::Whole) else {
            return Certain::Unknown;
        };
        let is_status = body["kind"] == "Status";
        if (200..300).contains(&self.status) {
            let done = body.is_object() && (!is_status || body["status"] == "Success");
            return if done {
                Certain::Done
            } else {
                Certain::Unknown
            };
        }
        let refuses = (400..500).contains(&self.status)
            && self.status != 429
            && is_status
            && body["apiVersion"] == "v1"
            && body["code"] == self.status
            && body["status"] != "Success"
            && serde_json::from_value::<kube::core::Status>(body.clone()).is_ok();
        let about_it = body["details"]["kind"] == plural
            && (body["details"]["group"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
                || body["details"]["group"] == group);
        match self.status {
            _ if !refuses => Certain::Unknown,
            404 if *method == Method::GET && !about_it => Certain::Unknown,
            404 => Certain::Absent,
            409 => Certain::Conflict,
            _ => Certain::Refused,
        }
    }

    fn answer(&self) -> Answer {
        let mut pieces: Vec<Option<Result<Bytes, std::io::Error>>> = self
            .body
            .chunks(self.piece.min(self.body.len()).max(1))
            .map(|piece| Some(Ok(Bytes::copy_from_slice(piece))))
            .collect();
        let ending = self.ending;
        if ending == Ending::Broken {
            pieces.push(Some(Err(std::io::ErrorKind::ConnectionReset.into())));
        }
        let mut pieces = pieces.into_iter();
        let mut more = 0_usize;
        let frames = futures::stream::poll_fn(move |_| {
            if let Some(piece) = pieces.next() {
                return std::task::Poll::Ready(piece.map(|piece| piece.map(Frame::data)));
            }
            match ending {
                Ending::Silent => std::task::Poll::Pending,
                Ending::Endless => {
                    more += PIECE;
                    assert!(
                        more <= MOST_READ,
                        "{more} bytes of an endless answer were read"
                    );
                    let piece = Frame::data(Bytes::from(vec![b' '; PIECE]));
                    std::task::Poll::Ready(Some(Ok(piece)))
                }
                Ending::Whole | Ending::Broken => std::task::Poll::Ready(None),
            }
        });
        let mut answer = world::with_body(self.status, StreamBody::new(frames).boxed_unsync());
        for (name, value) in &self.headers {
            answer.headers_mut().append(name, value.clone());
        }
        answer
    }
}

const PIECE: usize = 128 << 10;
const MOST_READ: usize = 8 << 20;

const PLACES: [&str; 9] = [
    "/kind",
    "/apiVersion",
    "/status",
    "/message",
    "/reason",
    "/code",
    "/details",
    "/details/kind",
    "/metadata/uid",
];

fn refusal(choices: &Choices, code: u16) -> Value {
    let reason = choices.one_of(&[
        "NotFound",
        "AlreadyExists",
        "Conflict",
        "Forbidden",
        "",
        "New",
    ]);
    let kind = choices.one_of(&["pods", "leases", "namespaces", ""]);
    let group = choices.one_of(&["", "coordination.k8s.io", "other"]);
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "told so", "reason": reason, "code": code,
        "details": {"name": "me", "kind": kind, "group": group},
    })
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "me", "namespace": "shop", "uid": "u", "resourceVersion": "5",
            "annotations": {},
        },
        "spec": {"containers": [{"name": "main"}]},
    })
}

/// The own Pod is read, and this is what comes.
async fn read(told: Told) {
    let client = world::client({
        let told = told.clone();
        move |asked| {
            assert!(asked.method == Method::GET && asked.path == "/api/v1/namespaces/shop/pods/me");
            let answer = told.answer();
            async { answer }.boxed()
        }
    });
    let sources = FixedSources::new()
        .env("NAMESPACE", "shop")
        .env("POD_NAME", "me");
    let began = Instant::now();
    let context = match ContextInfo::discover_from(&client, &sources, None).await {
        Ok(context) => context,
        Err(error) => panic!("a Pod that is not known is no error here: {error}"),
    };
    assert!(began.elapsed() <= LONGEST_READ, "{:?}", began.elapsed());
    let certain = told.certain(&Method::GET, "pods", "");
    let pod = context.own_pod();
    if let Err(error) = &pod {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() < 8_000, "{text}");
    }
    let fits = match (certain, &pod) {
        (Certain::Done, Ok(pod)) => pod.uid() == body_text(&told, "/metadata/uid"),
        (Certain::Done, Err(error)) => {
            matches!(
                error,
                ContextError::PodUnread(_) | ContextError::MirrorPod(_)
            )
        }
        (Certain::Absent, Err(error)) => matches!(error, ContextError::PodNotFound { .. }),
        (Certain::Refused, Err(error)) => matches!(error, ContextError::PodRefused(_)),
        (_, Err(error)) => matches!(error, ContextError::PodUnread(_)),
        (_, Ok(_)) => false,
    };
    assert!(fits, "{certain:?} was taken for {pod:?}: {}", show(&told));
}

fn body_text(told: &Told, place: &str) -> String {
    let body: Value = serde_json::from_slice(&told.body).unwrap_or_default();
    let text = body.pointer(place).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn show(told: &Told) -> String {
    let body = String::from_utf8_lossy(&told.body);
    format!("{} {:?} {body}", told.status, told.ending)
}

/// A Lease is created, and this is what comes: what is unknown is settled by a read before
/// anything else, and grants nothing.
async fn write(told: Told) {
    let calls: Arc<Mutex<Vec<Method>>> = Arc::default();
    let client = world::client({
        let (calls, told) = (Arc::clone(&calls), told.clone());
        move |asked| {
            if asked.is_watch() {
                return world::silence().boxed();
            }
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(asked.method.clone());
            let answer = match calls.len() {
                1 => Some(world::answer(404, world::status(404, "NotFound", "leases"))),
                2 => Some(told.answer()),
                _ => None,
            };
            async {
                match answer {
                    Some(answer) => answer,
                    None => world::silence().await,
                }
            }
            .boxed()
        }
    });
    let election = LeaderElection::lease_lock("nightly")
        .clock(world::clock(1_000))
        .seed(1)
        .build_over(client, ContextInfo::outside("shop", "me"));
    let Ok(election) = election else {
        panic!("no election")
    };
    // Longer than the two calls may take, and shorter than a third one would.
    let acquired = tokio::time::timeout(Duration::from_secs(5), election.acquire()).await;
    let leads = matches!(&acquired, Ok(Ok(leadership)) if leadership.is_leading());
    let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(calls.starts_with(&[Method::GET, Method::POST]), "{calls:?}");
    let certain = told.certain(&Method::POST, "leases", "coordination.k8s.io");
    if leads {
        assert_eq!(certain, Certain::Done, "leads by {}", show(&told));
    }
    if certain == Certain::Unknown || certain == Certain::Conflict {
        let next = calls.get(2);
        assert_eq!(next, Some(&Method::GET), "{certain:?}: {}", show(&told));
    }
}

//! What every target's story needs: time that stands still unless everybody waits, a clock that
//! notices who goes round in circles, and a server that answers as it is told.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};
use tenure::{
    Instant,
    clock::{Clock, SharedClock, Sleep, TokioClock},
};
use tenure_core::MicroTime;
use tokio::sync::mpsc;

/// A body that the server sends.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// Run a story on paused time: it moves only when everybody waits.
pub(crate) fn tell(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(story),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// A request as the server sees it.
pub(crate) struct Asked {
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} {}: no JSON was sent: {error}", self.method, self.path),
        }
    }
}

/// A client of a server that answers by `answer`.
pub(crate) fn client<F>(answer: F) -> kube::Client
where
    F: Fn(Asked) -> BoxFuture<'static, Answer> + Clone + Send + 'static,
{
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(error) => panic!("the request has no whole body: {error}"),
            };
            let asked = Asked {
                method: head.method,
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                body,
            };
            Ok::<_, Infallible>(answer(asked).await)
        }
    });
    kube::Client::new(service, "default")
}

/// An answer of this status and body.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {});
    with_body(status, body.boxed_unsync())
}

pub(crate) fn with_body(status: u16, body: UnsyncBoxBody<Bytes, std::io::Error>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

/// What goes into a body that is sent piece by piece.
pub(crate) type Pieces = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// A body that lasts until its sender is dropped.
pub(crate) fn pieces() -> (Pieces, UnsyncBoxBody<Bytes, std::io::Error>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece: Result<Bytes, std::io::Error> = receiver.recv().await?;
        Some((piece.map(http_body::Frame::data), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// A `Status` of failure as the API server writes it.
pub(crate) fn status(code: u16, reason: &str, kind: &str) -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "told so", "reason": reason, "code": code,
        "details": {"name": "x", "kind": kind},
    })
    .to_string()
}

/// Never.
pub(crate) async fn silence() -> Answer {
    std::future::pending().await
}

/// A clock on tokio's time that panics when the election's task goes round and round without
/// anything happening.
#[derive(Debug)]
struct Watched {
    clock: TokioClock,
    last: AtomicU64,
    rounds: AtomicU32,
    most: u32,
}

/// A clock for an election. Its task may sleep `most` times within one moment.
pub(crate) fn clock(most: u32) -> SharedClock {
    Arc::new(Watched {
        clock: TokioClock::new(),
        last: AtomicU64::new(0),
        rounds: AtomicU32::new(0),
        most,
    })
}

impl Clock for Watched {
    fn mono(&self) -> Instant {
        self.clock.mono()
    }

    fn wall(&self) -> MicroTime {
        self.clock.wall()
    }

    fn sleep_until(&self, until: Instant) -> Sleep {
        let now = self.clock.mono().as_nanos();
        if self.last.swap(now, Ordering::Relaxed) == now {
            let rounds = self.rounds.fetch_add(1, Ordering::Relaxed);
            assert!(rounds < self.most, "the election goes round in circles");
        } else {
            self.rounds.store(0, Ordering::Relaxed);
        }
        self.clock.sleep_until(until)
    }
}

//! The network, as a process sees it: a service that takes its requests, and bodies that the world
//! fills.

use std::{
    io,
    pin::Pin,
    sync::{Arc, PoisonError, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::{mpsc, oneshot};
use tower::Service;

use crate::trace::Seeing;

use super::inside::{Inside, Out, Outgoing};

/// What the world answers.
pub(super) enum Answer {
    /// The connection is lost.
    Lost,
    /// An answer begins.
    Begins(StatusCode, HeaderMap, Feed),
}

/// Where the pieces of an answer come from.
pub(super) type Feed = mpsc::UnboundedReceiver<Piece>;

/// A piece of an answer.
pub(super) enum Piece {
    /// Bytes; whoever reads them knows of the lock, if they are about it: of that resourceVersion,
    /// or 0 where there is none in them.
    Bytes(Bytes, Option<(u64, Seeing)>),
    /// The connection breaks off.
    Broken,
}

/// The network of one process.
pub(super) struct Network {
    pub(super) inside: Arc<Inside>,
    /// How long the library waits for an answer.
    pub(super) limit: Duration,
}

impl Service<Request<Body>> for Network {
    type Response = Response<Fed>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Response<Fed>, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inside = Arc::clone(&self.inside);
        let (parts, body) = request.into_parts();
        let body = match body.collect().now_or_never() {
            Some(Ok(body)) => body.to_bytes(),
            _ => return Box::pin(async { Err(io::Error::other("a body that is not there")) }),
        };
        let stop = inside
            .stop_before_send
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(nanos) = stop {
            inside.clock.jump(nanos, true);
        }
        if parts.method != Method::GET {
            inside.writes(&body);
        }
        // Belief as it is when the first byte leaves.
        inside.look(inside.clock.reading(), false);
        let (answer, answered) = oneshot::channel();
        let number = inside.next_number();
        inside.emit(Out::Request(Box::new(Outgoing {
            number,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
            idle: inside.is_idle(),
            answer,
        })));
        inside.gate.stop.store(true, Ordering::Relaxed);
        inside.clock.expect(self.limit + Duration::from_millis(1));
        Box::pin(async move {
            let lost = || io::Error::new(io::ErrorKind::ConnectionReset, "the connection was lost");
            match answered.await {
                Ok(Answer::Begins(status, headers, feed)) => {
                    inside.streams.fetch_add(1, Ordering::Relaxed);
                    let mut response = Response::new(Fed { feed, inside });
                    *response.status_mut() = status;
                    *response.headers_mut() = headers;
                    Ok(response)
                }
                Ok(Answer::Lost) | Err(_) => Err(lost()),
            }
        })
    }
}

/// A body that the world fills.
pub(super) struct Fed {
    feed: Feed,
    inside: Arc<Inside>,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.feed.poll_recv(cx).map(|piece| {
            piece.map(|piece| match piece {
                Piece::Bytes(bytes, teaches) => {
                    if let Some((version, how)) = teaches {
                        self.inside.sees(version, how);
                    }
                    Ok(Frame::data(bytes))
                }
                Piece::Broken => Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the connection broke off",
                )),
            })
        })
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.inside.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

//! The bodies of answers: one piece, or the events of a watch.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Frame, SizeHint};

/// A connection that ended without an answer, or in the middle of one: what an injected fault
/// does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost: a fault that the test injected into this server took it")]
pub struct ConnectionLost;

/// The body of an answer.
///
/// Dropping it ends the watch behind it; nothing else is lost with it.
pub struct ResponseBody(Content);

enum Content {
    Whole(Option<Bytes>),
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
    Lost,
}

impl ResponseBody {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Content::Whole(Some(bytes.into())))
    }

    pub(crate) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Content::Events(Box::pin(stream)))
    }

    pub(crate) fn lost() -> Self {
        Self(Content::Lost)
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Content::Whole(_) => "ResponseBody::Whole",
            Content::Events(_) => "ResponseBody::Events",
            Content::Lost => "ResponseBody::Lost",
        })
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = ConnectionLost;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionLost>>> {
        match &mut self.0 {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Content::Events(stream) => {
                let next = stream.as_mut().poll_next(cx);
                if matches!(next, Poll::Ready(None)) {
                    // Not every stream may be asked once more, and a body may.
                    self.0 = Content::Whole(None);
                }
                next.map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
            Content::Lost => {
                self.0 = Content::Whole(None);
                Poll::Ready(Some(Err(ConnectionLost)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Content::Events(_) | Content::Lost => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn events_that_are_over_stay_over_however_often_they_are_asked_for() {
        let one = futures::stream::unfold(true, async |first| {
            first.then_some((Bytes::from_static(b"{}"), false))
        });
        let mut body = ResponseBody::events(one);
        assert!(matches!(body.frame().now_or_never(), Some(Some(Ok(_)))));
        assert!(!body.is_end_stream());
        for _ in 0..2 {
            assert!(matches!(body.frame().now_or_never(), Some(None)));
            assert!(body.is_end_stream());
        }
    }
}

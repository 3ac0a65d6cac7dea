//! `GET /v1/watch`: what is known now, and each change, as server-sent events.
//!
//! A reader gets what is newest when it reads: nothing is kept for one that is slow. Nobody may act
//! by an event, whose age its reader cannot know; so none says for how long it holds.

use std::{convert::Infallible, sync::Arc, sync::atomic::Ordering, time::Duration};

use axum::{
    http::StatusCode,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{answer::Refusal, desk::Desk, said::Said};

/// The readers that there may be at once.
#[derive(Debug)]
pub(super) struct Watchers {
    places: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

pub(super) const MOST_WATCHERS: usize = 32;
/// A comment is sent that often where nothing else is.
const HEARTBEAT: Duration = Duration::from_secs(10);

impl Watchers {
    /// They end when `closing` says so.
    pub(super) fn new(closing: watch::Receiver<bool>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST_WATCHERS)),
            closing,
        }
    }

    pub(super) fn watch(&self, desk: &Arc<Desk>) -> Response {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{MOST_WATCHERS} watch already, which is all that there may be"),
                "ask /v1/status now and then, or end another watch",
            )
            .into_response();
        };
        desk.counters.watchers.fetch_add(1, Ordering::Relaxed);
        let reader = Reader {
            changes: desk.changes(),
            desk: Arc::clone(desk),
            closing: self.closing.clone(),
            said: None,
            _place: place,
        };
        let alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
        Sse::new(reader.events()).keep_alive(alive).into_response()
    }
}

struct Reader {
    desk: Arc<Desk>,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    said: Option<Said>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut reader| async move {
            let said = reader.next().await?;
            // What cannot be written as JSON, which nothing here is, would be an empty event.
            let event = Event::default().event("status").json_data(&said);
            reader.said = Some(said);
            Some((Ok(event.unwrap_or_default()), reader))
        })
    }

    /// The next that says something else than the one before. Cancel safe.
    async fn next(&mut self) -> Option<Said> {
        loop {
            self.changes.mark_unchanged();
            let now = self.desk.look();
            if !self.said.as_ref().is_some_and(|said| said.says_as(&now)) {
                return Some(now);
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return None,
                changed = self.changes.changed() => changed.ok()?,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.desk.counters.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

//! One watch on one object, for ever. A hint that speeds things up, never the ground for leading
//! (L15): whatever happens to it, the core's timers go on.

use std::{future::Future, pin::Pin, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use kube::Client;
use tokio::time::{Sleep, sleep, timeout};

use super::{
    Watched,
    events::{End, Events, Shown},
};
use crate::call::get_path;

/// How long the server keeps one watch open.
pub(super) const SERVER_SIDE: Duration = Duration::from_secs(290);
/// A stream that outlives that by so much is blind.
pub(super) const CLIENT_SIDE: Duration = Duration::from_secs(320);
/// How long opening one may take.
pub(super) const OPENING: Duration = Duration::from_secs(10);
/// The pause before a watch that failed is opened again: doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The same, where there is no right to watch.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

/// Watch the objects of `collection` (a path) whose name is `name`.
///
/// It goes on where it is asked, in no task of its own: of three hundred who stand by each hears of a
/// renewal at the price of one wake-up less.
pub(super) fn watch(client: Client, collection: &str, name: String) -> BoxStream<'static, Watched> {
    // Without a resourceVersion: the present state first, then what follows. With one object
    // there is nothing to resume.
    let query = format!(
        "{collection}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={}\
         &allowWatchBookmarks=false",
        SERVER_SIDE.as_secs()
    );
    let watching = Watching {
        client,
        query,
        name,
        pauses: Pauses::new(),
        state: State::Closed(Duration::ZERO),
    };
    futures::stream::unfold(watching, |mut watching| async move {
        let watched = watching.next().await;
        Some((watched, watching))
    })
    .boxed()
}

struct Watching {
    client: Client,
    query: String,
    name: String,
    pauses: Pauses,
    state: State,
}

enum State {
    /// To be opened after so long.
    Closed(Duration),
    Open {
        events: Events,
        /// Ends when it is blind.
        over: Pin<Box<Sleep>>,
    },
}

impl Watching {
    async fn next(&mut self) -> Watched {
        match &mut self.state {
            State::Closed(rest) => {
                if !rest.is_zero() {
                    sleep(*rest).await;
                }
                // Boxed: it is big, and over soon.
                let opening = Events::of_one(&self.client, get_path(&self.query), &self.name);
                match Box::pin(open(OPENING, opening)).await {
                    Ok(events) => {
                        self.pauses.opened();
                        let over = Box::pin(sleep(CLIENT_SIDE));
                        self.state = State::Open { events, over };
                        Watched::Opened
                    }
                    Err(end) => self.closed(Some(end)),
                }
            }
            State::Open { events, over } => {
                let event = tokio::select! {
                    biased;
                    () = over => Ok(None),
                    event = of_the_object(events) => event,
                };
                match event {
                    Ok(Some(watched)) => watched,
                    Ok(None) => self.closed(None),
                    Err(end) => self.closed(Some(end)),
                }
            }
        }
    }

    fn closed(&mut self, end: Option<End>) -> Watched {
        self.state = State::Closed(self.pauses.next(end.as_ref()));
        let (error, forbidden) = match end {
            Some(end) => (Some(end.error), end.forbidden),
            None => (None, false),
        };
        Watched::Closed { error, forbidden }
    }
}

async fn of_the_object(events: &mut Events) -> Result<Option<Watched>, End> {
    loop {
        return Ok(match events.next().await? {
            None => None,
            Some(Shown::Seen(heard)) => Some(Watched::Seen(heard.whole()?)),
            Some(Shown::Gone(heard)) => Some(Watched::Gone(heard.whole()?)),
            Some(Shown::Bookmark(_)) => continue,
        });
    }
}

/// A task that ends with this.
pub(super) struct Abort(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long to rest before a watch is opened again.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// It could be opened.
    pub(super) fn opened(&mut self) {
        self.0 = FIRST_PAUSE;
    }

    /// After that end.
    pub(super) fn next(&mut self, end: Option<&End>) -> Duration {
        let rest = match end {
            Some(End {
                forbidden: true, ..
            }) => FORBIDDEN_PAUSE,
            Some(_) => self.0,
            None => FIRST_PAUSE,
        };
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        rest
    }
}

/// Open one, if that does not take too long.
pub(super) async fn open(
    limit: Duration,
    opening: impl Future<Output = Result<Events, End>>,
) -> Result<Events, End> {
    match timeout(limit, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(End::because("opening the watch took too long".to_owned())),
    }
}

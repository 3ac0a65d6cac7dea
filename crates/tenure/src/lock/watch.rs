//! One watch on one object, for ever. A hint that speeds things up, never the ground for leading
//! (L15): whatever happens to it, the core's timers go on.

use std::{future::Future, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use kube::Client;
use tokio::{sync::mpsc, time::timeout};

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
pub(super) fn watch(
    client: Client,
    collection: String,
    name: String,
) -> BoxStream<'static, Watched> {
    let (events, receiver) = mpsc::channel(16);
    let task = Abort(tokio::spawn(keep_watching(
        client, collection, name, events,
    )));
    futures::stream::unfold((receiver, task), |(mut receiver, task)| async move {
        let event = receiver.recv().await?;
        Some((event, (receiver, task)))
    })
    .boxed()
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

async fn keep_watching(
    client: Client,
    collection: String,
    name: String,
    to: mpsc::Sender<Watched>,
) {
    let mut pauses = Pauses::new();
    loop {
        let end = watch_once(&client, &collection, &name, &to, &mut pauses).await;
        let rest = pauses.next(end.as_ref().err());
        let (error, forbidden) = match end {
            Ok(()) => (None, false),
            Err(end) => (Some(end.error), end.forbidden),
        };
        if to.send(Watched::Closed { error, forbidden }).await.is_err() {
            return;
        }
        tokio::time::sleep(rest).await;
    }
}

async fn watch_once(
    client: &Client,
    collection: &str,
    name: &str,
    to: &mpsc::Sender<Watched>,
    pauses: &mut Pauses,
) -> Result<(), End> {
    // Without a resourceVersion: the present state first, then what follows. With one object
    // there is nothing to resume.
    let query = format!(
        "{collection}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={}\
         &allowWatchBookmarks=false",
        SERVER_SIDE.as_secs()
    );
    let mut events = open(OPENING, Events::of_one(client, get_path(&query), name)).await?;
    if to.send(Watched::Opened).await.is_err() {
        return Ok(());
    }
    pauses.opened();
    let over = tokio::time::sleep(CLIENT_SIDE);
    tokio::pin!(over);
    loop {
        let event = tokio::select! {
            biased;
            () = &mut over => return Ok(()),
            event = events.next() => event,
        };
        let watched = match event? {
            None => return Ok(()),
            Some(Shown::Seen(sent)) => Watched::Seen(sent),
            Some(Shown::Gone(sent)) => Watched::Gone(sent),
            Some(Shown::Bookmark(_)) => continue,
        };
        if to.send(watched).await.is_err() {
            return Ok(());
        }
    }
}

//! One watch on one object, for ever. A hint that speeds things up, never the ground for leading
//! (L15): whatever happens to it, the core's timers go on.

use std::time::Duration;

use futures::{StreamExt, stream::BoxStream};
use kube::Client;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Watched,
    events::{End, Events, Shown},
};
use crate::call::get_path;

/// How long the server keeps one watch open.
const SERVER_SIDE: Duration = Duration::from_secs(290);
/// A stream that outlives that by so much is blind.
const CLIENT_SIDE: Duration = Duration::from_secs(320);
/// How long opening one may take.
const OPENING: Duration = Duration::from_secs(10);
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

struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_watching(
    client: Client,
    collection: String,
    name: String,
    to: mpsc::Sender<Watched>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let end = watch_once(&client, &collection, &name, &to, &mut pause).await;
        let (error, forbidden) = match end {
            Ok(()) => (None, false),
            Err(end) => (Some(end.error), end.forbidden),
        };
        let rest = match (&error, forbidden) {
            (_, true) => FORBIDDEN_PAUSE,
            (Some(_), false) => pause,
            (None, false) => FIRST_PAUSE,
        };
        pause = (pause * 2).min(LONGEST_PAUSE);
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
    pause: &mut Duration,
) -> Result<(), End> {
    // Without a resourceVersion: the present state first, then what follows. With one object
    // there is nothing to resume.
    let query = format!(
        "{collection}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={}\
         &allowWatchBookmarks=false",
        SERVER_SIDE.as_secs()
    );
    let opening = Events::open(client, get_path(&query), name);
    let Ok(opened) = timeout(OPENING, opening).await else {
        return Err(End {
            error: "opening the watch took too long".to_owned(),
            forbidden: false,
        });
    };
    let mut events = opened?;
    if to.send(Watched::Opened).await.is_err() {
        return Ok(());
    }
    *pause = FIRST_PAUSE;
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
            Some(Shown::Seen(object)) => Watched::Seen(object),
            Some(Shown::Gone(object)) => Watched::Gone(object),
        };
        if to.send(watched).await.is_err() {
            return Ok(());
        }
    }
}

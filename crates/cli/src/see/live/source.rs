//! Locks as they change: a list, and a watch from there on, for each kind; again when it ends.

use std::{sync::Arc, time::Duration};

use futures::{AsyncRead, AsyncReadExt as _, pin_mut};
use serde_json::Value;
use tokio::sync::{mpsc::Sender, watch::Receiver};

use crate::see::{
    api::{Api, Refusal, collection, escaped},
    clock::wall,
    gather::{Wanted, lacking},
    kind::Kind,
    lock::{Lock, NODE_LEASES},
    pods::Pod,
};

/// Something about the cluster.
pub(crate) enum News {
    /// All of that kind.
    All(Kind, Vec<Lock>),
    One(Lock),
    Gone(Lock),
    /// A watch ended: until the next list, something may be missed.
    Torn(Kind),
    Pods(Option<Vec<Pod>>),
    /// The server has answered what was asked at that time, in microseconds since 1970.
    Heard(i64),
    /// Of what cannot be seen, or is seen again: whose trouble it is, and which.
    Trouble(&'static str, Option<String>),
}

/// From a failure to the next try.
const PAUSE: Duration = Duration::from_secs(2);
/// Kinds that are not there, or not to be seen, may be there later.
const LONG_PAUSE: Duration = Duration::from_secs(30);
const PODS_EVERY: Duration = Duration::from_secs(10);
const HEART_EVERY: Duration = Duration::from_secs(2);
/// The longest line of a watch that is taken.
const MOST_BYTES: usize = 4 << 20;
/// A watch can go blind (L15), so none is trusted for ever: the server ends it after that long, and
/// this side a little later.
const WATCH_SECONDS: u64 = 290;
const WATCH_LIMIT: Duration = Duration::from_secs(300);

/// What the server itself is called among the troubles.
pub(crate) const SERVER: &str = "server";

/// Tells about one kind for ever. Ends when nobody listens. `cut` changes when the server was found
/// not to answer: what was open then may never end by itself.
pub(crate) async fn follow(
    api: Arc<Api>,
    kind: Kind,
    wanted: Wanted,
    tell: Sender<News>,
    mut cut: Receiver<()>,
) {
    let path = collection(
        kind.group(),
        "v1",
        kind.plural(),
        wanted.namespace.as_deref(),
    );
    let selector = wanted.selector(kind);
    let named = wanted.name.is_some() || wanted.namespace.as_deref() == Some(NODE_LEASES);
    // A ConfigMap that holds something is a lock only to whoever says so.
    let named = named && (kind != Kind::ConfigMap || wanted.kind.is_some());
    while !tell.is_closed() {
        let pause = match api.list_at(&path, &selector, false).await {
            Ok((objects, version)) => {
                let locks = objects
                    .iter()
                    .filter_map(|object| Lock::read(kind, object, named));
                let locks = locks.collect();
                if tell.send(News::All(kind, locks)).await.is_err() {
                    return;
                }
                let uri = format!(
                    "{path}?watch=true&allowWatchBookmarks=false&timeoutSeconds={WATCH_SECONDS}\
                     &resourceVersion={}&{selector}",
                    escaped(&version)
                );
                cut.mark_unchanged();
                let watching = Box::pin(watch(&api, uri, kind, named, &tell));
                // How it ended does not matter, if it ever began: what was missed is in the next list.
                let refused = tokio::select! {
                    ended = tokio::time::timeout(WATCH_LIMIT, watching) => ended.ok().flatten(),
                    _ = cut.changed() => None,
                };
                if let Some(refusal) = refused {
                    trouble(&tell, (kind.plural(), "watch"), &wanted, &refusal).await;
                }
                if tell.send(News::Torn(kind)).await.is_err() {
                    return;
                }
                PAUSE
            }
            // Most clusters have no LeaderLocks.
            Err(Refusal::NotFound) => LONG_PAUSE,
            Err(refusal) => {
                let _ = tell.send(News::Torn(kind)).await;
                trouble(&tell, (kind.plural(), "list"), &wanted, &refusal).await;
                if matches!(refusal, Refusal::Forbidden(_)) {
                    LONG_PAUSE
                } else {
                    PAUSE
                }
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Tells about Pods, now and then.
pub(crate) async fn pods(api: Arc<Api>, wanted: Wanted, tell: Sender<News>) {
    const PODS: &str = "pods";
    let path = collection("", "v1", PODS, wanted.namespace.as_deref());
    loop {
        let pods = match api.list(&path, "", false).await {
            Ok(pods) => {
                let _ = tell.send(News::Trouble(PODS, None)).await;
                Some(pods.iter().filter_map(Pod::read).collect())
            }
            Err(refusal) => {
                trouble(&tell, (PODS, "list"), &wanted, &refusal).await;
                None
            }
        };
        if tell.send(News::Pods(pods)).await.is_err() {
            return;
        }
        tokio::time::sleep(PODS_EVERY).await;
    }
}

/// Tells whether the server answers at all, and cuts what is open when it does not.
pub(crate) async fn heart(api: Arc<Api>, tell: Sender<News>, cut: tokio::sync::watch::Sender<()>) {
    loop {
        let asked = wall();
        // Whether it says its version does not matter: that it answers does.
        let told = if let Err(Refusal::Silent(told, _)) = api.get("/version").await {
            cut.send_replace(());
            Some(told)
        } else {
            let _ = tell.send(News::Heard(asked)).await;
            None
        };
        if tell.send(News::Trouble(SERVER, told)).await.is_err() {
            return;
        }
        tokio::time::sleep(HEART_EVERY).await;
    }
}

/// Of a server that does not answer, its heart tells once for all.
async fn trouble(
    tell: &Sender<News>,
    (what, verb): (&'static str, &str),
    wanted: &Wanted,
    refusal: &Refusal,
) {
    let lacking = match refusal {
        Refusal::Silent(..) => return,
        _ if verb == "list" => lacking(what, verb, &wanted.place(), refusal),
        _ => format!(
            "{what} are shown late, for want of a watch: {}",
            refusal.told()
        ),
    };
    let _ = tell.send(News::Trouble(what, Some(lacking))).await;
}

/// Until it ends, or why it never began.
async fn watch(
    api: &Api,
    uri: String,
    kind: Kind,
    named: bool,
    tell: &Sender<News>,
) -> Option<Refusal> {
    match api.watch(&uri).await {
        Ok(stream) => {
            let _ = tell.send(News::Trouble(kind.plural(), None)).await;
            events(stream, kind, named, tell).await;
            None
        }
        Err(refusal) => Some(refusal),
    }
}

async fn events(
    stream: impl AsyncRead,
    kind: Kind,
    named: bool,
    tell: &Sender<News>,
) -> Option<()> {
    pin_mut!(stream);
    let mut lines = Lines {
        reader: stream,
        buffer: Vec::new(),
        looked: 0,
    };
    while let Some(line) = lines.next().await {
        let event: Value = serde_json::from_slice(&line).ok()?;
        let read = Lock::read(kind, &event["object"], named);
        match (event["type"].as_str()?, read) {
            ("ADDED" | "MODIFIED", Some(lock)) => tell.send(News::One(lock)).await.ok()?,
            ("DELETED", Some(lock)) => tell.send(News::Gone(lock)).await.ok()?,
            // What was a lock may have become something else.
            ("MODIFIED", None) => {
                if let Some(lock) = Lock::read(kind, &event["object"], true) {
                    tell.send(News::Gone(lock)).await.ok()?;
                }
            }
            ("ERROR", _) => return None,
            _ => {}
        }
    }
    Some(())
}

/// Lines of bounded length.
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// How much of the buffer has no end of a line in it.
    looked: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer[self.looked..]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(end) = found {
                let rest = self.buffer.split_off(self.looked + end + 1);
                self.looked = 0;
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            self.looked = self.buffer.len();
            if self.buffer.len() > MOST_BYTES {
                return None;
            }
            let mut some = vec![0; 16 << 10];
            match self.reader.read(&mut some).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.buffer.extend_from_slice(&some[..read]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_told_apart_and_one_without_an_end_is_given_up() {
        let mut lines = Lines {
            reader: &b"one\n\ntwo\nrest"[..],
            buffer: Vec::new(),
            looked: 0,
        };
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(all, ["one\n", "\n", "two\n"]);
        let endless = vec![b'x'; MOST_BYTES * 2];
        let mut lines = Lines {
            reader: &endless[..],
            buffer: Vec::new(),
            looked: 0,
        };
        assert_eq!(lines.next().await, None);
        assert!(lines.buffer.len() < MOST_BYTES + (32 << 10));
    }
}

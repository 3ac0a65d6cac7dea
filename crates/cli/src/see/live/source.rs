//! Locks as they change: a list, and a watch from there on, for each kind; again when it ends.

use std::{sync::Arc, time::Duration};

use futures::{AsyncRead, AsyncReadExt as _, pin_mut};
use http::Request;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use crate::see::{
    api::{Api, Refusal, collection, escaped},
    gather::Wanted,
    lock::{Kind, Lock, NODE_LEASES},
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
    /// Something cannot be seen.
    Trouble(String),
}

/// From a failure to the next try.
const PAUSE: Duration = Duration::from_secs(2);
/// Kinds that are not there, or not to be seen, may be there later.
const LONG_PAUSE: Duration = Duration::from_secs(30);
const PODS_EVERY: Duration = Duration::from_secs(10);
/// The longest line of a watch that is taken.
const MOST_BYTES: usize = 4 << 20;

/// Tells about one kind for ever. Ends when nobody listens.
pub(crate) async fn follow(api: Arc<Api>, kind: Kind, wanted: Wanted, tell: Sender<News>) {
    let path = collection(
        kind.group(),
        "v1",
        kind.plural(),
        wanted.namespace.as_deref(),
    );
    let selector = match &wanted.name {
        Some(name) => format!("fieldSelector=metadata.name%3D{name}"),
        None => String::new(),
    };
    let named = wanted.name.is_some() || wanted.namespace.as_deref() == Some(NODE_LEASES);
    // A ConfigMap that holds something is a lock only to whoever says so.
    let named = named && (kind != Kind::ConfigMap || wanted.kind.is_some());
    let mut told = None;
    while !tell.is_closed() {
        let pause = match api.list_at(&path, &selector, false).await {
            Ok((objects, version)) => {
                told = None;
                let locks = objects
                    .iter()
                    .filter_map(|object| Lock::read(kind, object, named));
                let locks = locks.collect();
                if tell.send(News::All(kind, locks)).await.is_err() {
                    return;
                }
                let uri = format!(
                    "{path}?watch=true&allowWatchBookmarks=false&resourceVersion={}&{selector}",
                    escaped(&version)
                );
                // How it ended does not matter: what was missed is in the next list.
                let _ = Box::pin(watch(&api, uri, kind, named, &tell)).await;
                if tell.send(News::Torn(kind)).await.is_err() {
                    return;
                }
                PAUSE
            }
            // Most clusters have no LeaderLocks.
            Err(Refusal::NotFound) => LONG_PAUSE,
            Err(refusal) => {
                let trouble = format!("{} are not shown: {}", kind.plural(), refusal.told());
                if told.as_ref() != Some(&trouble) {
                    let _ = tell.send(News::Torn(kind)).await;
                    let _ = tell.send(News::Trouble(trouble.clone())).await;
                    told = Some(trouble);
                }
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
    let path = collection("", "v1", "pods", wanted.namespace.as_deref());
    loop {
        let pods = api.list(&path, "", false).await;
        let pods = pods
            .ok()
            .map(|pods| pods.iter().filter_map(Pod::read).collect());
        if tell.send(News::Pods(pods)).await.is_err() {
            return;
        }
        tokio::time::sleep(PODS_EVERY).await;
    }
}

async fn watch(api: &Api, uri: String, kind: Kind, named: bool, tell: &Sender<News>) -> Option<()> {
    let request = Request::get(uri).body(Vec::new()).ok()?;
    let stream = api.client().request_stream(request).await.ok()?;
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

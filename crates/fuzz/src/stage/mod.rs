//! The stage that both kinds of lock are played on: one object on a server that may lie, hang and
//! refuse, strangers who write to it, and a book of everything that the candidate was shown.

mod answers;
mod book;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) use self::{
    answers::Way,
    book::{Book, version},
};
use crate::{
    choices::Choices,
    strange,
    world::{self, Answer, Asked, Pieces},
};

/// The name of the lock in every story.
pub(crate) const LOCK: &str = "nightly";

/// What differs between the kinds of lock.
pub(crate) trait Play: Send + 'static {
    /// The path of all locks of this kind.
    fn collection(&self) -> &str;

    /// A write is about to be answered: check that it may be made at all.
    fn check_write(&mut self, book: &Book, asked: &Asked);

    /// The candidate is shown this.
    fn shown(&mut self, object: &Value);

    /// The candidate learns that its own write was applied, and that this came of it.
    fn applied(&mut self, asked: &Asked, object: &Value);

    /// A state of the lock that a stranger makes; `None` removes it.
    fn strange_state(
        &mut self,
        choices: &Choices,
        now: Option<&Value>,
        past: &[Value],
    ) -> Option<Value>;

    /// The answer to a call that is not about the lock.
    fn aside(&mut self, choices: &Choices, asked: &Asked, quiet: bool) -> Option<Answer>;

    /// The places that are worth mangling.
    fn places(&self) -> &'static [&'static str];
}

/// A server with one object on it.
pub(crate) struct Stage<P> {
    pub(crate) play: P,
    pub(crate) book: Book,
    pub(crate) choices: Choices,
    /// From here on the server is honest and quick.
    pub(crate) quiet: bool,
    object: Option<Value>,
    past: Vec<Value>,
    revision: u64,
    uids: u64,
    watchers: Vec<Pieces>,
    calls: (Instant, u32),
}

/// A stage that the server and the story share.
pub(crate) struct Shared<P>(Arc<Mutex<Stage<P>>>);

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// How many calls a candidate may make within one moment.
const MOST_CALLS_AT_ONCE: u32 = 400;

impl<P: Play> Shared<P> {
    pub(crate) fn new(play: P, choices: Choices) -> Self {
        Self(Arc::new(Mutex::new(Stage {
            play,
            book: Book::default(),
            choices,
            quiet: false,
            object: None,
            past: Vec::new(),
            revision: 100,
            uids: 0,
            watchers: Vec::new(),
            calls: (Instant::now(), 0),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Stage<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> kube::Client {
        let stage = self.clone();
        world::client(move |asked| stage.clone().answer(asked))
    }

    /// What is asked for happens even if nobody waits for the answer any more, as on a network.
    fn answer(self, asked: Asked) -> BoxFuture<'static, Answer> {
        async move {
            let way = self.lock().receive(&asked);
            let happening = tokio::spawn(async move {
                tokio::time::sleep(way.before).await;
                let answer = self.lock().carry_out(&asked, &way);
                tokio::time::sleep(way.after).await;
                answer
            });
            match happening.await {
                Ok(Some(answer)) => answer,
                Ok(None) => world::silence().await,
                // A check failed: the panic has been seen.
                Err(_) => world::answer(500, ""),
            }
        }
        .boxed()
    }
}

impl<P: Play> Stage<P> {
    /// A stranger does something to the lock, and whoever watches is told.
    pub(crate) fn strangers_turn(&mut self) {
        let choices = self.choices.clone();
        let now = self.object.clone();
        match self.play.strange_state(&choices, now.as_ref(), &self.past) {
            Some(object) => {
                let version = choices.below(24);
                self.put(object, version);
            }
            None => self.remove(),
        }
    }

    /// Put it there under a new version: a usual one, unless `odd` says otherwise.
    pub(crate) fn put(&mut self, mut object: Value, odd: usize) {
        self.revision += 1;
        if self.object.is_none() || odd == 1 {
            self.uids += 1;
        }
        let uid = json!(format!("uid-{}", self.uids));
        let usual = json!(self.revision.to_string());
        let (uid, revision) = match odd {
            17 => (uid, json!("abc")),
            18 => (uid, json!("")),
            19 => (uid, json!(format!("00{}", self.revision))),
            20 => (uid, json!("9".repeat(30))),
            21 => (uid, Value::Null),
            22 => (Value::Null, usual),
            23 => (json!(7), json!(7)),
            _ => (uid, usual),
        };
        strange::put(&mut object, "/metadata/name", json!(LOCK));
        strange::put(&mut object, "/metadata/uid", uid);
        strange::put(&mut object, "/metadata/resourceVersion", revision);
        let kind = if self.object.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.store(&object, kind);
    }

    fn store(&mut self, object: &Value, kind: &str) {
        self.past.push(object.clone());
        self.object = Some(object.clone());
        self.tell(kind, object);
    }

    pub(crate) fn remove(&mut self) {
        self.revision += 1;
        if let Some(mut gone) = self.object.take() {
            let revision = json!(self.revision.to_string());
            strange::put(&mut gone, "/metadata/resourceVersion", revision);
            self.tell("DELETED", &gone);
        }
    }

    /// An event for everybody who watches.
    fn tell(&mut self, kind: &str, object: &Value) {
        if self.watchers.is_empty() {
            return;
        }
        if kind != "DELETED" {
            self.show(object);
        }
        self.send(format!("{}\n", json!({"type": kind, "object": object})));
    }

    fn show(&mut self, object: &Value) {
        self.book.shown(object);
        self.play.shown(object);
    }

    fn send(&mut self, line: String) {
        let line = Bytes::from(line);
        self.watchers
            .retain(|watcher| watcher.send(Ok(line.clone())).is_ok());
    }

    /// Something strange comes along the watch.
    pub(crate) fn strange_event(&mut self) {
        let choices = self.choices.clone();
        match choices.below(8) {
            0 => self.watchers.clear(),
            1 => {
                for watcher in self.watchers.drain(..) {
                    let _ = watcher.send(Err(std::io::ErrorKind::ConnectionReset.into()));
                }
            }
            2 => self.send("{\"type\":\"MODIFIED\",\"object\":\n".into()),
            3 => {
                let status = world::status(410, "Expired", "leases");
                self.send(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n"));
            }
            4 => self.send(
                "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Lease\",\"metadata\":\
                 {\"resourceVersion\":\"9000\"}}}\n"
                    .into(),
            ),
            5 => {
                // What was, again.
                let at = choices.below(self.past.len());
                if let Some(object) = self.past.get(at).cloned() {
                    self.tell("MODIFIED", &object);
                }
            }
            6 => {
                if let Some(object) = self.object.clone() {
                    self.tell("DELETED", &object);
                }
            }
            _ => {
                let mut object = self.object.clone().unwrap_or_default();
                strange::mangle(&choices, &mut object, self.play.places());
                strange::put(&mut object, "/metadata/name", json!(LOCK));
                self.tell("MODIFIED", &object);
            }
        }
    }

    /// Count the call, and choose the way it will go.
    fn receive(&mut self, asked: &Asked) -> Way {
        let now = Instant::now();
        if self.calls.0 == now {
            self.calls.1 += 1;
            assert!(
                self.calls.1 < MOST_CALLS_AT_ONCE,
                "the candidate calls without pause: {} {}",
                asked.method,
                asked.path
            );
        } else {
            self.calls = (now, 0);
        }
        let about_the_lock = asked.path.starts_with(self.play.collection());
        if about_the_lock && !asked.is_watch() && asked.method != http::Method::GET {
            self.play.check_write(&self.book, asked);
        }
        if self.quiet {
            Way::straight()
        } else {
            Way::choose(&self.choices)
        }
    }
}

/// Moments that a step of a story takes.
pub(crate) const STEPS: [Duration; 8] = [
    Duration::from_millis(100),
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(40),
];

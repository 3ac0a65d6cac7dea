//! Watch streams (L15): whatever bytes come along, in whatever pieces, the watch goes on. It is
//! opened again after every end, not too fast and not too late; events of other objects are passed
//! over; and what never ends is not collected.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tenure::{ContextInfo, LeaderElection, Status};
use tokio::time::Instant;

use crate::{
    choices::Choices,
    strange,
    world::{self, Answer, Asked},
};

const LOCK: &str = "nightly";
/// Who holds the locks of other names. Nobody may ever hear of them.
const STRANGER: &str = "stranger";
/// Who holds the lock at the end of each story.
const LAST: &str = "last";
/// A server closes a watch after 290 s, and a blind one is given up after 320 s; then comes a
/// pause of at most 60 s, and opening one may take 10 s.
const LONGEST_GAP: Duration = Duration::from_secs(400);
/// Watches follow each other more slowly than this.
const SHORTEST_GAP: Duration = Duration::from_millis(150);
/// An object has at most 1.5 MiB; what is longer is never collected.
const MOST_COLLECTED: usize = 8 << 20;
const PIECE: usize = 128 << 10;

pub(crate) fn run(input: &[u8]) {
    world::tell(story(Choices::new(input)));
}

async fn story(choices: Choices) {
    let server = Server(Arc::new(Mutex::new(State {
        choices: choices.clone(),
        revision: 10,
        opened: None,
        pieces: 0,
        endless: 0,
    })));
    let client = world::client({
        let server = server.clone();
        move |asked| server.answer(&asked)
    });
    // Nobody stands: what is known of the lock comes by the watch alone.
    let election = LeaderElection::lease_lock(LOCK)
        .clock(world::clock(100_000))
        .seed(1)
        .build_over(client, ContextInfo::outside("shop", "me"));
    let Ok(election) = election else {
        panic!("no election");
    };
    let mut quiet_since = Instant::now();
    loop {
        match holder(&election) {
            Some(name) if name == STRANGER => panic!("an event of another object was taken in"),
            Some(name) if name == LAST => return,
            _ => {}
        }
        if !choices.is_over() {
            quiet_since = Instant::now();
        }
        assert!(
            quiet_since.elapsed() < 2 * LONGEST_GAP,
            "the watch is stuck: its last event has not come"
        );
        server.check_gap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn holder(election: &LeaderElection) -> Option<String> {
    match &*election.status().borrow() {
        Status::Standby { holder, .. } => holder.as_ref().map(|h| h.identity.to_string()),
        other => panic!("{other:?} of a candidate that does not stand"),
    }
}

#[derive(Clone)]
struct Server(Arc<Mutex<State>>);

struct State {
    choices: Choices,
    revision: u64,
    opened: Option<Instant>,
    pieces: usize,
    /// How much was taken of what has no end.
    endless: usize,
}

/// One thing that a body does.
enum Act {
    Bytes(Bytes),
    Wait(Duration),
    Break,
    /// So many bytes without an end of line.
    Endless(usize),
    Silence,
}

impl Server {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_gap(&self) {
        let gap = self.state().opened.map(|opened| opened.elapsed());
        assert!(gap < Some(LONGEST_GAP), "no watch was opened for {gap:?}");
    }

    fn answer(&self, asked: &Asked) -> BoxFuture<'static, Answer> {
        assert!(
            asked.is_watch()
                && asked
                    .query
                    .contains("fieldSelector=metadata.name%3Dnightly"),
            "{} {}?{}",
            asked.method,
            asked.path,
            asked.query
        );
        let mut state = self.state();
        let gap = state
            .opened
            .replace(Instant::now())
            .map(|opened| opened.elapsed());
        assert!(
            gap.is_none_or(|gap| gap >= SHORTEST_GAP),
            "watches are opened without pause: {gap:?}"
        );
        state.endless = 0;
        let opening = state.choices.below(12);
        let status = |code, reason| world::answer(code, world::status(code, reason, "leases"));
        let answer = match opening {
            6 => status(410, "Expired"),
            7 => status(403, "Forbidden"),
            8 => world::answer(500, state.choices.take(16)),
            9 => return async { world::silence().await }.boxed(),
            10 => status(429, "TooManyRequests"),
            11 => {
                let code = 200 + u16::from(state.choices.byte()) * 2 % 400;
                let acts = VecDeque::from([Act::Endless(12 << 20)]);
                world::with_body(code.max(201), self.body(acts, 0))
            }
            _ => {
                let acts = state.acts();
                let pieces = state.pieces;
                world::with_body(200, self.body(acts, pieces))
            }
        };
        async { answer }.boxed()
    }

    /// A body that does these things one after the other, in pieces of so many bytes.
    fn body(&self, acts: VecDeque<Act>, piece: usize) -> UnsyncBoxBody<Bytes, std::io::Error> {
        let frames =
            futures::stream::unfold((self.clone(), acts), move |(server, mut acts)| async move {
                loop {
                    match acts.pop_front()? {
                        Act::Bytes(mut bytes) => {
                            if piece > 0 && bytes.len() > piece {
                                let rest = bytes.split_off(piece);
                                acts.push_front(Act::Bytes(rest));
                            }
                            return Some((Ok(Frame::data(bytes)), (server, acts)));
                        }
                        Act::Wait(time) => tokio::time::sleep(time).await,
                        Act::Break => {
                            let error = std::io::ErrorKind::ConnectionReset.into();
                            return Some((Err(error), (server, acts)));
                        }
                        Act::Endless(left) => {
                            server.taken();
                            if let Some(left) = left.checked_sub(PIECE) {
                                acts.push_front(Act::Endless(left));
                            }
                            let bytes = Bytes::from(vec![b'x'; PIECE]);
                            return Some((Ok(Frame::data(bytes)), (server, acts)));
                        }
                        Act::Silence => std::future::pending::<()>().await,
                    }
                }
            });
        StreamBody::new(frames.fuse()).boxed_unsync()
    }

    fn taken(&self) {
        let mut state = self.state();
        state.endless += PIECE;
        assert!(
            state.endless <= MOST_COLLECTED,
            "{} bytes without an end were taken in",
            state.endless
        );
    }
}

impl State {
    /// What the next body does.
    fn acts(&mut self) -> VecDeque<Act> {
        let choices = self.choices.clone();
        self.pieces = choices.one_of(&[0, 1, 2, 7, 64, 1000]);
        let mut acts = VecDeque::new();
        while !choices.is_over() {
            let act = match choices.below(20) {
                0 | 1 => Act::Bytes(self.event(LOCK, "held")),
                2 => Act::Bytes(self.event("another", STRANGER)),
                3 => Act::Bytes(self.event("", STRANGER)),
                4 => Act::Bytes(self.bookmark()),
                5 => {
                    let status = world::status(410, "Expired", "leases");
                    Act::Bytes(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n").into())
                }
                6 => {
                    let strange = json!({"type": "ERROR", "object": strange::value(&choices)});
                    Act::Bytes(format!("{strange}\n").into())
                }
                7 => Act::Bytes(choices.take(32).into()),
                8 => {
                    let mut line = self.event(LOCK, "held");
                    line.truncate(choices.below(line.len()));
                    Act::Bytes(line)
                }
                9 => Act::Bytes("\r\n\n".into()),
                10 => Act::Endless(choices.below(48) << 18),
                11 => Act::Break,
                12 => break,
                13 => Act::Wait(choices.one_of(&[Duration::from_secs(1), LONGEST_GAP])),
                14 => {
                    let kind = choices.one_of(&["ADDED", "MODIFIED", "DELETED", "NEW", ""]);
                    let strange = json!({"type": kind, "object": strange::value(&choices)});
                    Act::Bytes(format!("{strange}\n").into())
                }
                15 => Act::Bytes("[".repeat(200 + choices.below(200) * 20).into()),
                16 => Act::Bytes(world::status(500, "InternalError", "leases").into()),
                17 => {
                    let mut line = self.event(LOCK, "held").to_vec();
                    let at = choices.below(line.len());
                    line[at] = choices.byte();
                    Act::Bytes(line.into())
                }
                18 => Act::Bytes(Bytes::from_static(
                    b"{\"type\":\"ADDED\",\"object\":\xff\xfe}\n",
                )),
                _ => Act::Silence,
            };
            acts.push_back(act);
        }
        if choices.is_over() && acts.is_empty() {
            acts.push_back(Act::Bytes(self.event(LOCK, LAST)));
            acts.push_back(Act::Silence);
        }
        acts
    }

    fn event(&mut self, name: &str, holder: &str) -> Bytes {
        self.revision += 1;
        let mut object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": name, "namespace": "shop", "uid": "u",
                "resourceVersion": self.revision.to_string(),
            },
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
        });
        if name.is_empty()
            && let Some(Value::Object(metadata)) = object.get_mut("metadata")
        {
            metadata.remove("name");
        }
        let kind = if self.revision.is_multiple_of(2) {
            "ADDED"
        } else {
            "MODIFIED"
        };
        let mut line = json!({"type": kind, "object": object})
            .to_string()
            .into_bytes();
        line.push(b'\n');
        line.into()
    }

    fn bookmark(&mut self) -> Bytes {
        let event = self.event(LOCK, STRANGER);
        let text = String::from_utf8_lossy(&event);
        text.replace("ADDED", "BOOKMARK")
            .replace("MODIFIED", "BOOKMARK")
            .into_bytes()
            .into()
    }
}

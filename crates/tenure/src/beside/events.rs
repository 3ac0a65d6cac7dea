//! Kubernetes Events: who began to lead, who stopped, and why.
//!
//! One Event when a term begins, and one when it ends: no more, however often renewals fail meanwhile.
//! They are made with names of their own and never changed, so a write whose answer was lost is sent again
//! without harm. A term's two Events are told or left out together, as far as that is known when it begins:
//! ten terms at once, and one more each minute.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tenure_core::{Instant, LossReason, MicroTime, Outcome, ResourceVersion, Uid};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use super::{CALL_LIMIT, PodRef, Text, pod_reference, until_after};
use crate::{
    call::{self, EVENTS, Resource},
    lock::written::format_time,
    object,
    wire::Wire,
};

/// Who reports, in every Event.
const CONTROLLER: &str = "tenure.dev/tenure";

/// How many Events may wait. Beyond, they are left out.
const QUEUE: usize = 32;

/// Terms that are told of at once, and how long until one more is.
const TERMS_AT_ONCE: u32 = 10;
const TERM_EVERY: Duration = Duration::from_secs(60);

/// The pauses between tries of one Event, as long as no answer comes.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
];

/// The limits of the API, in bytes.
const LONGEST_NOTE: usize = 1024;
const LONGEST_INSTANCE: usize = 128;
const LONGEST_NAME: usize = 253;

/// What the Events are about.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) lock: Resource,
    pub(crate) identity: Text,
    pub(crate) pod: Option<PodRef>,
    /// Tells the Events of this election from those of others on the same lock.
    pub(crate) run: u64,
}

impl About {
    /// For people: the Pod, where it is known.
    fn who(&self) -> &str {
        match &self.pod {
            Some(pod) => &pod.name,
            None => &self.identity,
        }
    }
}

/// How a term ended.
#[derive(Debug)]
pub(crate) enum End {
    Lost(LossReason),
    Released,
    Kept,
    NotReleased(Text),
}

/// The election's side: it never waits.
pub(super) struct Reporter {
    about: Arc<About>,
    wire: Wire,
    line: Option<Line>,
    term: Option<Term>,
    allowance: Allowance,
    left_out: Arc<AtomicU64>,
    serial: u64,
}

/// The way to the task.
struct Line {
    drafts: mpsc::Sender<Draft>,
    task: JoinHandle<()>,
    ended: DropGuard,
}

/// The term that is on.
struct Term {
    number: u64,
    lock: Option<Uid>,
    told: bool,
    stopping: Option<LossReason>,
    belief_over: Option<MicroTime>,
}

/// An Event that is to be made.
#[derive(Clone, Debug)]
struct Draft {
    name: String,
    at: MicroTime,
    lock: Option<Uid>,
    reason: &'static str,
    normal: bool,
    note: String,
}

impl Reporter {
    pub(super) fn new(about: About, wire: Wire) -> Self {
        Self {
            about: Arc::new(about),
            wire,
            line: None,
            term: None,
            allowance: Allowance::default(),
            left_out: Arc::default(),
            serial: 0,
        }
    }

    pub(super) fn began(
        &mut self,
        now: Instant,
        at: MicroTime,
        lock: Option<Uid>,
        number: u64,
        token: &ResourceVersion,
        again: bool,
    ) {
        self.over(at, &End::Lost(LossReason::Abandoned));
        let told = self.allowance.take(now);
        self.term = Some(Term {
            number,
            lock: lock.clone(),
            told,
            stopping: None,
            belief_over: None,
        });
        let again = if again { " again" } else { "" };
        let (who, token) = (self.about.who(), token.as_str());
        let note = format!("{who} leads{again}{}, token {token}", term_of(number));
        self.tell(told, at, lock, "BecameLeader", true, note);
    }

    pub(super) fn stopping(&mut self, reason: &LossReason) {
        if let Some(term) = &mut self.term {
            term.stopping.get_or_insert_with(|| reason.clone());
        }
    }

    pub(super) fn belief_over(&mut self, at: MicroTime) {
        if let Some(term) = &mut self.term {
            term.belief_over.get_or_insert(at);
        }
    }

    pub(super) fn over(&mut self, now: MicroTime, end: &End) {
        let Some(term) = self.term.take() else { return };
        let why = match (end, &term.stopping) {
            (End::Lost(reason), _) | (_, Some(reason)) => reason.to_string(),
            (_, None) => "its work has ended".to_owned(),
        };
        let lock = match end {
            End::Lost(_) => String::new(),
            End::Released => "; the lock is released".to_owned(),
            End::Kept => "; the lock is kept".to_owned(),
            End::NotReleased(error) => {
                format!("; the lock could not be released, and frees itself: {error}")
            }
        };
        let (who, number) = (self.about.who(), term_of(term.number));
        let note = format!("{who} leads no more{number}: {why}{lock}");
        let (normal, at) = (
            !matches!(end, End::Lost(_)),
            term.belief_over.unwrap_or(now),
        );
        self.tell(term.told, at, term.lock, "StoppedLeading", normal, note);
    }

    pub(super) async fn finish(self) {
        let Some(line) = self.line else { return };
        let Line {
            drafts,
            task,
            ended,
        } = line;
        drop((drafts, ended));
        // An error would mean that the task has panicked.
        let _ = task.await;
    }

    fn tell(
        &mut self,
        told: bool,
        at: MicroTime,
        lock: Option<Uid>,
        reason: &'static str,
        normal: bool,
        note: String,
    ) {
        self.serial += 1;
        let draft = Draft {
            name: name(self.about.lock.name(), self.about.run, self.serial),
            at,
            lock,
            reason,
            normal,
            note,
        };
        let sent = told && self.line().drafts.try_send(draft).is_ok();
        if !sent {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            let lock = self.about.lock.name();
            debug!(
                lock,
                reason, "a Kubernetes Event is left out: there are too many"
            );
        }
    }

    /// A candidate that never leads has no task.
    fn line(&mut self) -> &Line {
        self.line.get_or_insert_with(|| {
            let (drafts, receiver) = mpsc::channel(QUEUE);
            let ended = CancellationToken::new();
            let post = Post {
                about: Arc::clone(&self.about),
                wire: self.wire.clone(),
                left_out: Arc::clone(&self.left_out),
            };
            Line {
                drafts,
                task: tokio::spawn(until_after(ended.clone(), post.carry(receiver))),
                ended: ended.drop_guard(),
            }
        })
    }
}

/// The task's side.
struct Post {
    about: Arc<About>,
    wire: Wire,
    left_out: Arc<AtomicU64>,
}

impl Post {
    async fn carry(self, mut drafts: mpsc::Receiver<Draft>) {
        while let Some(draft) = drafts.recv().await {
            let missing = self.left_out.swap(0, Ordering::Relaxed);
            if !self.deliver(&draft, missing).await {
                self.left_out.fetch_add(missing + 1, Ordering::Relaxed);
            }
        }
    }

    async fn deliver(&self, draft: &Draft, missing: u64) -> bool {
        let lock = self.about.lock.name();
        let event = event(&self.about, draft, missing);
        let target = Resource::new(EVENTS, Some(self.about.lock.namespace()), &draft.name);
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = {
                // Of a thousand elections that begin at once, a few tell it at a time.
                let _turn = self.wire.aside().turn().await;
                call::call(&self.wire, target.create(object::text(&event)), CALL_LIMIT).await
            };
            let error = match outcome {
                // An Event of that name is this one, whose answer was lost.
                Outcome::Done(_) | Outcome::AlreadyExists => {
                    return true;
                }
                Outcome::Refused(error) | Outcome::NotFound(error) => {
                    if self.wire.aside().is_news(self.about.lock.namespace()) {
                        warn!(lock, %error, "Kubernetes Events cannot be written; leading goes on without them");
                    } else {
                        debug!(lock, %error, "a Kubernetes Event was refused again");
                    }
                    return false;
                }
                Outcome::Conflict => "a create met a conflict".into(),
                Outcome::Unknown(error) => error,
            };
            let Some(pause) = pauses.next() else {
                debug!(lock, %error, "a Kubernetes Event is left out");
                return false;
            };
            debug!(lock, %error, ?pause, "a Kubernetes Event is sent again");
            tokio::time::sleep(*pause).await;
        }
    }
}

/// How many terms may be told of.
#[derive(Debug, Default)]
struct Allowance {
    used: u32,
    since: Option<Instant>,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let regained = now.since(since).as_secs() / TERM_EVERY.as_secs();
        let regained = u32::try_from(regained).unwrap_or(u32::MAX);
        self.since = Some(since.after(TERM_EVERY.saturating_mul(regained)));
        self.used = self.used.saturating_sub(regained);
        if self.used == 0 {
            self.since = Some(now);
        }
        let there = self.used < TERMS_AT_ONCE;
        self.used += u32::from(there);
        there
    }
}

fn event(about: &About, draft: &Draft, missing: u64) -> Value {
    let api = about.lock.api();
    let mut regarding = json!({
        "apiVersion": api.api_version(),
        "kind": api.kind,
        "namespace": about.lock.namespace(),
        "name": about.lock.name(),
    });
    if let Some(uid) = &draft.lock {
        regarding["uid"] = uid.as_str().into();
    }
    let missing = match missing {
        0 => String::new(),
        1 => " (one Event before this one is missing)".to_owned(),
        missing => format!(" ({missing} Events before this one are missing)"),
    };
    let note = cut(&draft.note, LONGEST_NOTE - missing.len());
    let mut event = json!({
        "apiVersion": EVENTS.api_version(),
        "kind": EVENTS.kind,
        "metadata": {"name": draft.name, "namespace": about.lock.namespace()},
        "eventTime": format_time(draft.at),
        "type": if draft.normal { "Normal" } else { "Warning" },
        "reason": draft.reason,
        "action": "LeaderElection",
        "note": format!("{note}{missing}"),
        "regarding": regarding,
        "reportingController": CONTROLLER,
        "reportingInstance": cut(&about.identity, LONGEST_INSTANCE),
    });
    if let Some(pod) = &about.pod {
        event["related"] = pod_reference(pod);
    }
    event
}

/// A name that no other Event has.
fn name(lock: &str, run: u64, serial: u64) -> String {
    let ending = format!(".{run:016x}.{serial}");
    let lock = cut(lock, LONGEST_NAME - ending.len());
    // A cut must not leave a name that ends with a dot or a dash.
    format!("{}{ending}", lock.trim_end_matches(['.', '-']))
}

/// A lock for life counts no terms.
fn term_of(number: u64) -> String {
    match number {
        0 => String::new(),
        number => format!(" (term {number})"),
    }
}

/// At most so many bytes, in one line.
fn cut(text: &str, longest: usize) -> String {
    let mut short = String::new();
    for c in text.chars() {
        if short.len() + c.len_utf8() > longest {
            break;
        }
        short.push(if c.is_control() { ' ' } else { c });
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_terms_are_told_of_at_once_and_one_more_each_minute() {
        let second = |n: u64| Instant::from_nanos(n * 1_000_000_000);
        let mut allowance = Allowance::default();
        let taken = |allowance: &mut Allowance, at: u64| {
            (0..100).filter(|_| allowance.take(second(at))).count()
        };
        assert_eq!(taken(&mut allowance, 1000), 10);
        assert_eq!(taken(&mut allowance, 1059), 0);
        assert_eq!(taken(&mut allowance, 1060), 1);
        assert_eq!(taken(&mut allowance, 1119), 0);
        assert_eq!(taken(&mut allowance, 1180), 2);
        assert_eq!(taken(&mut allowance, 100_000), 10);
        assert_eq!(taken(&mut allowance, 100_030), 0, "the minutes begin anew");
    }

    #[test]
    fn what_the_api_limits_is_cut_to_fit() {
        let about = About {
            lock: Resource::lease("shop", &format!("{}.b", "a".repeat(251))),
            identity: "ä".repeat(300).into(),
            pod: None,
            run: u64::MAX,
        };
        let draft = Draft {
            name: name(about.lock.name(), about.run, u64::MAX),
            at: MicroTime::from_micros(1_700_000_000_123_456),
            lock: None,
            reason: "StoppedLeading",
            normal: false,
            note: format!("why\n{}", "ö".repeat(2000)),
        };
        let event = event(&about, &draft, 12);
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap();
        assert!(text("/metadata/name").len() <= LONGEST_NAME);
        assert!(crate::names::check_subdomain(text("/metadata/name")).is_ok());
        assert!(text("/note").len() <= LONGEST_NOTE && !text("/note").contains('\n'));
        assert!(text("/note").ends_with("(12 Events before this one are missing)"));
        assert_eq!(text("/reportingInstance").len(), LONGEST_INSTANCE);
        assert_eq!(text("/eventTime"), "2023-11-14T22:13:20.123456Z");
        assert!(event.get("related").is_none());
        let odd = name(&format!("{}-b", "a".repeat(233)), 1, 1);
        assert!(crate::names::check_subdomain(&odd).is_ok(), "{odd}");
        assert!(
            odd.starts_with(&"a".repeat(233)) && !odd.contains('-'),
            "{odd}"
        );
    }
}

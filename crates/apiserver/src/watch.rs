//! Watches: each walks the history at its own pace, woken by writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::print::Form;
use crate::read;
use crate::request::Query;
use crate::resources::{Resource, Shape};
use crate::schema;
use crate::selector::{self, Selector};
use crate::server::Inner;
use crate::state::State;
use crate::status::{FieldError, Outcome, Refusal};
use crate::store::{Change, ChangeKind, Stored};
use crate::write::Call;

/// How often a watch that asked for bookmarks gets one.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// How long before its end a watch gets its last bookmark.
const BEFORE_THE_END: Duration = Duration::from_secs(2);
/// The shortest life of a watch that asks for none.
const LIFE: u64 = 30 * 60;

/// What an injected fault does to a watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) mute: bool,
    pub(crate) lag: Duration,
    pub(crate) end: Option<Duration>,
}

pub(crate) struct Watch {
    server: Arc<Inner>,
    wake: watch::Receiver<u64>,
    resource: Arc<Resource>,
    namespace: String,
    selector: Selector,
    form: Form,
    /// Changes after this revision are still to be looked at.
    cursor: u64,
    pending: VecDeque<Bytes>,
    deadline: Instant,
    bookmark: Option<Instant>,
    bookmarks: bool,
    epoch: u64,
    trouble: Trouble,
    ended: bool,
}

impl Watch {
    /// Begins a watch; nothing is lost between this and the first poll.
    pub(crate) fn begin(
        server: &Arc<Inner>,
        state: &mut State,
        call: &Call<'_>,
        form: Form,
        trouble: Trouble,
    ) -> Outcome<Self> {
        let query = &call.info.query;
        let initial = check_options(query)?;
        let selector = read::selector(call)?;
        let asked = read::version(query)?;
        let bookmarks = query.flag("allowWatchBookmarks");
        let now = Instant::now();
        let seconds = query
            .number("timeoutSeconds")?
            .and_then(|n| u64::try_from(n).ok());
        let seconds = match seconds {
            Some(seconds) if seconds > 0 => seconds,
            _ => LIFE + state.random.next() % LIFE,
        };
        let resource = call.resource;
        let mut watch = Self {
            server: server.clone(),
            wake: server.wake.subscribe(),
            resource: resource.clone(),
            namespace: if resource.namespaced {
                call.target.namespace.clone()
            } else {
                String::new()
            },
            selector,
            form,
            cursor: asked,
            pending: VecDeque::new(),
            deadline: now + Duration::from_secs(seconds),
            bookmark: None,
            bookmarks,
            epoch: state.watch_epoch,
            trouble,
            ended: false,
        };
        let replays = initial.unwrap_or(asked == 0);
        if let Some(end) = trouble.end {
            watch.deadline = watch.deadline.min(now + end);
        }
        watch.plan_bookmark(now);
        if replays {
            watch.replay(state);
        } else if asked == 0 {
            watch.cursor = state.store.revision();
        } else if asked < state.store.compacted() {
            let oldest = state.store.compacted();
            watch.fail(&Refusal::expired(&format!(
                "too old resource version: {asked} ({oldest})"
            )));
        }
        // A client that takes bookmarks is told where the present state ends, asked for or not.
        if replays && bookmarks {
            let revision = state.store.revision();
            watch.push_bookmark(revision, true);
        }
        Ok(watch)
    }

    /// The events, each a line, until the watch ends.
    pub(crate) fn stream(self) -> impl Stream<Item = Bytes> + Send {
        futures::stream::unfold(self, |mut watch| async move {
            let next = watch.next().await?;
            Some((next, watch))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.trouble.mute {
                self.pending.clear();
            }
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            // Marked as seen before the look at the state: a write after it wakes again.
            self.wake.borrow_and_update();
            let due = self.advance();
            if !self.pending.is_empty() || self.ended {
                continue;
            }
            let mut until = self.deadline;
            for other in [due, self.bookmark].into_iter().flatten() {
                until = until.min(other);
            }
            tokio::select! {
                changed = self.wake.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
                () = sleep_until(until) => self.timed(Instant::now()),
            }
        }
    }

    /// Looks at the changes since the last look; gives the time at which a held-back one is due.
    fn advance(&mut self) -> Option<Instant> {
        let server = self.server.clone();
        let state = server.lock();
        if state.watch_epoch != self.epoch {
            self.ended = true;
            return None;
        }
        if self.cursor < state.store.forgotten() {
            let oldest = state.store.forgotten();
            let asked = self.cursor;
            self.fail(&Refusal::expired(&format!(
                "too old resource version: {asked} ({oldest})"
            )));
            return None;
        }
        let now = Instant::now();
        for change in state.store.changes_after(self.cursor) {
            let due = change.at + self.trouble.lag;
            if due > now {
                return Some(due);
            }
            self.cursor = change.revision;
            self.consider(change);
        }
        // A watch from the future stays where it asked to begin.
        self.cursor = self.cursor.max(state.store.revision());
        None
    }

    fn timed(&mut self, now: Instant) {
        if now >= self.deadline {
            self.ended = true;
        } else if self.bookmark.is_some_and(|due| now >= due) {
            self.plan_bookmark(now);
            self.push_bookmark(self.cursor, false);
        }
    }

    /// The next bookmark comes in a minute, or shortly before the end.
    fn plan_bookmark(&mut self, now: Instant) {
        let last = self
            .deadline
            .checked_sub(BEFORE_THE_END)
            .unwrap_or(self.deadline);
        let last = if last > now { last } else { self.deadline };
        self.bookmark = self.bookmarks.then(|| last.min(now + BOOKMARKS));
    }

    fn consider(&mut self, change: &Change) {
        if change.key.resource != self.resource.storage {
            return;
        }
        let object = &change.object;
        if !selector::in_namespace(&object.value, &self.namespace) {
            return;
        }
        let fits = |stored: &Stored| self.selector.matches(&stored.value);
        let before = change.previous.as_deref().is_some_and(fits);
        let after = change.kind != ChangeKind::Deleted && fits(object);
        match (before, after) {
            (false, false) => {}
            (false, true) => self.push("ADDED", object),
            (true, true) => self.push("MODIFIED", object),
            (true, false) if change.kind == ChangeKind::Deleted => self.push("DELETED", object),
            (true, false) => {
                // It left the selection: its last selected state, at the revision of the change.
                if let Some(previous) = &change.previous {
                    let mut last = previous.value.clone();
                    last["metadata"]["resourceVersion"] = json!(change.revision.to_string());
                    let shown = read::converted(&self.resource, &last).unwrap_or(last);
                    self.push_value("DELETED", &shown);
                }
            }
        }
    }

    /// The present state as ADDED events.
    fn replay(&mut self, state: &State) {
        let resource = self.resource.clone();
        let namespace = self.namespace.clone();
        for (_, stored) in state.store.list(&resource.storage, &namespace) {
            if self.selector.matches(&stored.value) {
                self.push("ADDED", stored);
            }
        }
        self.cursor = state.store.revision();
    }

    fn push(&mut self, kind: &str, stored: &Arc<Stored>) {
        match read::converted(&self.resource, &stored.value) {
            Some(value) => self.push_value(kind, &value),
            None if self.form == Form::Json => self.pending.push_back(line(kind, &stored.json())),
            None => self.push_value(kind, &stored.value),
        }
    }

    fn push_value(&mut self, kind: &str, value: &Value) {
        let now = self.server.clock.now();
        let shown = self.form.object(&self.resource, value, now);
        self.pending
            .push_back(line(kind, shown.to_string().as_bytes()));
    }

    fn push_bookmark(&mut self, revision: u64, initial_events_end: bool) {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"metadata": metadata});
        if let Shape::Builtin(type_name) = &self.resource.shape {
            object = schema::decode(type_name, &object, &mut Vec::new()).unwrap_or(object);
        }
        object["kind"] = json!(self.resource.kind);
        object["apiVersion"] = json!(self.resource.api_version());
        let shown = self.form.bookmark(&object);
        self.pending
            .push_back(line("BOOKMARK", shown.to_string().as_bytes()));
    }

    fn fail(&mut self, refusal: &Refusal) {
        let status = refusal.object().to_string();
        self.pending.push_back(line("ERROR", status.as_bytes()));
        self.ended = true;
    }
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 32);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
    out.freeze()
}

/// Whether the present state is asked for; `None` where the resourceVersion decides.
fn check_options(query: &Query) -> Outcome<Option<bool>> {
    let asked = query.get("sendInitialEvents");
    let matching = query.get("resourceVersionMatch");
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if asked.is_empty() {
        if !matching.is_empty() {
            let told = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                        provided";
            errors.push(FieldError::forbidden(field, told));
        }
    } else if matching.is_empty() {
        let told = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(field, told));
    } else if matching != "NotOlderThan" {
        let known = ["NotOlderThan"];
        errors.push(FieldError::not_supported(field, &json!(matching), &known));
    }
    if !errors.is_empty() {
        return Err(Refusal::invalid("ListOptions.meta.k8s.io", "", &errors));
    }
    Ok((!asked.is_empty()).then(|| query.flag("sendInitialEvents")))
}

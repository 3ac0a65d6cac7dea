//! The garbage collector and the namespace controller: what follows from a deletion.
//!
//! Both work off one queue. When it is worked off is the setting [`Gc`].

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::delete::{self, Options, Propagation};
use crate::record::Writer;
use crate::resources::{CRDS, NAMESPACES};
use crate::state::State;
use crate::store::{Key, Stored};
use crate::{crd, meta, namespaces};

/// When dependents of deleted owners, and the contents of deleted namespaces, are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Gc {
    /// Within the request that made it necessary: nobody sees a state in between.
    #[default]
    Immediate,
    /// That long after the write that made it necessary, by tokio's clock. Needs a tokio runtime
    /// with its timer; each step of a cascade waits anew.
    Delayed(Duration),
    /// Only by [`ApiServer::collect_garbage`](crate::ApiServer::collect_garbage).
    Off,
}

const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    /// Look at an object: its owners, or what its finalizers wait for.
    Object(Key),
    /// An owner changed or is gone: look at all that name it.
    Dependents(String),
    Namespace(String),
    Definition(Key),
}

#[derive(Debug)]
pub(crate) struct Queue {
    work: VecDeque<(Instant, Work)>,
    pub(crate) mode: Gc,
    /// When the timer that was set last goes off.
    pub(crate) armed: Option<Instant>,
    /// Work is taken on although the collector is off: it runs by hand.
    by_hand: bool,
    /// Namespaces on their way out.
    terminating: std::collections::BTreeSet<String>,
}

impl Queue {
    pub(crate) fn new(mode: Gc) -> Self {
        Self {
            work: VecDeque::new(),
            mode,
            armed: None,
            by_hand: false,
            terminating: std::collections::BTreeSet::new(),
        }
    }

    /// Takes note of a write.
    pub(crate) fn noticed(&mut self, key: &Key, previous: Option<&Stored>, stored: &Stored) {
        let value = &stored.value;
        let field = |name: &str| {
            previous.is_none_or(|p| p.value["metadata"][name] != value["metadata"][name])
        };
        let owned = meta::owners(value).next().is_some();
        let held = meta::finalizers(value)
            .iter()
            .any(|f| f == meta::FOREGROUND || f == meta::ORPHAN);
        let deleting = meta::is_deleting(value);
        if (owned && field("ownerReferences"))
            || (deleting && held && (field("deletionTimestamp") || field("finalizers")))
        {
            self.push(Work::Object(key.clone()));
        }
        if deleting && held && field("deletionTimestamp") {
            self.push(Work::Dependents(meta::uid(value).to_owned()));
        }
        if deleting && &*key.resource == CRDS {
            self.push(Work::Definition(key.clone()));
        }
        // An owner that waits for this one may wait no longer.
        if let Some(previous) = previous.filter(|_| field("ownerReferences")) {
            self.owners_of(&previous.value);
        }
    }

    /// Takes note of a removal.
    pub(crate) fn removed(&mut self, gone: &Stored) {
        self.push(Work::Dependents(meta::uid(&gone.value).to_owned()));
        self.owners_of(&gone.value);
    }

    /// A namespace is being deleted.
    pub(crate) fn namespace(&mut self, name: &str) {
        self.terminating.insert(name.to_owned());
        self.push(Work::Namespace(name.to_owned()));
    }

    /// Something went from a namespace: one that is being deleted may be empty now.
    pub(crate) fn namespace_if(&mut self, name: &str) {
        if self.terminating.contains(name) {
            self.push(Work::Namespace(name.to_owned()));
        }
    }

    /// When the first piece of work is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.work.front().map(|(due, _)| *due)
    }

    /// A namespace is gone.
    pub(crate) fn namespace_gone(&mut self, name: &str) {
        self.terminating.remove(name);
    }

    fn owners_of(&mut self, value: &Value) {
        for owner in meta::owners(value) {
            if let Some(uid) = owner["uid"].as_str() {
                // The owner's own key is looked up when the work is done.
                self.push(Work::Dependents(uid.to_owned()));
            }
        }
    }

    fn push(&mut self, work: Work) {
        let off = self.mode == Gc::Off && !self.by_hand;
        if off || self.work.iter().any(|(_, queued)| *queued == work) {
            return;
        }
        let due = match self.mode {
            Gc::Delayed(delay) => Instant::now() + delay,
            Gc::Immediate | Gc::Off => Instant::now(),
        };
        self.work.push_back((due, work));
    }

    fn pop(&mut self, all: bool) -> Option<Work> {
        let (due, _) = self.work.front()?;
        if all || *due <= Instant::now() {
            self.work.pop_front().map(|(_, work)| work)
        } else {
            None
        }
    }
}

/// Works off what is due, or everything.
pub(crate) fn run(state: &mut State, all: bool) {
    // An object whose collection is refused is not looked at again before it changes, so the
    // queue runs dry; the bound only guards against a mistake in that.
    for _ in 0..1_000_000 {
        let Some(work) = state.gc.pop(all) else {
            return;
        };
        match work {
            Work::Object(key) => look_at(state, &key),
            Work::Dependents(uid) => {
                for key in state.store.dependents(&uid) {
                    look_at(state, &key);
                }
                if let Some(key) = state.store.key_of_uid(&uid).cloned() {
                    look_at(state, &key);
                }
            }
            Work::Namespace(name) => namespaces::empty(state, &name),
            Work::Definition(key) => crd::finish_deletion(state, &key),
        }
    }
}

/// Looks at every object, as the collector does when it starts.
pub(crate) fn scan(state: &mut State) {
    let mut found = Vec::new();
    for (key, stored) in state.store.all() {
        let deleting = meta::is_deleting(&stored.value);
        if deleting || meta::owners(&stored.value).next().is_some() {
            found.push(Work::Object(key.clone()));
        }
        if deleting && &*key.resource == NAMESPACES {
            found.push(Work::Namespace(key.name().to_owned()));
        }
        if deleting && &*key.resource == CRDS {
            found.push(Work::Definition(key.clone()));
        }
    }
    state.gc.by_hand = true;
    for work in found {
        state.gc.push(work);
    }
    run(state, true);
    state.gc.by_hand = false;
}

fn look_at(state: &mut State, key: &Key) {
    let Some(stored) = state.store.get(key).cloned() else {
        return;
    };
    let object = &stored.value;
    let finalizers = meta::finalizers(object);
    let has = |wanted: &str| finalizers.iter().any(|f| f == wanted);
    if meta::is_deleting(object) {
        if has(meta::ORPHAN) {
            orphan_dependents(state, key, object);
        } else if has(meta::FOREGROUND) {
            finish_foreground(state, key, object);
        }
        return;
    }
    collect(state, key, object);
}

/// How an object stands to its owners.
#[derive(Default)]
struct Owners {
    alive: bool,
    gone: Vec<String>,
    waiting: Vec<String>,
}

fn collect(state: &mut State, key: &Key, object: &Value) {
    let mut owners = Owners::default();
    let mut any = false;
    for owner in meta::owners(object) {
        any = true;
        let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
        match owner_state(state, key, owner) {
            OwnerState::Alive => owners.alive = true,
            OwnerState::Gone => owners.gone.push(uid),
            OwnerState::Waiting => owners.waiting.push(uid),
        }
    }
    if !any {
        return;
    }
    if owners.alive {
        let mut unneeded = owners.gone;
        unneeded.append(&mut owners.waiting);
        if !unneeded.is_empty() {
            remove_owners(state, key, object, &unneeded);
        }
        return;
    }
    let has_dependents = !state.store.dependents(meta::uid(object)).is_empty();
    let propagation = if !owners.waiting.is_empty() && has_dependents {
        Propagation::Foreground
    } else {
        match meta::finalizers(object)
            .iter()
            .find(|f| *f == meta::ORPHAN || *f == meta::FOREGROUND)
        {
            Some(f) if f == meta::ORPHAN => Propagation::Orphan,
            Some(_) => Propagation::Foreground,
            None => Propagation::Background,
        }
    };
    let options = Options {
        uid: Some(meta::uid(object).to_owned()),
        propagation: Some(propagation),
        ..Options::default()
    };
    let Some(resource) = state.registry.find_qualified(&key.resource) else {
        return;
    };
    // A refusal means that the object changed: its next write brings it here again.
    let _ = delete::delete(
        state,
        &resource,
        key,
        &options,
        &Writer::controller("delete", COLLECTOR),
    );
}

enum OwnerState {
    Alive,
    Gone,
    /// It is being deleted in the foreground and waits for this object.
    Waiting,
}

fn owner_state(state: &State, key: &Key, owner: &Value) -> OwnerState {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    // An owner of a kind that is not served may exist: the real collector waits, too.
    let Some(resource) = state.registry.find_kind(text("apiVersion"), text("kind")) else {
        return OwnerState::Alive;
    };
    if resource.namespaced && key.namespace().is_empty() {
        return OwnerState::Alive;
    }
    let owner_key = State::key(&resource, key.namespace(), text("name"));
    match state.store.get(&owner_key) {
        Some(found) if meta::uid(&found.value) == text("uid") => {
            let waits = meta::is_deleting(&found.value)
                && meta::finalizers(&found.value)
                    .iter()
                    .any(|f| f == meta::FOREGROUND);
            if waits {
                OwnerState::Waiting
            } else {
                OwnerState::Alive
            }
        }
        _ => OwnerState::Gone,
    }
}

fn orphan_dependents(state: &mut State, key: &Key, object: &Value) {
    let uid = meta::uid(object).to_owned();
    for dependent in state.store.dependents(&uid) {
        if let Some(stored) = state.store.get(&dependent).cloned() {
            remove_owners(state, &dependent, &stored.value, std::slice::from_ref(&uid));
        }
    }
    remove_finalizer(state, key, meta::ORPHAN);
}

fn finish_foreground(state: &mut State, key: &Key, object: &Value) {
    let uid = meta::uid(object).to_owned();
    let blocked = state.store.dependents(&uid).iter().any(|dependent| {
        state.store.get(dependent).is_some_and(|stored| {
            meta::owners(&stored.value)
                .any(|o| o["uid"] == json!(uid) && o["blockOwnerDeletion"] == json!(true))
        })
    });
    if !blocked {
        remove_finalizer(state, key, meta::FOREGROUND);
    }
}

fn remove_owners(state: &mut State, key: &Key, object: &Value, uids: &[String]) {
    let mut object = object.clone();
    let kept: Vec<Value> = meta::owners(&object)
        .filter(|o| !uids.iter().any(|uid| o["uid"] == json!(uid)))
        .cloned()
        .collect();
    if kept.is_empty() {
        meta::remove(&mut object, "ownerReferences");
    } else {
        meta::set(&mut object, "ownerReferences", Value::Array(kept));
    }
    let Some(resource) = state.registry.find_qualified(&key.resource) else {
        return;
    };
    state.put(
        &resource,
        key,
        object,
        &Writer::controller("patch", COLLECTOR),
    );
}

fn remove_finalizer(state: &mut State, key: &Key, finalizer: &str) {
    let Some(stored) = state.store.get(key).cloned() else {
        return;
    };
    let Some(resource) = state.registry.find_qualified(&key.resource) else {
        return;
    };
    let mut finalizers = meta::finalizers(&stored.value);
    finalizers.retain(|f| f != finalizer);
    let writer = Writer::controller("patch", COLLECTOR);
    let grace = meta::grace_seconds(&stored.value).unwrap_or_default();
    if finalizers.is_empty() && grace == 0 {
        state.remove(&resource, key, &writer);
        return;
    }
    let mut object = stored.value.clone();
    meta::set_finalizers(&mut object, &finalizers);
    state.put(&resource, key, object, &writer);
}

//! The revisioned store: objects, one counter for all of them, and the history that watches read.
//!
//! As in etcd, every write of any resource moves the one revision, and an object's
//! `resourceVersion` is the revision of its last write.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::meta;

/// Where an object lives. The order is etcd's: by the path's bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The resource with its group, as `leases.coordination.k8s.io`.
    pub(crate) resource: Arc<str>,
    /// `namespace/name`, or the name alone where the resource has no namespace.
    pub(crate) path: String,
}

/// An object as stored: never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) revision: u64,
    json: OnceLock<Bytes>,
    item: OnceLock<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One write, as the history keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) key: Key,
    /// The object after the write; of a deletion its last state, with the deletion's revision.
    pub(crate) object: Arc<Stored>,
    pub(crate) previous: Option<Arc<Stored>>,
    pub(crate) at: Instant,
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    revision: u64,
    /// Reads and watches may not begin before this revision.
    compacted: u64,
    /// Changes up to and including this revision are no longer in the history.
    forgotten: u64,
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Change>,
    history_limit: usize,
    /// Which objects name this uid as an owner.
    dependents: BTreeMap<String, BTreeSet<Key>>,
    by_uid: BTreeMap<String, Key>,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(resource: &Arc<str>, namespace: &str, name: &str) -> Self {
        let path = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        Self {
            resource: resource.clone(),
            path,
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.path
            .split_once('/')
            .map_or("", |(namespace, _)| namespace)
    }

    pub(crate) fn name(&self) -> &str {
        self.path
            .split_once('/')
            .map_or(&self.path, |(_, name)| name)
    }
}

// === impl Stored ===

impl Stored {
    fn new(mut value: Value, revision: u64) -> Arc<Self> {
        meta::set(&mut value, "resourceVersion", json!(revision.to_string()));
        Arc::new(Self {
            value,
            revision,
            json: OnceLock::new(),
            item: OnceLock::new(),
        })
    }

    /// The object as an item of a list of a built-in kind: there the real server leaves out what
    /// every item would repeat.
    pub(crate) fn item_json(&self) -> Bytes {
        let bare = || {
            let mut value = self.value.clone();
            if let Some(fields) = value.as_object_mut() {
                fields.remove("apiVersion");
                fields.remove("kind");
            }
            Bytes::from(value.to_string())
        };
        self.item.get_or_init(bare).clone()
    }

    /// The object as text, made once for all who ask.
    pub(crate) fn json(&self) -> Bytes {
        self.json
            .get_or_init(|| Bytes::from(self.value.to_string()))
            .clone()
    }
}

// === impl Store ===

impl Store {
    pub(crate) fn new(first_revision: u64, history_limit: usize) -> Self {
        Self {
            revision: first_revision,
            compacted: first_revision,
            forgotten: first_revision,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_limit: history_limit.max(1),
            dependents: BTreeMap::new(),
            by_uid: BTreeMap::new(),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// The objects of a resource, in one namespace or (with an empty one) in all, in path order.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &'a Arc<str>,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Stored>)> {
        let prefix = if namespace.is_empty() {
            String::new()
        } else {
            format!("{namespace}/")
        };
        let from = Key {
            resource: resource.clone(),
            path: prefix.clone(),
        };
        self.objects
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(key, _)| key.resource == *resource && key.path.starts_with(&prefix))
    }

    /// Every object, in path order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Stored>)> {
        self.objects.iter()
    }

    /// The state of a resource as it was at `revision`; `None` when that is forgotten.
    pub(crate) fn list_at(
        &self,
        resource: &Arc<str>,
        namespace: &str,
        revision: u64,
    ) -> Option<Vec<Arc<Stored>>> {
        if revision < self.compacted {
            return None;
        }
        let mut state: BTreeMap<&Key, Arc<Stored>> = self
            .list(resource, namespace)
            .map(|(key, stored)| (key, stored.clone()))
            .collect();
        for change in self
            .history
            .iter()
            .rev()
            .take_while(|c| c.revision > revision)
        {
            let in_reach = namespace.is_empty() || change.key.namespace() == namespace;
            if change.key.resource != *resource || !in_reach {
                continue;
            }
            match &change.previous {
                Some(previous) => state.insert(&change.key, previous.clone()),
                None => state.remove(&change.key),
            };
        }
        Some(state.into_values().collect())
    }

    /// The changes after `revision`; the caller has asked [`Store::forgotten`] before.
    pub(crate) fn changes_after(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let from = self
            .history
            .partition_point(|change| change.revision <= revision);
        self.history.range(from..)
    }

    /// Writes an object: its resourceVersion is the new revision.
    pub(crate) fn put(&mut self, key: Key, value: Value) -> Arc<Stored> {
        self.revision += 1;
        let stored = Stored::new(value, self.revision);
        let previous = self.objects.insert(key.clone(), stored.clone());
        if let Some(previous) = &previous {
            self.unindex(&key, &previous.value);
        }
        self.index(&key, &stored.value);
        let kind = if previous.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        self.remember(kind, key, stored.clone(), previous);
        stored
    }

    /// Removes an object; what is given back carries the deletion's revision.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Stored>> {
        let previous = self.objects.remove(key)?;
        self.unindex(key, &previous.value);
        self.revision += 1;
        let gone = Stored::new(previous.value.clone(), self.revision);
        self.remember(
            ChangeKind::Deleted,
            key.clone(),
            gone.clone(),
            Some(previous),
        );
        Some(gone)
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(crate) fn key_of_uid(&self, uid: &str) -> Option<&Key> {
        self.by_uid.get(uid)
    }

    /// Lets no read and no watch begin before `revision` any more. Watches that run go on.
    pub(crate) fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision.min(self.revision));
    }

    /// Moves the revision on without a write, as the writes of unseen others do.
    pub(crate) fn skip_to(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    fn remember(
        &mut self,
        kind: ChangeKind,
        key: Key,
        object: Arc<Stored>,
        previous: Option<Arc<Stored>>,
    ) {
        let at = Instant::now();
        self.history.push_back(Change {
            revision: self.revision,
            kind,
            key,
            object,
            previous,
            at,
        });
        while self.history.len() > self.history_limit {
            if let Some(dropped) = self.history.pop_front() {
                self.forgotten = dropped.revision;
                self.compacted = self.compacted.max(dropped.revision);
            }
        }
    }

    fn index(&mut self, key: &Key, value: &Value) {
        for owner in meta::owners(value) {
            if let Some(uid) = owner["uid"].as_str() {
                self.dependents
                    .entry(uid.to_owned())
                    .or_default()
                    .insert(key.clone());
            }
        }
        self.by_uid.insert(meta::uid(value).to_owned(), key.clone());
    }

    fn unindex(&mut self, key: &Key, value: &Value) {
        for owner in meta::owners(value) {
            let Some(uid) = owner["uid"].as_str() else {
                continue;
            };
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        self.by_uid.remove(meta::uid(value));
    }
}

//! Everything behind the server's one lock: the store and what goes with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Clock;
use crate::fault::Rule;
use crate::gc::Queue;
use crate::random::Random;
use crate::rbac::Denial;
use crate::record::{Recorder, Writer};
use crate::resources::{CRDS, NAMESPACES, Registry, Resource};
use crate::store::{Key, Store, Stored};
use crate::{crd, meta, time};

pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) random: Random,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gc: Queue,
    pub(crate) recorder: Recorder,
    pub(crate) faults: VecDeque<Rule>,
    pub(crate) fault_count: u64,
    pub(crate) denials: Vec<Denial>,
    /// User names by bearer token.
    pub(crate) tokens: BTreeMap<String, String>,
    /// Watches opened in an earlier epoch end.
    pub(crate) watch_epoch: u64,
}

impl State {
    /// The present wall time as `creationTimestamp` has it.
    pub(crate) fn stamp(&self) -> String {
        time::stamp(self.clock.now())
    }

    /// Writes an object and does at once what follows from it inside the server.
    pub(crate) fn put(
        &mut self,
        resource: &Resource,
        key: &Key,
        value: Value,
        writer: &Writer<'_>,
    ) -> Arc<Stored> {
        let previous = self.store.get(key).cloned();
        let stored = self.store.put(key.clone(), value);
        let now = self.clock.now();
        self.recorder.wrote(writer, resource, key, &stored, now);
        self.gc.noticed(key, previous.as_deref(), &stored);
        if resource.is(CRDS) {
            crd::after_put(self, key, &stored);
        }
        if resource.is(NAMESPACES) && meta::is_deleting(&stored.value) {
            self.gc.namespace(key.name());
        }
        stored
    }

    /// Removes an object and does at once what follows from it inside the server.
    pub(crate) fn remove(
        &mut self,
        resource: &Resource,
        key: &Key,
        writer: &Writer<'_>,
    ) -> Option<Arc<Stored>> {
        let gone = self.store.remove(key)?;
        let now = self.clock.now();
        self.recorder.wrote(writer, resource, key, &gone, now);
        self.gc.removed(&gone);
        if resource.is(CRDS) {
            self.registry.remove_custom(key.name());
        }
        self.gc.namespace_if(key.namespace());
        Some(gone)
    }

    /// The key of an object of `resource`.
    pub(crate) fn key(resource: &Resource, namespace: &str, name: &str) -> Key {
        let namespace = if resource.namespaced { namespace } else { "" };
        Key::new(&resource.storage, namespace, name)
    }
}

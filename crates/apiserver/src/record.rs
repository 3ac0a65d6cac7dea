//! What tests may ask afterwards: every write, and how many requests of each sort came in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::resources::Resource;
use crate::store::{Key, Stored};

/// One write that was applied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Write {
    /// `create`, `update`, `patch` or `delete`; deletions of the server's own collector too.
    pub verb: String,
    /// The resource with its group, as `leases.coordination.k8s.io`.
    pub resource: String,
    /// Empty where the request named none.
    pub subresource: String,
    /// Empty for a resource without namespaces.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The user behind the token; `system:serviceaccount:kube-system:generic-garbage-collector`
    /// and its like for what the server did by itself.
    pub user: String,
    /// The request's `User-Agent`; empty where it had none.
    pub user_agent: String,
    /// The revision after the write: of a deletion the deletion's.
    pub resource_version: u64,
    /// The server's wall clock at the write.
    pub wall_time: SystemTime,
    /// tokio's clock at the write: it follows paused time.
    pub time: Instant,
    /// The object after the write, or as it was when it was deleted.
    pub object: Arc<Value>,
}

/// What requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct RequestKey {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The resource with its group, as `leases.coordination.k8s.io`; the path where a request
    /// names no resource.
    pub resource: String,
    /// The HTTP status of the answer; 0 where none was given.
    pub code: u16,
}

/// Who writes, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) verb: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) user: &'a str,
    pub(crate) agent: &'a str,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    writes: VecDeque<Write>,
    limit: usize,
    subscribers: Vec<mpsc::UnboundedSender<Write>>,
    requests: BTreeMap<RequestKey, u64>,
}

impl<'a> Writer<'a> {
    /// The server itself, as the controller of that name.
    pub(crate) fn controller(verb: &'a str, user: &'a str) -> Self {
        Self {
            verb,
            subresource: "",
            user,
            agent: "tenure-apiserver",
        }
    }
}

impl Recorder {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            writes: VecDeque::new(),
            limit,
            subscribers: Vec::new(),
            requests: BTreeMap::new(),
        }
    }

    pub(crate) fn wrote(
        &mut self,
        writer: &Writer<'_>,
        resource: &Resource,
        key: &Key,
        stored: &Stored,
        wall_time: SystemTime,
    ) {
        self.subscribers
            .retain(|subscriber| !subscriber.is_closed());
        if self.limit == 0 && self.subscribers.is_empty() {
            return;
        }
        let write = Write {
            verb: writer.verb.to_owned(),
            resource: resource.qualified.to_string(),
            subresource: writer.subresource.to_owned(),
            namespace: key.namespace().to_owned(),
            name: key.name().to_owned(),
            user: writer.user.to_owned(),
            user_agent: writer.agent.to_owned(),
            resource_version: stored.revision,
            wall_time,
            time: Instant::now(),
            object: Arc::new(stored.value.clone()),
        };
        for subscriber in &self.subscribers {
            // A subscriber that has gone away is dropped at the next write.
            let _ = subscriber.send(write.clone());
        }
        self.writes.push_back(write);
        while self.writes.len() > self.limit {
            self.writes.pop_front();
        }
    }

    pub(crate) fn answered(&mut self, verb: &str, resource: &str, code: u16) {
        let key = RequestKey {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            code,
        };
        *self.requests.entry(key).or_default() += 1;
    }

    pub(crate) fn writes(&self) -> Vec<Write> {
        self.writes.iter().cloned().collect()
    }

    pub(crate) fn requests(&self) -> BTreeMap<RequestKey, u64> {
        self.requests.clone()
    }

    pub(crate) fn clear(&mut self) {
        self.writes.clear();
        self.requests.clear();
    }

    pub(crate) fn subscribe(&mut self) -> mpsc::UnboundedReceiver<Write> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.push(sender);
        receiver
    }
}

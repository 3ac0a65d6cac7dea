//! Who holds a Lease, as a watch of our own shows it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use futures::TryStreamExt as _;
use kube::{
    Api,
    api::{DynamicObject, WatchEvent, WatchParams},
};
use tenure::client::election_client;
use tokio::task::JoinHandle;

use crate::{candidate::unix_ns, floor::lease_kind, plane::Bench};

/// When each holder was first and last seen to hold the Lease.
pub(crate) struct Seen {
    times: Arc<Mutex<HashMap<String, Times>>>,
    watching: JoinHandle<()>,
}

#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Seen {
    pub(crate) async fn start(bench: &Bench, lock: &str) -> Result<Self> {
        let client = election_client(bench.server.config())?;
        let leases: Api<DynamicObject> = Api::namespaced_with(client, "default", &lease_kind());
        let params = WatchParams::default().fields(&format!("metadata.name={lock}"));
        let mut version = leases
            .get(lock)
            .await?
            .metadata
            .resource_version
            .unwrap_or_default();
        let times = Arc::new(Mutex::new(HashMap::new()));
        let shared = Arc::clone(&times);
        let watching = tokio::spawn(async move {
            // A watch that the server ends goes on where it was.
            loop {
                let Ok(events) = leases.watch(&params, &version).await else {
                    return;
                };
                let mut events = Box::pin(events);
                while let Ok(Some(event)) = events.try_next().await {
                    let (WatchEvent::Added(lease) | WatchEvent::Modified(lease)) = event else {
                        continue;
                    };
                    let at = unix_ns();
                    version = lease.metadata.resource_version.unwrap_or(version);
                    let holder = lease.data["spec"]["holderIdentity"].as_str();
                    let holder = holder.unwrap_or_default().to_owned();
                    let mut times = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    let of_holder = times.entry(holder).or_insert(Times {
                        first: at,
                        last: at,
                    });
                    of_holder.last = at;
                }
            }
        });
        Ok(Self { times, watching })
    }

    pub(crate) fn of(&self, holder: &str) -> Option<Times> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(holder).copied()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

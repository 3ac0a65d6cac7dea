//! Copies of everything that is stored, and going back to one: what a restore of etcd does.

use crate::server::ApiServer;
use crate::store::Store;

/// Everything that was stored at a moment: see [`ApiServer::snapshot`].
#[derive(Clone)]
pub struct Snapshot(Store);

impl ApiServer {
    /// A copy of everything that is stored now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.inner.lock().store.clone())
    }

    /// Puts everything back to what it was, the revision included: the next write gets a
    /// resourceVersion that was there before. Open watches end, as in the restart that a restore
    /// comes with, and what was written since is in no history.
    ///
    /// Definitions of custom resources are served as they are now. Nothing of this goes to
    /// [`ApiServer::writes`].
    pub fn restore(&self, snapshot: &Snapshot) {
        self.inner.lock().store = snapshot.0.clone();
        self.end_watches();
    }
}

impl Snapshot {
    /// The revision that it was taken at.
    pub fn revision(&self) -> u64 {
        self.0.revision()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Snapshot").field(&self.0.revision()).finish()
    }
}

//! Who leads, for those who want to hear of each change.

use std::sync::OnceLock;

use tenure_core::Holder;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// How many holders a slow reader may lag behind.
const KEPT: usize = 64;

/// Holders as they come. What keeps them for slow readers is made for the first reader: most elections
/// have none, and a process may have a thousand elections.
#[derive(Debug, Default)]
pub(crate) struct Holders(OnceLock<Sender<Option<Holder>>>);

impl Holders {
    pub(crate) fn tell(&self, holder: Option<Holder>) {
        if let Some(readers) = self.0.get() {
            // Nobody may read any more.
            let _ = readers.send(holder);
        }
    }

    /// What is told from now on. It ends when these holders are dropped.
    pub(crate) fn listen(&self) -> Receiver<Option<Holder>> {
        let readers = self.0.get_or_init(|| broadcast::channel(KEPT).0);
        readers.subscribe()
    }
}

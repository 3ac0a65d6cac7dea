//! An election's own way to the API server (rule L16).

use kube::{Client, Config};

/// A connection that several elections share, instead of opening one each.
///
/// It belongs to the runtime on which it was made and must outlive no runtime; elections with a
/// [`dedicated_thread`](crate::Builder::dedicated_thread) should not use one of another runtime.
#[derive(Clone)]
pub struct Connection(Client);

impl Connection {
    /// Connect as an election would.
    ///
    /// # Errors
    /// As kube's, if the configuration cannot be used (certificates, credentials).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(config: Config) -> Result<Self, kube::Error> {
        election_client(config).map(Self)
    }

    pub(crate) fn client(&self) -> Client {
        self.0.clone()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A client without kube's own resending: up to 15 tries and 217 s would turn a call limit into a
/// wish, and send writes again that were already applied (rules L6, L16).
///
/// # Errors
/// As kube's, if the configuration cannot be used (certificates, credentials).
pub fn election_client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    // A watch may be silent for minutes; calls have limits of their own.
    config.read_timeout = None;
    Client::try_from(config)
}

//! The clients that elections talk through (rule L16).
//!
//! kube bakes a retry layer into each client that it makes by default: up to 15 resends of one
//! request, for minutes. A renewal that is resent behind the election's back is sent by nobody's
//! clock, so an election makes its own client from a [`kube::Config`], and sends each request
//! once. How long a call may take is the call limit's business, which covers everything from the
//! connection to the last byte of the answer; a client has no limit of its own but for connecting.

use std::{fmt, time::Duration};

use kube::{Client, Config};

use crate::{warm::Warmth, wire::Wire};

/// The longest that connecting may take, TLS included. A call gives up earlier, at its own limit;
/// this one ends tries that nobody waits for any more.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A client for elections: it sends each request once, does not limit rates, and leaves timeouts
/// to the call limit (rule L16).
///
/// Everything else in `config` is kept: credentials, certificates, proxy, impersonation, headers.
///
/// With the feature `rustls-tls` of this crate its requests leave at once (`TCP_NODELAY`), which kube
/// itself has no setting for: worth over 40 ms for the first write of a connection. Behind a proxy,
/// and with credentials from a command, it is kube's own stack all the same.
///
/// # Errors
/// Whatever kube finds wrong with the configuration. Whether a server answers is not tried.
///
/// # Panics
/// Outside of a tokio runtime, as [`Client::try_from`].
pub fn election_client(config: Config) -> Result<Client, kube::Error> {
    Ok(wire_by(for_elections(config))?.client().clone())
}

#[cfg(feature = "rustls-tls")]
use crate::direct::wire as wire_by;

#[cfg(not(feature = "rustls-tls"))]
fn wire_by(config: Config) -> Result<Wire, kube::Error> {
    Client::try_from(config).map(Wire::over)
}

fn for_elections(mut config: Config) -> Config {
    config.default_retry = false;
    let connect = config.connect_timeout.unwrap_or(CONNECT_LIMIT);
    config.connect_timeout = Some(connect.min(CONNECT_LIMIT));
    // A watch is silent for minutes; calls have their own limit.
    config.read_timeout = None;
    config
}

/// Connections to one API server that several elections share. Cheap to clone.
///
/// An election that is not given one makes its own, which is what few elections should do: then
/// nothing else queues before a renewal. With a hundred locks in one process, sharing saves a
/// hundred TLS handshakes and as many idle connections.
///
/// While nothing else is sent over it, a ping (`OPTIONS *`) once a minute keeps it open, so that a
/// takeover does not begin with a handshake. An API server answers it before it asks for any right, and
/// notes it in no audit log; where something in between does not answer it well, `GET /version` takes its
/// place. A connection [`over`](Self::over) somebody's client
/// is left to them, unless they say [`keep_warm`](Self::keep_warm).
#[derive(Clone)]
pub struct Connection {
    wire: Wire,
    warmth: Warmth,
}

impl Connection {
    /// A connection by [`election_client`].
    ///
    /// # Errors
    /// As [`election_client`].
    ///
    /// # Panics
    /// Outside of a tokio runtime. Connections live on the runtime that they are made on, and must
    /// not outlive it.
    pub fn new(config: Config) -> Result<Self, kube::Error> {
        let wire = wire_by(for_elections(config))?;
        let warmth = Warmth::of(wire.client());
        Ok(Self { wire, warmth })
    }

    /// A connection over a client that somebody made. It should not retry by itself (rule L16):
    /// set [`Config::default_retry`] to false before making it.
    pub fn over(client: Client) -> Self {
        let (wire, warmth) = (Wire::over(client), Warmth::none());
        Self { wire, warmth }
    }

    /// Keep it open while nothing else is sent over it, as [`new`](Self::new) does: with a ping once a
    /// minute, while an election that uses it runs.
    #[must_use]
    pub fn keep_warm(self) -> Self {
        let warmth = Warmth::of(self.wire.client());
        Self { warmth, ..self }
    }

    /// The client, as another handle on the same connections.
    pub fn client(&self) -> Client {
        self.wire.client().clone()
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire.clone()
    }

    pub(crate) fn warmth(&self) -> Warmth {
        self.warmth.clone()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elections_client_neither_resends_nor_times_reads() {
        let mut config = Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        config.read_timeout = Some(Duration::from_secs(1));
        config.connect_timeout = Some(Duration::from_secs(3));
        let ours = for_elections(config.clone());
        assert!(!ours.default_retry);
        assert_eq!(ours.read_timeout, None);
        assert_eq!(ours.connect_timeout, Some(Duration::from_secs(3)));
        config.connect_timeout = None;
        assert_eq!(for_elections(config).connect_timeout, Some(CONNECT_LIMIT));
    }
}

//! The server over plain HTTP/1.1, on loopback only.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::server::Inner;
use crate::service::Connection;

/// A server that listens. It stops when this is dropped, or by [`HttpServer::shutdown`].
#[derive(Debug)]
pub struct HttpServer {
    /// Where it listens.
    pub addr: SocketAddr,
    token: String,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// Why a server does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address could be reached from elsewhere.
    #[error(
        "{addr} is no loopback address: this server is for tests and demos on one machine; use \
         127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The address could not be bound.
    #[error("cannot listen on {addr}: choose another port, or 0 for a free one")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl HttpServer {
    pub(crate) async fn start(
        connection: Connection,
        inner: &Arc<Inner>,
        addr: SocketAddr,
    ) -> Result<Self, ServeError> {
        if !addr.ip().is_loopback() {
            return Err(ServeError::NotLoopback { addr });
        }
        // tokio sets SO_REUSEADDR: the same port can be served again at once.
        let bind = |source| ServeError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, connection, stopped));
        Ok(Self {
            addr,
            token: inner.token.clone(),
            stop,
            task: Some(task),
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A kubeconfig for this server, as YAML: its address, the token, the namespace `default`.
    ///
    /// The token is also in the server's URL, as a password: kubectl sends no bearer token over
    /// plain HTTP, but what the URL says it does send.
    pub fn kubeconfig(&self) -> String {
        let password = utf8_percent_encode(&self.token, NON_ALPHANUMERIC);
        let url = format!("http://tenure:{password}@{}", self.addr);
        let token = serde_json::Value::from(self.token.as_str());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: tenure\nclusters:\n- name: tenure\n  \
             cluster:\n    server: {url}\ncontexts:\n- name: tenure\n  context:\n    cluster: \
             tenure\n    user: tenure\n    namespace: default\nusers:\n- name: tenure\n  user:\n    \
             token: {token}\n"
        )
    }

    /// Stops listening and cuts every connection, and waits until that is done. The state stays:
    /// the server can be served again, on the same port too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the server stopping all the same.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // An error here is a panic of a connection; the listener is gone either way.
            let _ = task.await;
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn accept(listener: TcpListener, connection: Connection, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept is the peer's: it has gone away again.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, connection.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, connection: Connection) {
    // Without it small answers wait for the peer's delayed acknowledgement, 40 ms each.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(connection);
    // An error is a lost connection: the peer's doing, or an injected fault's.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

//! The embedded server on a port of its own, with what tests do to servers.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use tenure_apiserver::{ApiServer, HttpServer};
use tokio::net::TcpSocket;
use tokio::sync::Mutex;

use crate::tcp::Proxy;

/// The embedded server behind a proxy: the proxy's port stays the same for good, and it can hold
/// what clients send, as the kernel does for a process that stands still.
pub(crate) struct Embedded {
    pub(crate) server: ApiServer,
    pub(crate) addr: SocketAddr,
    running: Mutex<Running>,
}

enum Running {
    Yes(HttpServer, Proxy),
    /// The socket is bound and does not listen: clients are refused, and nobody else gets the port.
    No(#[allow(dead_code)] TcpSocket),
    /// Only while it starts or stops.
    Changing,
}

impl Embedded {
    pub(crate) async fn start(server: ApiServer) -> Result<Self> {
        let http = server.serve_http(any_port()).await?;
        let proxy = Proxy::start(http.addr).await?;
        Ok(Self {
            addr: proxy.addr(),
            server,
            running: Mutex::new(Running::Yes(http, proxy)),
        })
    }

    /// A kubeconfig as YAML.
    pub(crate) fn kubeconfig(&self) -> String {
        // The user and the password in the URL: kubectl sends no token over plain HTTP.
        let (token, addr) = (self.server.token(), self.addr);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: tenure\n\
             clusters:\n- name: tenure\n  cluster:\n    server: http://tenure:{token}@{addr}\n\
             contexts:\n- name: tenure\n  context: {{cluster: tenure, user: tenure, namespace: default}}\n\
             users:\n- name: tenure\n  user: {{token: \"{token}\"}}\n"
        )
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        let Running::Yes(http, proxy) = std::mem::replace(&mut *running, Running::Changing) else {
            bail!("the server does not run");
        };
        proxy.stop().await;
        http.shutdown().await;
        // Watches of in-process clients end too, as with a restart.
        self.server.end_watches();
        *running = Running::No(reserve(self.addr)?);
        Ok(())
    }

    pub(crate) async fn start_again(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if let Running::Yes(..) = *running {
            bail!("the server runs already");
        }
        *running = Running::Changing;
        let http = self.server.serve_http(any_port()).await?;
        let proxy = Proxy::start_at(self.addr, http.addr).await?;
        *running = Running::Yes(http, proxy);
        Ok(())
    }

    pub(crate) async fn hold(&self, hold: bool) -> Result<()> {
        match &*self.running.lock().await {
            Running::Yes(_, proxy) if hold => proxy.hold(),
            Running::Yes(_, proxy) => proxy.pass(),
            _ => bail!("the server does not run"),
        }
        Ok(())
    }
}

pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Binds an address without listening on it.
pub(crate) fn reserve(addr: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4().context("cannot make a socket")?;
    socket.set_reuseaddr(true).context("SO_REUSEADDR")?;
    socket
        .bind(addr)
        .with_context(|| format!("cannot bind {addr}"))?;
    Ok(socket)
}

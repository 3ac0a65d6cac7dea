//! A proxy that plays the network between a client and a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use kube::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::embedded::any_port;

/// A TCP proxy before one server. It copies bytes and knows nothing of them, so it does TLS as
/// well as plain HTTP. It ends, and its connections with it, when it is dropped.
///
/// What it holds back it does not lose: bytes go on when it passes again, as after a network was
/// away for a while. To lose them, [`Proxy::cut`] before that.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    gate: watch::Sender<Gate>,
    accepted: Arc<AtomicUsize>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Default)]
struct Gate {
    hold_requests: bool,
    hold_answers: bool,
    refuse: bool,
    delay: Duration,
    /// Connections of an earlier epoch are cut.
    epoch: u64,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    ToServer,
    ToClient,
}

/// How many pieces, of 16 KiB at most, one connection keeps for each direction.
const PIECES: usize = 64;

impl Proxy {
    /// A proxy on a free port of loopback, before the server at `target`.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        Self::start_at(any_port(), target).await
    }

    pub(crate) async fn start_at(addr: SocketAddr, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(addr)
            .await
            .with_context(|| format!("cannot listen on {addr}"))?;
        let addr = listener
            .local_addr()
            .context("a listener without an address")?;
        let (gate, seen) = watch::channel(Gate::default());
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, target, seen, accepted.clone()));
        Ok(Self {
            addr,
            gate,
            accepted,
            task: Some(task),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `config` with this proxy's address in place of the server's.
    ///
    /// # Errors
    ///
    /// When the server's URL cannot be taken apart.
    pub fn config(&self, config: &Config) -> Result<Config> {
        let mut parts = config.cluster_url.clone().into_parts();
        parts.authority = Some(self.addr.to_string().parse().context("not an authority")?);
        let mut config = config.clone();
        config.cluster_url = http::Uri::from_parts(parts).context("not a URL")?;
        Ok(config)
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Passes everything again, at once.
    pub fn pass(&self) {
        self.gate.send_modify(|gate| {
            *gate = Gate {
                epoch: gate.epoch,
                ..Gate::default()
            };
        });
    }

    /// A black hole: connections stay open, and are accepted, and nothing goes through.
    pub fn hold(&self) {
        self.gate.send_modify(|gate| {
            gate.hold_requests = true;
            gate.hold_answers = true;
        });
    }

    /// Nothing goes to the server; its answers pass.
    pub fn hold_requests(&self) {
        self.gate.send_modify(|gate| gate.hold_requests = true);
    }

    /// Nothing comes back from the server; requests reach it.
    pub fn hold_answers(&self) {
        self.gate.send_modify(|gate| gate.hold_answers = true);
    }

    /// Lets every byte, in both directions, be that late.
    pub fn delay(&self, delay: Duration) {
        self.gate.send_modify(|gate| gate.delay = delay);
    }

    /// Ends every connection, with what was held back on it. New ones are served.
    pub fn cut(&self) {
        self.gate.send_modify(|gate| gate.epoch += 1);
    }

    /// Ends every connection, and every new one as soon as it is accepted, until [`Proxy::pass`].
    pub fn refuse(&self) {
        self.gate.send_modify(|gate| {
            gate.refuse = true;
            gate.epoch += 1;
        });
    }

    /// Ends it, and waits until its port is free again.
    pub async fn stop(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // It was aborted: there is nothing else to learn.
            let _ = task.await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    gate: watch::Receiver<Gate>,
    accepted: Arc<AtomicUsize>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            connection = listener.accept() => {
                // A failed accept is the peer's: it has gone away again.
                let Ok((client, _)) = connection else { continue };
                accepted.fetch_add(1, Ordering::SeqCst);
                open.spawn(connect(client, target, gate.clone()));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, target: SocketAddr, gate: watch::Receiver<Gate>) {
    let Gate { refuse, epoch, .. } = *gate.borrow();
    if refuse {
        return;
    }
    let mut cut = gate.clone();
    tokio::select! {
        () = carry(client, target, gate) => {}
        _ = cut.wait_for(|gate| gate.epoch != epoch) => {}
    }
}

async fn carry(client: TcpStream, target: SocketAddr, mut gate: watch::Receiver<Gate>) {
    if pass(&mut gate, Way::ToServer).await.is_none() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    // Without it small pieces wait for the peer's delayed acknowledgement, 40 ms each.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::join!(
        pump(from_client, to_server, gate.clone(), Way::ToServer),
        pump(from_server, to_client, gate, Way::ToClient),
    );
}

/// Copies one direction to its end.
async fn pump(from: OwnedReadHalf, to: OwnedWriteHalf, gate: watch::Receiver<Gate>, way: Way) {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::join!(
        read(from, sender, gate.clone()),
        write(to, receiver, gate, way)
    );
}

async fn read(
    mut from: OwnedReadHalf,
    pieces: mpsc::Sender<(Instant, Bytes)>,
    gate: watch::Receiver<Gate>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now() + gate.borrow().delay;
        let piece = Bytes::copy_from_slice(&buffer[..n]);
        if pieces.send((due, piece)).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut pieces: mpsc::Receiver<(Instant, Bytes)>,
    mut gate: watch::Receiver<Gate>,
    way: Way,
) {
    while let Some((due, piece)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        if pass(&mut gate, way).await.is_none() || to.write_all(&piece).await.is_err() {
            return;
        }
    }
    // The end of a stream is held back like its bytes.
    if pass(&mut gate, way).await.is_some() {
        let _ = to.shutdown().await;
    }
}

/// Waits until that direction is open; `None` when the proxy has ended.
async fn pass(gate: &mut watch::Receiver<Gate>, way: Way) -> Option<()> {
    let open = |gate: &Gate| match way {
        Way::ToServer => !gate.hold_requests,
        Way::ToClient => !gate.hold_answers,
    };
    gate.wait_for(open).await.ok().map(|_| ())
}

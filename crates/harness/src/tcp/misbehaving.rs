//! Servers that do one thing to every connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::embedded::any_port;

/// A server that treats every connection alike, badly. It ends when it is dropped.
#[derive(Debug)]
pub struct Misbehaving {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
enum Manner {
    Hang,
    Close,
    Say(Arc<[u8]>),
    Answer(Arc<[u8]>),
}

/// What is read of one request at most.
const LONGEST_REQUEST: usize = 4 << 20;
/// How long a connection that does nothing is kept.
const PATIENCE: Duration = Duration::from_secs(600);

impl Misbehaving {
    /// Accepts connections, reads nothing and says nothing.
    pub async fn hanging() -> Result<Self> {
        Self::start(Manner::Hang).await
    }

    /// Closes every connection at once.
    pub async fn closing() -> Result<Self> {
        Self::start(Manner::Close).await
    }

    /// Answers everything with 503 and a `Status`, as a server that starts or goes.
    pub async fn unavailable() -> Result<Self> {
        let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server is currently unable to handle the request","reason":"ServiceUnavailable","code":503}"#;
        Self::answering(
            "503 Service Unavailable",
            "Content-Type: application/json",
            body,
        )
        .await
    }

    /// Answers everything with a plain-text 429 whose `Retry-After` is so many seconds, as an
    /// overloaded server does.
    pub async fn too_many_requests(retry_after_seconds: u32) -> Result<Self> {
        let headers = format!(
            "Content-Type: text/plain; charset=utf-8\r\nRetry-After: {retry_after_seconds}"
        );
        let body = "Too many requests, please try again later.\n";
        Self::answering("429 Too Many Requests", &headers, body).await
    }

    /// Answers every HTTP request with that status, as `200 OK`, those header lines and that body,
    /// and closes the connection.
    pub async fn answering(status: &str, headers: &str, body: &str) -> Result<Self> {
        let headers = headers.trim_end();
        let answer = format!(
            "HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Self::start(Manner::Answer(answer.into_bytes().into())).await
    }

    /// Refuses every TLS handshake with the alert `handshake_failure`.
    pub async fn refusing_tls() -> Result<Self> {
        // An alert record of TLS 1.2, two bytes long: fatal, handshake_failure.
        let alert = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28];
        Self::start(Manner::Say(Arc::from(alert))).await
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`
    pub fn http_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// `https://127.0.0.1:PORT`
    pub fn https_url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many whole HTTP requests came; only those that answer them count.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    async fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind(any_port())
            .await
            .context("cannot listen on loopback")?;
        let addr = listener
            .local_addr()
            .context("a listener without an address")?;
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, answered) = (connections.clone(), requests.clone());
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        // A failed accept is the peer's: it has gone away again.
                        let Ok((stream, _)) = accepted else { continue };
                        counted.fetch_add(1, Ordering::SeqCst);
                        open.spawn(treat(stream, manner.clone(), answered.clone()));
                    }
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Ok(Self {
            addr,
            connections,
            requests,
            task,
        })
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn treat(mut stream: TcpStream, manner: Manner, requests: Arc<AtomicUsize>) {
    // Errors here are the peer's going away.
    match manner {
        Manner::Hang => tokio::time::sleep(PATIENCE).await,
        Manner::Close => {}
        Manner::Say(bytes) => {
            // Whatever comes first is read: an unread byte would turn the end into a reset.
            let _ = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 16 * 1024])).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Manner::Answer(answer) => {
            let read = tokio::time::timeout(PATIENCE, read_request(&mut stream)).await;
            if matches!(read, Ok(Some(()))) {
                requests.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        }
    }
}

/// Reads one request to the end of its body; `None` when it breaks off.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut read = Vec::new();
    let mut wanted = None;
    while wanted.is_none_or(|wanted| read.len() < wanted) {
        if read.len() > LONGEST_REQUEST || stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if wanted.is_none() {
            wanted = length(&read);
        }
    }
    Some(())
}

/// The length of a request with its body, once its headers are complete.
fn length(read: &[u8]) -> Option<usize> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let headers = String::from_utf8_lossy(read.get(..end)?).to_ascii_lowercase();
    let body = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0_usize);
    end.checked_add(body)
}

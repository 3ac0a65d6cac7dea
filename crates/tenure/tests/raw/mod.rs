//! A server that answers every request with the same bytes, or not at all, and counts them.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test's server")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What becomes of each request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes, and then the connection stays open and silent, or takes the next request.
    Bytes(Vec<u8>),
    /// These bytes, and then the connection is closed.
    BytesThenClose(Vec<u8>),
    /// The first request of a connection gets these bytes; it is closed over the second.
    OnceThenClose(Vec<u8>),
}

/// The first line of each whole request.
type Requests = Arc<Mutex<Vec<String>>>;

pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    requests: Requests,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Requests::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let (requests, connections) = (Arc::clone(&requests), Arc::clone(&connections));
            async move {
                let mut serving = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    serving.spawn(serve(stream, answer.clone(), Arc::clone(&requests)));
                }
            }
        });
        Self {
            address,
            requests,
            connections,
            task,
        }
    }

    pub(crate) fn config(&self) -> kube::Config {
        config(&format!("http://{}", self.address))
    }

    /// How many whole requests have come in.
    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// What they asked: method, target and version.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn config(url: &str) -> kube::Config {
    let mut config = kube::Config::new(url.parse().unwrap());
    // None but these are trusted, whatever the machine has.
    config.root_cert = Some(Vec::new());
    config
}

/// An answer with a head and a whole body.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A refusal as the API server writes it.
pub(crate) fn status(code: u16, reason: &str, kind: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"told so","reason":"{reason}","details":{{"name":"x","kind":"{kind}"}},"code":{code}}}"#
    )
}

async fn serve(mut stream: TcpStream, answer: Answer, requests: Requests) {
    let mut served = 0;
    while let Some(asked) = read_request(&mut stream).await {
        requests.lock().unwrap().push(asked);
        let bytes = match &answer {
            Answer::OnceThenClose(_) if served > 0 => return,
            Answer::Bytes(bytes) | Answer::BytesThenClose(bytes) | Answer::OnceThenClose(bytes) => {
                bytes
            }
        };
        if stream.write_all(bytes).await.is_err() {
            return;
        }
        if matches!(answer, Answer::BytesThenClose(_)) {
            let _ = stream.shutdown().await;
            return;
        }
        served += 1;
    }
}

/// Read one request, body included. Its first line is what comes of it.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    head.lines().next().map(ToOwned::to_owned)
}

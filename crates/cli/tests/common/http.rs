//! A sidecar, and questions to it over plain connections.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;
use tenure_harness::TestServer;

use super::{LIMIT, Running, tenure};

/// A sidecar for the lock `nightly`, and where it answers.
pub struct Sidecar {
    pub running: Running,
    pub address: String,
}

impl Sidecar {
    pub fn start(server: &TestServer, flags: &[&str]) -> Self {
        let kubeconfig = server.kubeconfig().to_str().unwrap();
        let mut command = tenure(&["sidecar", "nightly", "--kubeconfig", kubeconfig]);
        let http: &[&str] = if flags.contains(&"--http") {
            &[]
        } else {
            &["--http", "127.0.0.1:0"]
        };
        let running = Running::start(command.args(http).args(flags));
        let line = running.line().expect("it listens");
        let address = line.strip_prefix("listening on http://").unwrap();
        Self {
            address: address.to_owned(),
            running,
        }
    }

    /// `GET` of a path.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    /// `POST` of JSON.
    pub fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
    }

    /// Whatever is given, on a connection of its own.
    pub fn send(&self, request: &str) -> (u16, Value) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Asks until it leads, and gives what is said then.
    pub fn leads(&self) -> Value {
        self.until("/leader", |code, _| code == 200)
    }

    /// Asks until it is so.
    pub fn until(&self, path: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let (code, said) = self.get(path);
            if holds(code, &said) {
                return said;
            }
            assert!(tokio::time::Instant::now() < end, "{code} {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The head and the body of one answer.
fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let code = head.split(' ').nth(1).unwrap().parse().unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
                return (code, body);
            }
        }
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "the connection ended early");
        bytes.extend_from_slice(&buffer[..read]);
    }
}

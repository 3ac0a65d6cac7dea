//! What no seed can show, because a simulated process has neither: the machine's clock, and the
//! client that an election makes from a configuration. Both are looked at once for each program
//! that plays, before its first seed.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use http::Request;
use kube::client::Body;
use tenure::clock::{Clock, SystemClock};

/// The hidden option by which this program prints what the machine's clock shows.
pub const SHOW_CLOCK: &str = "--show-clock";

/// The program that understands [`SHOW_CLOCK`], where this is it.
pub static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// What is wrong, if anything is.
pub(super) fn wrong() -> Option<&'static str> {
    static WRONG: OnceLock<Option<String>> = OnceLock::new();
    let looks = || looks_at_the_clock().or_else(looks_at_the_client);
    WRONG.get_or_init(looks).as_deref()
}

/// What the machine's clock shows, in nanoseconds.
#[must_use]
pub fn clock() -> u64 {
    SystemClock.mono().as_nanos()
}

/// The machine's clock is the time since boot, and goes on while the machine sleeps (L4).
fn looks_at_the_clock() -> Option<String> {
    let before = uptime()?;
    let shown = seconds(clock());
    let after = uptime()?;
    // The file has hundredths of a second, cut off.
    if shown < before || shown > after + 0.02 {
        return Some(format!(
            "the machine's clock shows {shown} s, {after} s after boot (L4)"
        ));
    }
    // Nobody can send the machine to sleep here. But where it may be done, a process can be told
    // that it has slept: by a time namespace, in which that clock alone is ahead.
    let program = PROGRAM.get()?;
    let asleep = 1_000_000.0;
    let output = Command::new("unshare")
        .args(["--time", "--boottime", "1000000", "--"])
        .arg(program)
        .arg(SHOW_CLOCK)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let shown = seconds(text.trim().parse().ok()?);
    (shown < asleep).then(|| "the machine's clock does not count time asleep (L4)".to_owned())
}

/// Seconds since boot, the time asleep included.
fn uptime() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    text.split(' ').next()?.parse().ok()
}

#[allow(clippy::cast_precision_loss, reason = "to a hundredth of a second")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// The longest that a client may take to hand an error on.
const LIMIT: Duration = Duration::from_secs(5);

/// A server that counts what it is sent, and fails.
struct Failing {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

/// The client of an election sends a request that fails once, and says so (L16).
fn looks_at_the_client() -> Option<String> {
    for answer in [
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "",
    ] {
        // Where no connection can be made nothing can be said.
        let server = Failing::begin(answer).ok()?;
        let answered = ask(server.address)?;
        let sent = server.requests.load(Ordering::Acquire);
        if sent != 1 || !answered {
            let mut wrong = format!("the client of an election sent one request {sent} times");
            let _ = write!(wrong, " to a server that fails ({answer:?}) (L16)");
            return Some(wrong);
        }
    }
    None
}

/// Whether the client has handed on what became of a request.
fn ask(address: SocketAddr) -> Option<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let uri = format!("http://{address}").parse().ok()?;
    runtime.block_on(async {
        let config = kube::Config::new(uri);
        let client = tenure::client::election_client(config).ok()?;
        let request = Request::put("/x").body(Body::from(vec![b'{', b'}'])).ok()?;
        let answer = tokio::time::timeout(LIMIT, client.send(request)).await;
        Some(answer.is_ok())
    })
}

impl Failing {
    /// One that answers so; where there is no answer, it closes the connection.
    fn begin(answer: &'static str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (requests, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, ends) = (Arc::clone(&requests), Arc::clone(&over));
        thread::Builder::new().spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let _ = serve(stream, answer, &counted);
            }
        })?;
        Ok(Self {
            address,
            requests,
            over,
        })
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // It looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

/// One request, and the end of its connection.
fn serve(mut stream: TcpStream, answer: &str, counted: &AtomicUsize) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut read = Vec::new();
    let mut piece = [0; 1024];
    // The body of the one request that is asked here.
    while !read.ends_with(b"{}") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            many => read.extend_from_slice(&piece[..many]),
        }
    }
    counted.fetch_add(1, Ordering::AcqRel);
    if answer.is_empty() {
        return Ok(());
    }
    let told = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(told.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l16_l4_the_real_client_and_the_real_clock_are_as_the_rules_want_them() {
        assert_eq!(wrong(), None);
    }
}

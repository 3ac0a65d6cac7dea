//! Programs that ask two sidecars all the time and act as long as the answers hold, while the
//! sidecars are asked to leave, ended, killed and frozen: no two ever act at once.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use common::http::Sidecar;
use rustix::process::Signal;
use serde_json::Value;
use tenure::Instant;
use tenure_harness::TestServer;

/// From the answer to the end of what it promised, counted from before the question.
#[derive(Clone, Copy, Debug)]
struct Acted {
    token: u64,
    from: Instant,
    until: Instant,
}

/// A program that asks one place, whichever sidecar is there.
struct Program {
    address: Arc<Mutex<String>>,
    ends: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Acted>>,
}

impl Program {
    fn start(sidecar: &Sidecar) -> Self {
        let address = Arc::new(Mutex::new(sidecar.address.clone()));
        let ends = Arc::new(AtomicBool::new(false));
        let asking = std::thread::spawn({
            let (address, ends) = (Arc::clone(&address), Arc::clone(&ends));
            move || {
                let mut acted = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    let address = address.lock().unwrap().clone();
                    acted.extend(ask(&address));
                    std::thread::sleep(Duration::from_millis(3));
                }
                acted
            }
        });
        Self {
            address,
            ends,
            asking,
        }
    }

    fn goes_on_with(&self, sidecar: &Sidecar) {
        self.address.lock().unwrap().clone_from(&sidecar.address);
    }

    fn end(self) -> Vec<Acted> {
        self.ends.store(true, Ordering::Relaxed);
        self.asking.join().unwrap()
    }
}

/// None where nobody answers, or it does not lead, or the answer came too late.
fn ask(address: &str) -> Option<Acted> {
    let asked = tenure::now();
    let mut stream = TcpStream::connect(address).ok()?;
    let limit = Some(Duration::from_secs(1));
    stream.set_read_timeout(limit).ok()?;
    stream
        .write_all(b"GET /leader HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    let said: Value = serde_json::from_str(body).ok()?;
    let valid = Duration::from_millis(said["valid_for_ms"].as_u64()?);
    let acted = Acted {
        token: said["token"].as_str()?.parse().ok()?,
        from: tenure::now(),
        until: asked.after(valid),
    };
    (acted.from < acted.until).then_some(acted)
}

fn start(server: &TestServer, identity: &str) -> Sidecar {
    let timing = ["--lease-duration", "3s", "--cooldown", "300ms"];
    let identity = ["--identity", identity];
    Sidecar::start(server, &[&timing[..], &identity].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_programs_that_ask_never_act_at_once_whatever_becomes_of_their_sidecars() {
    let server = TestServer::embedded().await.unwrap();
    let mut one = start(&server, "one");
    one.leads();
    let mut two = start(&server, "two");
    let programs = [Program::start(&one), Program::start(&two)];

    let mut names = 2;
    for round in 0..8 {
        let (leader, other) = if round % 2 == 0 {
            (&mut one, &mut two)
        } else {
            (&mut two, &mut one)
        };
        let program = &programs[round % 2];
        leader.leads();
        other.until("/v1/status", |_, said| said["phase"] == "standby");
        match round {
            0 | 5 => {
                let to = other.get("/v1/status").1["identity"].clone();
                let body = format!("{{\"to\":{to}}}");
                assert_eq!(leader.post("/v1/hand-over", &body).0, 200);
                other.leads();
            }
            1 | 4 | 6 => {
                let signal = if round == 4 {
                    Signal::KILL
                } else {
                    Signal::TERM
                };
                leader.running.signal(signal);
                other.leads();
                leader.running.wait();
                names += 1;
                *leader = start(&server, &format!("number-{names}"));
                program.goes_on_with(leader);
            }
            _ => {
                leader.running.signal(Signal::STOP);
                other.leads();
                leader.running.signal(Signal::CONT);
                leader.until("/leader", |code, _| code == 503);
            }
        }
    }

    let mut acted: Vec<Acted> = programs.into_iter().flat_map(Program::end).collect();
    acted.sort_by_key(|acted| acted.token);
    let terms: Vec<&[Acted]> = acted.chunk_by(|a, b| a.token == b.token).collect();
    assert!(terms.len() >= 8, "{}", terms.len());
    for pair in terms.windows(2) {
        let last = pair[0].iter().map(|acted| acted.until).max().unwrap();
        let first = pair[1].iter().map(|acted| acted.from).min().unwrap();
        let shared = last.since(first);
        assert!(shared.is_zero(), "two acted at once for {shared:?}");
    }
}

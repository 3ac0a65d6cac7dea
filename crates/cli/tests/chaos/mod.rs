//! Candidates that run workers, and what can happen to them: after each fault never do two
//! candidates' workers work at once, nothing is left of what was to end, and somebody works again.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test program uses a part of it

pub mod processes;
pub mod worker;

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tenure_harness::{TestServer, tcp::Proxy};
use tokio::time::{Instant, sleep};

use processes::{Chain, chain, send};
use worker::Marks;

/// D; the rest follows from it: H is 2 s, G 0.6 s, and the guard kills 0.15 s before the end.
const LEASE: Duration = Duration::from_secs(3);

/// How long nobody may work: what the rules take (the longest wait, its spread, two calls), and
/// something for a machine that has other things to do.
const GAP: Duration = Duration::from_secs(4 + 6);

/// What happens to whoever leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillTenure,
    KillCommand,
    KillGuard,
    KillInit,
    StopTenure,
    StopGuardAndHoldApi,
    StopCommandAndKillTenure,
    HoldApi,
    RefuseApi,
    DeleteLease,
    StealLease,
    KillTenureAndGuard,
    TermTenure,
}

pub const FAULTS: [Fault; 13] = [
    Fault::KillTenure,
    Fault::HoldApi,
    Fault::StopTenure,
    Fault::KillGuard,
    Fault::RefuseApi,
    Fault::DeleteLease,
    Fault::KillTenureAndGuard,
    Fault::StealLease,
    Fault::KillCommand,
    Fault::StopGuardAndHoldApi,
    Fault::StopCommandAndKillTenure,
    Fault::KillInit,
    Fault::TermTenure,
];

/// One candidate.
struct Candidate {
    identity: String,
    containment: &'static str,
    kubeconfig: PathBuf,
    proxy: Proxy,
    tenure: Child,
}

/// A whole test.
pub struct Chaos {
    server: TestServer,
    lease: String,
    namespace: String,
    directory: TempDir,
    worker: Vec<String>,
    candidates: Vec<Candidate>,
}

impl Chaos {
    /// Three candidates, each with a containment of its own where the place allows it, and its own
    /// way to the server.
    pub async fn start(server: TestServer) -> Self {
        let directory = TempDir::with_prefix("tenure-chaos-").unwrap();
        let marks = directory.path().join("marks");
        std::fs::create_dir(&marks).unwrap();
        let namespace = server.namespace("chaos").await.unwrap();
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/chaos");
        let mut chaos = Self {
            worker: worker::command_line(&marks),
            server,
            lease,
            namespace,
            directory,
            candidates: Vec::new(),
        };
        for containment in ["pid-namespace", "cgroup", "process-group"] {
            chaos.add(containment).await;
        }
        chaos
    }

    async fn add(&mut self, containment: &'static str) {
        let (proxy, _) = self.server.proxied().await.unwrap();
        let identity = format!("on-{containment}");
        let text = std::fs::read_to_string(self.server.kubeconfig()).unwrap();
        let kubeconfig = self.directory.path().join(format!("{identity}.kubeconfig"));
        let address = self.server.config().cluster_url;
        let address = address.authority().unwrap().as_str();
        assert!(text.contains(address), "{address} is not in {text}");
        let text = text.replace(address, &proxy.addr().to_string());
        std::fs::write(&kubeconfig, text).unwrap();
        let allowed = Self::allowed(containment);
        if !allowed {
            println!("this place has no containment {containment}: process-group stands in");
        }
        let containment = if allowed {
            containment
        } else {
            "process-group"
        };
        let tenure = self.spawn(containment, &kubeconfig, &identity);
        self.candidates.push(Candidate {
            identity,
            containment,
            kubeconfig,
            proxy,
            tenure,
        });
    }

    /// Whether the place allows it: it is tried before the cluster is looked for.
    fn allowed(containment: &str) -> bool {
        let probe = super::common::tenure(&["run", "--containment", containment, "probe"])
            .args(["--nonblock", "--kubeconfig"])
            .arg("/nonexistent")
            .args(["--", "true"])
            .output()
            .unwrap();
        !String::from_utf8_lossy(&probe.stderr).contains("does not allow the containment")
    }

    fn spawn(&self, containment: &str, kubeconfig: &std::path::Path, identity: &str) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join(format!("{identity}.log")))
            .unwrap();
        let mut command: Command = super::common::tenure(&["run", "-v", "chaos"]);
        command
            .args(["--containment", containment, "--identity", identity])
            .args(["--lease-duration", "3s", "--stop-timeout", "300ms"])
            .args(["--restart", "always", "--restart-pause", "100ms"])
            .args(["--namespace", &self.namespace, "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--")
            .args(&self.worker)
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().unwrap()
    }

    fn marks(&self) -> Vec<Marks> {
        worker::read(&self.directory.path().join("marks"))
    }

    fn index_of(&self, identity: &str) -> usize {
        let found = self
            .candidates
            .iter()
            .position(|one| one.identity == identity);
        found.unwrap()
    }

    /// Waits until somebody works, all three processes of it, that began after `since` or is not
    /// `former`; who that is.
    async fn somebody_works(&self, since: u64) -> usize {
        let end = Instant::now() + GAP;
        loop {
            let fresh: Vec<_> = self
                .marks()
                .into_iter()
                .filter(|marks| marks.first > since && marks.count > 3)
                .collect();
            if let Some(newest) = fresh.iter().max_by_key(|marks| marks.first) {
                let same = fresh.iter().filter(|marks| marks.token == newest.token);
                if same.count() >= 3 {
                    return self.index_of(&newest.identity);
                }
            }
            assert!(
                Instant::now() < end,
                "nobody works within {GAP:?}; {}",
                self.told()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs so many rounds.
    pub async fn run(&mut self, rounds: usize) {
        let mut since = 0;
        for round in 0..rounds {
            let fault = FAULTS[round % FAULTS.len()];
            let leader = self.somebody_works(since).await;
            let name = &self.candidates[leader].identity;
            println!("round {round}: {fault:?} on {name}");
            since = tenure::now().as_nanos();
            self.strike(fault, leader).await;
            let next = self.somebody_works(since).await;
            self.mend(leader);
            let took = Duration::from_nanos(tenure::now().as_nanos() - since);
            println!("  {} works after {took:?}", self.candidates[next].identity);
            self.no_two_work_at_once();
        }
        self.end().await;
    }

    async fn strike(&mut self, fault: Fault, leader: usize) {
        let one = &self.candidates[leader];
        let tenure = i32::try_from(one.tenure.id()).unwrap();
        let Chain { guard, init, first } = chain(tenure).unwrap_or_else(|| {
            panic!("no chain below {tenure}: {}", self.told());
        });
        match fault {
            Fault::KillTenure => send(tenure, Signal::KILL),
            Fault::KillCommand => send(first, Signal::KILL),
            Fault::KillGuard => send(guard, Signal::KILL),
            Fault::KillInit => send(init, Signal::KILL),
            Fault::TermTenure => send(tenure, Signal::TERM),
            Fault::StopTenure => {
                send(tenure, Signal::STOP);
                // It must go on after another has taken over, and harm nobody.
                let since = tenure::now().as_nanos();
                let next = self.somebody_works(since).await;
                assert_ne!(next, leader, "{}", self.told());
                send(tenure, Signal::CONT);
            }
            Fault::StopGuardAndHoldApi => {
                send(guard, Signal::STOP);
                one.proxy.hold();
            }
            Fault::StopCommandAndKillTenure => {
                send(first, Signal::STOP);
                send(tenure, Signal::KILL);
            }
            Fault::KillTenureAndGuard => {
                send(tenure, Signal::STOP);
                send(guard, Signal::STOP);
                send(tenure, Signal::KILL);
                send(guard, Signal::KILL);
            }
            Fault::HoldApi => one.proxy.hold(),
            Fault::RefuseApi => one.proxy.refuse(),
            Fault::DeleteLease => {
                self.call(Method::DELETE, &Value::Null).await;
            }
            Fault::StealLease => loop {
                let (_, mut lease) = self.call(Method::GET, &Value::Null).await;
                lease["spec"]["holderIdentity"] = json!("thief");
                if self.call(Method::PUT, &lease).await.0 == 200 {
                    break;
                }
            },
        }
    }

    /// The next round finds everybody well.
    fn mend(&mut self, struck: usize) {
        let one = &self.candidates[struck];
        one.proxy.cut();
        one.proxy.pass();
        for index in 0..self.candidates.len() {
            if self.candidates[index].tenure.try_wait().unwrap().is_some() {
                let one = &self.candidates[index];
                let again = self.spawn(one.containment, &one.kubeconfig, &one.identity);
                self.candidates[index].tenure = again;
            }
        }
    }

    async fn call(&self, method: Method, body: &Value) -> (u16, Value) {
        let answer = self.server.call(method, &self.lease, body).await.unwrap();
        (answer.code, answer.body)
    }

    fn no_two_work_at_once(&self) {
        let reigns = worker::reigns(&self.marks());
        for pair in reigns.windows(2) {
            let [one, next] = pair else { continue };
            assert!(
                one.last < next.first,
                "{} (token {}) worked {:?} into the time of {} (token {}); {}",
                one.identity,
                one.token,
                Duration::from_nanos(one.last - next.first),
                next.identity,
                next.token,
                self.told()
            );
        }
    }

    /// Everybody is asked to end; then nothing may be left.
    async fn end(&mut self) {
        for one in &self.candidates {
            send(i32::try_from(one.tenure.id()).unwrap(), Signal::TERM);
        }
        let end = Instant::now() + GAP;
        let mark = self.directory.path().to_str().unwrap().to_owned();
        loop {
            let running = self
                .candidates
                .iter_mut()
                .filter_map(|one| one.tenure.try_wait().unwrap())
                .count();
            let left = processes::with(&mark);
            if running == self.candidates.len() && left.is_empty() {
                break;
            }
            assert!(Instant::now() < end, "left: {left:#?}; {}", self.told());
            sleep(Duration::from_millis(20)).await;
        }
        self.no_two_work_at_once();
    }

    /// What the candidates said, for whoever reads why a test failed.
    fn told(&self) -> String {
        let mut told = String::new();
        for one in &self.candidates {
            let log = self.directory.path().join(format!("{}.log", one.identity));
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            told += "\n--- ";
            told += &one.identity;
            told += "\n";
            told += &tail;
        }
        told
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        for one in &mut self.candidates {
            let _ = one.tenure.kill();
            let _ = one.tenure.wait();
        }
    }
}

/// How many rounds to run.
pub fn rounds(default: usize) -> usize {
    let asked = std::env::var("TENURE_CHAOS_ROUNDS").ok();
    asked
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

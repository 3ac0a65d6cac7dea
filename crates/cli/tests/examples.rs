//! The examples in other languages: a program that leads by `tenure run`, and one that asks a
//! sidecar, each in shell, Python, Node and Go.
//!
//! Where an interpreter is missing its part is left out, and said so.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Running, http::Sidecar, running::run};
use rustix::process::Signal;
use tempfile::TempDir;
use tenure_harness::TestServer;

/// A language: what runs it, and what has to be there for that.
#[derive(Clone, Copy)]
struct Language {
    ending: &'static str,
    needs: &'static [&'static str],
    interpreter: &'static str,
}

const SHELL: Language = Language {
    ending: "sh",
    needs: &["curl", "timeout", "sed"],
    interpreter: "sh",
};
const PYTHON: Language = Language {
    ending: "py",
    needs: &[],
    interpreter: "python3",
};
const NODE: Language = Language {
    ending: "js",
    needs: &[],
    interpreter: "node",
};
const GO: Language = Language {
    ending: "go",
    needs: &[],
    interpreter: "go",
};

/// How an example is started.
struct Example {
    words: Vec<String>,
    /// Holds what was built.
    _directory: TempDir,
}

impl Example {
    /// None where something is missing.
    fn find(way: &str, language: Language) -> Option<Self> {
        let missing = std::iter::once(&language.interpreter)
            .chain(language.needs)
            .find(|program| !is_there(program));
        if let Some(missing) = missing {
            eprintln!(
                "LEFT OUT: examples/{way}/leader.{}: no {missing} here",
                language.ending
            );
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let file = root.join(way).join(format!("leader.{}", language.ending));
        let words = match language.ending {
            "go" => vec![built(&file, directory.path())],
            _ => vec![language.interpreter.to_owned(), shown(&file)],
        };
        Some(Self {
            words,
            _directory: directory,
        })
    }
}

fn is_there(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status();
    found.unwrap().success()
}

fn built(file: &Path, directory: &Path) -> String {
    let program = directory.join("leader");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, file])
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .status();
    assert!(built.unwrap().success());
    shown(&program)
}

fn shown(path: &Path) -> String {
    PathBuf::from(path).into_os_string().into_string().unwrap()
}

/// The token of the next line that says "working".
fn token(running: &Running) -> u64 {
    loop {
        let line = running.line().expect("it works on");
        if let Some(token) = line.strip_prefix("working with token ") {
            return token.parse().unwrap();
        }
    }
}

async fn leads_by_run(language: Language) {
    let Some(example) = Example::find("run", language) else {
        return;
    };
    let server = TestServer::embedded().await.unwrap();
    let words: Vec<&str> = example.words.iter().map(String::as_str).collect();
    let mut one = Running::start(&mut run(&server, &["--identity", "one"], &words));
    assert_eq!(one.line().unwrap(), "leading in term 1 of nightly as one");
    let first = token(&one);
    let mut two = Running::start(&mut run(&server, &["--identity", "two"], &words));
    one.signal(Signal::TERM);
    assert_eq!(two.line().unwrap(), "leading in term 2 of nightly as two");
    assert!(token(&two) > first);
    assert_eq!(one.rest().last().unwrap(), "leaving");
    assert_eq!(one.wait().code(), Some(0));
    two.signal(Signal::TERM);
    assert_eq!(two.wait().code(), Some(0));
}

async fn asks_a_sidecar(language: Language) {
    let Some(example) = Example::find("sidecar", language) else {
        return;
    };
    let server = TestServer::embedded().await.unwrap();
    let program = |sidecar: &Sidecar| {
        let mut command = Command::new(&example.words[0]);
        let url = format!("http://{}", sidecar.address);
        command.args(&example.words[1..]).stdin(Stdio::null());
        Running::start(command.env("TENURE_SIDECAR", url))
    };
    let one = Sidecar::start(&server, &["--identity", "one"]);
    one.leads();
    let two = Sidecar::start(&server, &["--identity", "two"]);
    two.until("/v1/status", |_, said| said["holder"] == "one");
    let (first, second) = (program(&one), program(&two));
    let before = token(&first);
    let (code, said) = one.post("/v1/hand-over", r#"{"to":"two"}"#);
    assert_eq!(code, 200, "{said}");
    assert!(token(&second) > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_script_leads_by_run() {
    leads_by_run(SHELL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_leads_by_run() {
    leads_by_run(PYTHON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_program_leads_by_run() {
    leads_by_run(NODE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_program_leads_by_run() {
    leads_by_run(GO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_script_asks_a_sidecar() {
    asks_a_sidecar(SHELL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_asks_a_sidecar() {
    asks_a_sidecar(PYTHON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_program_asks_a_sidecar() {
    asks_a_sidecar(NODE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_program_asks_a_sidecar() {
    asks_a_sidecar(GO).await;
}

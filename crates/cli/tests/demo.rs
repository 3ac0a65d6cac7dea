//! The demo on the embedded server: what it measures, and that it leaves nothing behind.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Running, output, tenure, text};
use rustix::process::Signal;
use serde_json::Value;

const QUICK: [&str; 3] = ["demo", "--lead-for", "400ms"];

fn summary(more: &[&str]) -> Value {
    let output = output(&[&QUICK[..], &["--json"], more].concat());
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    let json = text(&output.stdout);
    assert_eq!(json.lines().count(), 1, "{json}");
    serde_json::from_str(&json).unwrap()
}

/// Three leaders, one after the other, and no two at once.
fn check(summary: &Value, lock: &str) {
    assert_eq!(summary["lock"], lock);
    assert_eq!(summary["overlaps"], 0, "{summary}");
    let leaders = summary["leaders"].as_array().unwrap();
    assert!(leaders.len() >= 3, "{summary}");
    assert!(summary["handover_ms"].as_f64().unwrap() > 0.0, "{summary}");
    assert!(summary["marks"].as_u64().unwrap() > 100, "{summary}");
}

#[test]
fn a_lease_is_taken_over_when_it_has_run_out_and_handed_over_at_once() {
    let summary = summary(&[]);
    check(&summary, "lease");
    let takeover = summary["takeover_ms"].as_f64().unwrap();
    // 4 s from the last renewal, which was at most one retry period and a call before the kill.
    assert!(takeover > 2500.0, "{summary}");
    assert!(summary["margin_ms"].as_f64().unwrap() > 0.0, "{summary}");
    let handover = summary["handover_ms"].as_f64().unwrap();
    assert!(handover < takeover, "{summary}");
}

#[test]
fn a_config_map_is_taken_over_when_its_pod_is_gone() {
    let summary = summary(&["--lock", "config-map", "--candidates", "2"]);
    check(&summary, "config-map");
    assert!(summary["takeover_ms"].as_f64().unwrap() > 0.0, "{summary}");
}

#[test]
fn a_leader_lock_is_taken_over_when_its_pod_is_gone() {
    let summary = summary(&["--lock", "leader-lock", "--candidates", "4"]);
    check(&summary, "leader-lock");
    assert!(summary["takeover_ms"].as_f64().unwrap() > 0.0, "{summary}");
}

#[test]
fn people_get_lines_and_a_picture() {
    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("demo.svg");
    let args = ["--lock", "config-map", "--svg", svg.to_str().unwrap()];
    let output = output(&[&QUICK[..], &args].concat());
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}");
    for words in [
        "is killed (SIGKILL)",
        "plays the kubelet",
        "is asked to hand over",
        "takeover after the kill:",
        "two leaders at once:     never",
    ] {
        assert!(told.contains(words), "{words} is missing in {told}");
    }
    assert!(!told.contains('\u{1b}'), "escapes in a pipe: {told}");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    for words in [
        "candidate-1",
        "takeover",
        "handover",
        "leads, by its own marks",
    ] {
        assert!(svg.contains(words), "{words} is missing in {svg}");
    }
}

#[test]
fn an_interrupt_ends_its_processes_and_removes_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let args = ["demo", "--lead-for", "60s"];
    let mut demo = Running::start(tenure(&args).env("TMPDIR", directory.path()));
    while !demo.line().expect("it ended by itself").contains(" leads ") {}
    let children = children_of(demo.pid());
    assert_eq!(children.len(), 3, "{children:?}");
    demo.signal(Signal::INT);
    assert_eq!(demo.wait().code(), Some(130));
    for child in children {
        assert!(
            !std::path::Path::new(&format!("/proc/{child}")).exists(),
            "{child} is left"
        );
    }
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn candidates_do_not_outlive_a_demo_that_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let args = ["demo", "--lead-for", "60s", "--lock", "config-map"];
    let mut demo = Running::start(tenure(&args).env("TMPDIR", directory.path()));
    while !demo.line().expect("it ended by itself").contains(" leads ") {}
    let children = children_of(demo.pid());
    assert_eq!(children.len(), 3, "{children:?}");
    demo.signal(Signal::KILL);
    demo.wait();
    let end = tokio::time::Instant::now() + common::LIMIT;
    while children.iter().any(|child| runs(*child)) {
        assert!(
            tokio::time::Instant::now() < end,
            "one of {children:?} still runs"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Whether a process runs: one that has ended and that nobody has asked after does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Processes whose parent is `pid`.
fn children_of(pid: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|child: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            let after_name = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned());
            let parent = after_name.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
            parent == Some(pid)
        })
        .collect()
}

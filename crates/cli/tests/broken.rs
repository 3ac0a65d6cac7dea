//! A build whose candidates work on after their release: the demo must notice. Run with
//! `cargo test -p tenure-cli --features broken-for-tests --test broken`.
#![cfg(feature = "broken-for-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{tenure, text};
use serde_json::Value;

fn summary(broken: bool, lock: &str) -> (Option<i32>, Value) {
    let mut command = tenure(&["demo", "--json", "--lead-for", "700ms", "--lock", lock]);
    if broken {
        command.env("TENURE_BROKEN_FOR_TESTS", "1");
    }
    let output = command.output().unwrap();
    let json = serde_json::from_str(&text(&output.stdout)).unwrap();
    (output.status.code(), json)
}

#[test]
fn two_that_work_at_once_are_counted_and_fail_the_demo() {
    let (code, summary) = summary(true, "lease");
    assert_eq!(code, Some(1), "{summary}");
    assert!(summary["overlaps"].as_u64().unwrap() > 0, "{summary}");
    let together = summary["overlap_ms"].as_f64().unwrap();
    assert!(together > 300.0 && together < 600.0, "{summary}");
    assert!(summary["handover_ms"].as_f64().unwrap() < 0.0, "{summary}");
}

#[test]
fn the_same_build_unbroken_shows_none() {
    let (code, summary) = summary(false, "config-map");
    assert_eq!(code, Some(0), "{summary}");
    assert_eq!(summary["overlaps"], 0, "{summary}");
}

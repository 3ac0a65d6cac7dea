//! The embedded server says what the real one said.
#![allow(clippy::format_push_string, clippy::unwrap_used)] // the helpers of tests fail as tests do

use regex::Regex;
use tenure_apiserver::ApiServer;
use tenure_harness::TestServer;

#[path = "conformance/mod.rs"]
mod suite;

use suite::{AREAS, Area, DIFFERENCES, Difference, PROPERTIES, TO_MEND, golden, hear};

async fn server() -> TestServer {
    // Far enough from 0 that no resourceVersion is taken for another number.
    TestServer::embedded_with(ApiServer::builder().first_revision(1_000).build())
        .await
        .unwrap()
}

fn without_kubectl() -> bool {
    let none = std::env::var_os("TENURE_CONTROL_PLANE").is_none();
    if none {
        println!("left out: kubectl's commands (TENURE_CONTROL_PLANE is not set)");
    }
    none
}

#[tokio::test]
async fn the_embedded_server_answers_as_the_real_one_did() {
    let server = server().await;
    let only = std::env::var("TENURE_AREA").unwrap_or_default();
    let without_kubectl = without_kubectl();
    let areas = AREAS.iter().filter(|area: &&Area| {
        (only.is_empty() || area.name == only) && !(area.kubectl && without_kubectl)
    });
    let mut told = String::new();
    let all = || DIFFERENCES.iter().chain(TO_MEND);
    let mut needed = vec![false; all().count()];
    let heard = hear(&server, areas).await;
    for (area, heard) in &heard {
        let golden = golden(area);
        let _ = std::fs::write(format!("{}/{area}.txt", env!("CARGO_TARGET_TMPDIR")), heard);
        let rules: Vec<Rule> = all()
            .map(|difference| Rule::new(area, difference))
            .collect();
        let compared = |text: &str| without(&rules, text);
        let different = suite::difference(&compared(&golden), &compared(heard));
        if !different.is_empty() {
            told += &format!("{area}: - as the real server, + as this one\n{different}\n");
        }
        for (needed, rule) in needed.iter_mut().zip(&rules) {
            *needed |= covered(rule, &golden) != covered(rule, heard);
        }
    }
    assert!(told.is_empty(), "{told}");
    for (needed, difference) in needed.iter().zip(all()) {
        let asked = heard.iter().any(|(area, _)| *area == difference.area);
        if asked && !needed {
            told += &format!(
                "{}, {:?}: {}\n",
                difference.area, difference.case, difference.why
            );
        }
    }
    assert!(
        told.is_empty(),
        "remove from differences.rs what is none any more:\n{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_server_has_the_properties() {
    let server = server().await;
    for property in PROPERTIES {
        println!("{}", property.name);
        (property.check)(&server).await;
    }
}

/// A difference, as far as it is about one area.
struct Rule {
    difference: Option<&'static Difference>,
    lines: Regex,
}

impl Rule {
    fn new(area: &str, difference: &'static Difference) -> Self {
        let lines = Regex::new(difference.lines).unwrap();
        Self {
            difference: Some(difference).filter(|d| d.area == area),
            lines,
        }
    }

    fn covers(&self, case: &str, request: &str, line: &str) -> bool {
        self.difference.is_some_and(|difference| {
            // The request itself is the same in any case.
            line != request
                && case.contains(difference.case)
                && request.contains(difference.request)
                && self.lines.is_match(line)
        })
    }
}

/// Each line with its case and its request.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let (mut case, mut request) = ("", "");
    text.lines().map(move |line| {
        if let Some(name) = line.strip_prefix("## ") {
            (case, request) = (name, line);
        } else if !line.starts_with([' ', '-', '(']) {
            request = line;
        }
        (case, request, line)
    })
}

fn covered<'a>(rule: &Rule, text: &'a str) -> Vec<&'a str> {
    lines(text)
        .filter(|(case, request, line)| rule.covers(case, request, line))
        .map(|(_, _, line)| line)
        .collect()
}

fn without(rules: &[Rule], text: &str) -> String {
    lines(text)
        .filter(|(case, request, line)| !rules.iter().any(|rule| rule.covers(case, request, line)))
        .map(|(_, _, line)| line)
        .collect::<Vec<_>>()
        .join("\n")
}

//! `tenure history`: who led when, from the Events that leaders leave behind.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    api::{Api, Refusal, collection},
    formats::rfc3339,
    gather::Wanted,
    kind::Kind,
    lock::time,
    text::{harmless, harmless_json, span},
};
use crate::{cluster::ClusterChoice, console, failure::Failure};

const CONTROLLER: &str = "tenure.dev/tenure";

#[derive(Debug)]
pub(crate) struct HistoryOptions {
    pub(crate) cluster: ClusterChoice,
    pub(crate) wanted: Wanted,
    pub(crate) json: bool,
}

/// An Event about a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Microseconds since 1970.
    at: Option<i64>,
    /// When it was last seen, if it stands for several.
    last: Option<i64>,
    count: i64,
    reason: String,
    kind: String,
    /// The Pod it is about, or whoever reported it.
    who: String,
    note: String,
    by_tenure: bool,
}

pub(crate) async fn run(options: HistoryOptions) -> Result<ExitCode, Failure> {
    let api = Api::of(&options.cluster).await?;
    let wanted = options.wanted.at(&api, false)?;
    let name = wanted.name.clone().unwrap_or_default();
    let path = collection("events.k8s.io", "v1", "events", wanted.namespace.as_deref());
    let events = api.list(&path, "", false).await.map_err(|refusal| {
        let next = match refusal {
            Refusal::Forbidden(_) => "ask for the right to list events in events.k8s.io",
            _ => "see `tenure doctor`",
        };
        refusal.failure(format!("no Events can be seen: {}; {next}", refusal.told()))
    })?;
    let mut entries: Vec<Entry> = events
        .iter()
        .filter_map(|event| entry(event, &name, wanted.kind))
        .collect();
    entries.sort_by_key(|entry| entry.at);
    if entries.is_empty() {
        console::note(&format!(
            "there is no Event about the {}: servers keep them for an hour by default, and a \
             leader needs the right to create them",
            wanted.told()
        ));
    }
    let text: String = if options.json {
        entries.iter().fold(String::new(), |text, entry| {
            text + &harmless_json(&entry.json().to_string()) + "\n"
        })
    } else {
        lines(&entries)
    };
    console::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What the Event says; none if it is about something else.
fn entry(event: &Value, name: &str, kind: Option<Kind>) -> Option<Entry> {
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let regards = text("/regarding/kind");
    let of_kind = match kind {
        Some(kind) => regards == kind.name(),
        None => Kind::ALL.iter().any(|kind| regards == kind.name()),
    };
    let reason = text("/reason");
    let by_tenure = text("/reportingController") == CONTROLLER;
    // client-go tells it under one reason, of whoever leads and of whoever stops.
    let about_leading = matches!(reason, "BecameLeader" | "StoppedLeading" | "LeaderElection");
    if !of_kind || text("/regarding/name") != name || !(by_tenure || about_leading) {
        return None;
    }
    let first = |pointers: &[&str]| pointers.iter().find_map(|pointer| time(text(pointer)));
    let at = first(&[
        "/eventTime",
        "/deprecatedFirstTimestamp",
        "/metadata/creationTimestamp",
    ]);
    let last = first(&["/series/lastObservedTime", "/deprecatedLastTimestamp"]);
    let count = event
        .pointer("/series/count")
        .or(event.get("deprecatedCount"));
    let related = text("/related/name");
    Some(Entry {
        at,
        last: last.filter(|last| Some(*last) != at),
        count: count.and_then(Value::as_i64).unwrap_or(1).max(1),
        reason: reason.to_owned(),
        kind: regards.to_owned(),
        who: if related.is_empty() {
            text("/reportingInstance")
        } else {
            related
        }
        .to_owned(),
        note: text("/note").to_owned(),
        by_tenure,
    })
}

impl Entry {
    fn json(&self) -> Value {
        json!({
            "time": self.at.and_then(rfc3339),
            "lastTime": self.last.and_then(rfc3339),
            "count": self.count,
            "kind": self.kind,
            "reason": self.reason,
            "who": self.who,
            "note": self.note,
            "byTenure": self.by_tenure,
        })
    }
}

fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for (at, entry) in entries.iter().enumerate() {
        let time = entry
            .at
            .and_then(rfc3339)
            .unwrap_or_else(|| "at no known time".to_owned());
        let mut line = format!(
            "{time}  {:<14}  {}",
            harmless(&entry.reason),
            harmless(&entry.who)
        );
        if !entry.note.is_empty() {
            line.push_str("  ");
            line.push_str(&harmless(&entry.note));
        }
        if entry.count > 1 {
            let until = entry
                .last
                .and_then(rfc3339)
                .map(|last| format!(", last at {last}"));
            let until = until.unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(line, " ({} times{until})", entry.count);
        }
        // How long nobody led, or how long this one did, is what people look for.
        if let Some(passed) = since_the_last(entries, at) {
            let _ = write!(line, "  [{passed}]");
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn since_the_last(entries: &[Entry], at: usize) -> Option<String> {
    let this = entries.get(at)?;
    let before = entries
        .get(..at)?
        .iter()
        .rev()
        .find(|entry| entry.kind == this.kind)?;
    let passed = this.at?.saturating_sub(before.at?);
    let clocks = passed < 0;
    let passed = span(passed.saturating_abs());
    match (before.reason.as_str(), this.reason.as_str()) {
        // Each tells by its own clock.
        ("StoppedLeading", "BecameLeader") if clocks => {
            Some(format!("{passed} before that, by another clock"))
        }
        ("StoppedLeading", "BecameLeader") => Some(format!("nobody for {passed}")),
        ("BecameLeader", "StoppedLeading") if before.who == this.who => {
            Some(format!("led for {passed}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, at: &str, who: &str) -> Value {
        json!({
            "reportingController": CONTROLLER, "reason": reason, "eventTime": at,
            "regarding": {"kind": "Lease", "name": "nightly"}, "related": {"kind": "Pod", "name": who},
            "note": "term 3",
        })
    }

    #[test]
    fn terms_and_gaps_are_told_between_their_events() {
        let told = [
            event("BecameLeader", "2026-03-01T09:30:00.000000Z", "a"),
            event("StoppedLeading", "2026-03-01T09:31:00.000000Z", "a"),
            event("BecameLeader", "2026-03-01T09:31:04.000000Z", "b"),
        ];
        let entries: Vec<_> = told
            .iter()
            .filter_map(|one| entry(one, "nightly", None))
            .collect();
        let text = lines(&entries);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].ends_with("[led for 60s]"), "{text}");
        assert!(
            lines[2].contains("b  term 3") && lines[2].ends_with("[nobody for 4.0s]")
                || lines[2].ends_with("[nobody for 4s]"),
            "{text}"
        );
    }

    #[test]
    fn what_two_clocks_tell_is_no_gap_of_less_than_nothing() {
        let told = [
            event("StoppedLeading", "2026-03-01T09:31:00.000000Z", "a"),
            event("BecameLeader", "2026-03-01T09:30:57.000000Z", "b"),
        ];
        let entries = told.map(|one| entry(&one, "nightly", None).unwrap());
        let text = lines(&entries);
        assert!(
            text.ends_with("[3s before that, by another clock]\n"),
            "{text}"
        );
    }

    #[test]
    fn events_of_others_and_broken_ones_do_no_harm() {
        assert_eq!(entry(&json!(null), "nightly", None), None);
        let mut other = event("Scheduled", "2026-03-01T09:30:00Z", "a");
        other["reportingController"] = "scheduler".into();
        assert_eq!(entry(&other, "nightly", None), None);
        let mut broken = event("BecameLeader", "soon", "a\x1b[2J");
        broken["series"] = json!({"count": "many"});
        let entries = [entry(&broken, "nightly", Some(Kind::Lease)).unwrap()];
        assert!(lines(&entries).contains("at no known time"));
        assert!(!lines(&entries).contains('\x1b'));
    }
}

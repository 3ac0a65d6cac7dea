//! Figures for Prometheus, in its text format.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tenure::{LossReason, Status};

use super::{desk::Desk, said};

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    terms: AtomicU64,
    ended: Mutex<BTreeMap<&'static str, u64>>,
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
    pub(super) watchers: AtomicU64,
}

/// The type of [`text`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Counters {
    pub(super) fn term_began(&self) {
        self.terms.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn term_ended(&self, reason: &LossReason) {
        *locked(&self.ended).entry(word(reason)).or_default() += 1;
    }

    /// `path` as it stands in the table of routes, so that nobody can make up new ones.
    pub(super) fn answered(&self, path: &'static str, code: u16) {
        *locked(&self.answers).entry((path, code)).or_default() += 1;
    }
}

pub(super) fn text(desk: &Desk) -> String {
    let lead = desk.gate.look();
    let leads = u64::from(lead.is_some());
    let facts = &desk.facts;
    let labels = format!(
        "lock=\"{}\",namespace=\"{}\",kind=\"{}\"",
        escaped(&facts.lock),
        escaped(&facts.namespace),
        said::kind(facts.kind)
    );
    let mut text = Text::default();
    text.gauge("tenure_leading", "Whether this candidate leads.");
    text.figure("tenure_leading", &labels, leads);
    text.gauge(
        "leader_election_master_status",
        "As client-go has it: whether this candidate leads.",
    );
    let name = format!("name=\"{}\"", escaped(&facts.lock));
    text.figure("leader_election_master_status", &name, leads);
    text.gauge(
        "tenure_jeopardy",
        "Whether this candidate leads and its renewals fail.",
    );
    let in_jeopardy = leads == 1 && matches!(desk.status(), Status::Jeopardy { .. });
    text.figure("tenure_jeopardy", &labels, u64::from(in_jeopardy));
    if let Some(lead) = &lead {
        text.gauge(
            "tenure_term",
            "The number of the term; 0 for a lock for life.",
        );
        text.figure("tenure_term", &labels, lead.handle.term());
        if let Some(until) = lead.handle.valid_until() {
            text.gauge(
                "tenure_valid_seconds",
                "Time until leadership ends unless a renewal succeeds.",
            );
            let left = until.since(tenure::now()).as_secs_f64();
            text.figure("tenure_valid_seconds", &labels, format_args!("{left:.3}"));
        }
    }
    text.gauge(
        "tenure_healthy",
        "Whether the election does what it is due to do.",
    );
    text.figure("tenure_healthy", &labels, u64::from(desk.is_healthy()));
    text.gauge("tenure_ready", "Whether the lock has been seen.");
    text.figure("tenure_ready", &labels, u64::from(desk.has_seen()));
    text.counter("tenure_terms_total", "Terms that have begun.");
    let terms = desk.counters.terms.load(Ordering::Relaxed);
    text.figure("tenure_terms_total", &labels, terms);
    text.counter(
        "tenure_terms_ended_total",
        "Terms that have ended, by reason.",
    );
    for (reason, count) in &*locked(&desk.counters.ended) {
        let labels = format!("{labels},reason=\"{reason}\"");
        text.figure("tenure_terms_ended_total", &labels, count);
    }
    text.gauge("tenure_sidecar_watchers", "Readers of /v1/watch.");
    let watchers = desk.counters.watchers.load(Ordering::Relaxed);
    text.figure("tenure_sidecar_watchers", "", watchers);
    text.counter("tenure_sidecar_answers_total", "Answers, by path and code.");
    for ((path, code), count) in &*locked(&desk.counters.answers) {
        let labels = format!("path=\"{path}\",code=\"{code}\"");
        text.figure("tenure_sidecar_answers_total", &labels, count);
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.head(name, help, "counter");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn figure(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A word for a reason; who did it is not in it, since labels must not grow without end.
fn word(reason: &LossReason) -> &'static str {
    match reason {
        LossReason::Expired => "expired",
        LossReason::TakenBy(_) => "taken",
        LossReason::Deleted => "deleted",
        LossReason::Replaced => "replaced",
        LossReason::Emptied => "emptied",
        LossReason::Twin => "twin",
        LossReason::WentBackwards => "went-backwards",
        LossReason::BeingDeleted => "being-deleted",
        LossReason::SteppedDown => "stepped-down",
        LossReason::Asked(_) => "asked",
        LossReason::Paused(_) => "paused",
        LossReason::Abandoned => "abandoned",
        _ => "other",
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! `tenure explain`: why this one leads, or why nobody does, and the command that helps.

use std::{process::ExitCode, time::Duration};

use super::{
    api::{Api, Refusal},
    clock,
    gather::{Found, Wanted, gather_some},
    judge::{Judgement, LONGEST_SECONDS, Word},
    kind::Kind,
    lock::{Hold, Lock},
    table::Paper,
    text::{harmless, span, wrap},
};
use crate::{cluster::ClusterChoice, console, failure::Failure, names};

/// A call that takes longer eats up the time in which a leader renews.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// One thing that is so, and what helps.
struct Point {
    told: String,
    helps: Option<String>,
}

pub(crate) async fn run(cluster: &ClusterChoice, wanted: Wanted) -> Result<ExitCode, Failure> {
    let api = Api::of(cluster).await?;
    let wanted = wanted.at(&api, false)?;
    let found = gather_some(&api, &wanted).await?;
    let mut points = Vec::new();
    if found.locks.is_empty() {
        points.extend(undefined(&api, &wanted).await);
        points.extend(absent(&wanted, &found));
    }
    for (lock, judgement) in &found.locks {
        points.extend(explain(lock, judgement));
    }
    let kind = match found.locks.first() {
        Some((lock, _)) => lock.kind,
        None => wanted.kind.unwrap_or(Kind::Lease),
    };
    points.extend(rights(&api, kind, &wanted).await);
    points.extend(latency(&api));
    for line in &found.missing {
        points.push(Point {
            told: line.clone(),
            helps: None,
        });
    }
    let width = Paper::of_stdout().width.unwrap_or(usize::MAX);
    let mut text = String::new();
    for point in points {
        for line in wrap(&console::as_typed(&point.told), width, 0) {
            text.push_str(&line);
            text.push('\n');
        }
        if let Some(helps) = point.helps {
            text.push_str("  $ ");
            text.push_str(&console::command(&helps));
            text.push('\n');
        }
    }
    console::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn undefined(api: &Api, wanted: &Wanted) -> Option<Point> {
    let asked = wanted.kind == Some(Kind::LeaderLock);
    if !asked || api.serves(Kind::LeaderLock).await.unwrap_or(true) {
        return None;
    }
    Some(Point {
        told: "This cluster does not know LeaderLocks, so nobody can hold one.".to_owned(),
        helps: Some("tenure crd --install".to_owned()),
    })
}

fn absent(wanted: &Wanted, found: &Found) -> Vec<Point> {
    let what = wanted.told();
    let (told, helps) = if found.unseen.is_empty() {
        let told = format!(
            "Nobody leads: there is no {what}. No candidate has reached this cluster, or it stands for \
             another name or in another namespace."
        );
        (told, "tenure status -A")
    } else {
        let told = format!(
            "Whether anybody leads cannot be told: there is no {what} among what can be seen, which \
             is not all (below)."
        );
        (told, "tenure doctor")
    };
    let mut points = vec![Point {
        told,
        helps: Some(helps.to_owned()),
    }];
    let name = wanted.name.as_deref().unwrap_or_default();
    if let Some(pods) = &found.pods {
        let standing: Vec<_> = pods
            .iter()
            .filter(|pod| pod.candidate_for.as_deref() == Some(name))
            .map(|pod| format!("{} ({})", harmless(&pod.name), harmless(&pod.phase)))
            .collect();
        if !standing.is_empty() {
            let namespace = wanted.namespace.as_deref().unwrap_or_default();
            points.push(Point {
                told: format!(
                    "Candidates that make themselves known: {}.",
                    standing.join(", ")
                ),
                helps: Some(format!(
                    "kubectl logs -n {namespace} -l tenure.dev/candidate={name}"
                )),
            });
        }
    }
    points
}

/// What the lock itself says.
fn explain(lock: &Lock, judgement: &Judgement) -> Vec<Point> {
    let (kind, name, namespace) = (
        lock.kind.name(),
        harmless(&lock.name),
        harmless(&lock.namespace),
    );
    let holder = lock.holder().map_or("nobody".to_owned(), harmless);
    let first = match judgement.leads() {
        Some(true) => format!("{holder} leads by the {kind} {name}"),
        _ if lock.holder().is_none() => format!("Nobody leads by the {kind} {name}"),
        _ => format!("{holder} stands in the {kind} {name}, and is not known to lead"),
    };
    let held = judgement
        .held_for
        .map(|held| format!(", held for {}", span(held)));
    let left = judgement.expires_in.filter(|left| *left > 0);
    let left = left.map(|left| format!(", for another {} unless it is renewed", span(left)));
    let mut points = vec![Point {
        told: format!(
            "{first}{}{} ({}).",
            held.filter(|_| lock.holder().is_some()).unwrap_or_default(),
            left.unwrap_or_default(),
            judgement.told()
        ),
        helps: None,
    }];
    points.extend(judgement.because.iter().map(|because| Point {
        told: format!("- {because}"),
        helps: None,
    }));
    // What is printed as a command is typed as it stands, and an identity says anything.
    let pod = judgement
        .pod
        .as_deref()
        .filter(|pod| names::subdomain("Pod", pod).is_ok());
    let mut help = |told: &str, helps: String| {
        points.push(Point {
            told: told.to_owned(),
            helps: Some(helps),
        });
    };
    let resource = lock.kind.resource();
    for word in &judgement.words {
        match word {
            Word::Wedged => help(
                "Its process is frozen, out of connections or cut off, or its clock is far off: \
                 see what it says, and start it anew if nobody takes over.",
                format!("kubectl logs -n {namespace} {}", pod.unwrap_or("POD")),
            ),
            Word::Expired => help(
                "Any candidate may take it, so there is none, or none that reaches the API server \
                 or has the rights.",
                format!("kubectl get pods -n {namespace}"),
            ),
            Word::Orphaned => match lock.hold {
                Hold::Renewed(_) => help(
                    "Its holder cannot renew any more: candidates take it when it has run out.",
                    format!("tenure watch {name} -n {namespace}"),
                ),
                Hold::ForLife(_) => help(
                    "The garbage collector removes it when its Pod's object is gone; tenure's \
                     candidates do when they see it. If neither happens:",
                    format!("kubectl delete -n {namespace} {resource} {name}"),
                ),
            },
            Word::Twin => help(
                "Give each candidate an identity of its own (the Pod's name with a unique ending, \
                 as tenure does by default), and see who they are.",
                format!("kubectl get pods -n {namespace} -o wide"),
            ),
            Word::OddDuration if judgement.is(Word::Free) => help(
                "Nobody waits that long; this shortens it for candidates that are started after it (L2):",
                format!(
                    "kubectl patch -n {namespace} {resource} {name} --type merge -p \
                     '{{\"spec\":{{\"leaseDurationSeconds\":15}}}}'"
                ),
            ),
            Word::OddDuration if lock.kind == Kind::Lease && is_long(lock) => help(
                "A dead holder is waited for that long: let candidates write 15 s or so. If it is \
                 certain that nobody works by it, this breaks it:",
                format!("tenure release --force {name} -n {namespace}"),
            ),
            Word::OddDuration => help(
                "Programs read it in different ways: let candidates write 15 s or so.",
                format!("kubectl get -n {namespace} {resource} {name} -o yaml"),
            ),
            Word::Paused => help(
                "Nobody of tenure stands while it is paused.",
                format!("tenure resume {name} -n {namespace}"),
            ),
            Word::Strange => help(
                "Somebody else writes to this object, or a program is broken.",
                format!("kubectl get -n {namespace} {resource} {name} -o yaml"),
            ),
            Word::Free => {
                let given_up = lock.renewed().is_some_and(|renewed| renewed.released);
                let told = if given_up {
                    "Any candidate may take it at once: there is none, or none that reaches the API \
                     server or has the rights."
                } else {
                    "Candidates of tenure wait its duration out, from when they see it (L13), and \
                     others take it at once: if that was long ago, there is none, or none that \
                     reaches the API server or has the rights."
                };
                help(told, format!("kubectl get pods -n {namespace}"));
            }
            Word::Healthy | Word::Held => {}
        }
    }
    if let Some(waiting) = judgement
        .waiting
        .as_ref()
        .filter(|waiting| !waiting.is_empty())
    {
        let names: Vec<_> = waiting.iter().map(|name| harmless(name)).collect();
        points.push(Point {
            told: format!("Waiting: {}.", names.join(", ")),
            helps: None,
        });
    }
    points
}

fn is_long(lock: &Lock) -> bool {
    let seconds = lock.renewed().and_then(|renewed| renewed.duration_seconds);
    seconds.is_some_and(|seconds| seconds > LONGEST_SECONDS)
}

/// The rights that a candidate needs, asked for the user who asks.
pub(crate) fn needed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Lease => &["get", "create", "update", "watch"],
        Kind::ConfigMap | Kind::LeaderLock => &["get", "create", "update", "watch", "delete"],
    }
}

async fn rights(api: &Api, kind: Kind, wanted: &Wanted) -> Vec<Point> {
    let namespace = wanted.namespace.as_deref().unwrap_or_default();
    let name = wanted.name.as_deref().unwrap_or_default();
    let mut lacking = Vec::new();
    for verb in needed(kind) {
        // The authorizer does not know the name of what is to be made.
        let name = if *verb == "create" { "" } else { name };
        match api
            .may(verb, (kind.group(), kind.plural()), namespace, name)
            .await
        {
            Ok(true) => {}
            Ok(false) => lacking.push(*verb),
            Err(refusal) => {
                let told = format!("Rights cannot be asked for: {}.", refusal.told());
                return vec![Point { told, helps: None }];
            }
        }
    }
    if lacking.is_empty() {
        return vec![Point {
            told: format!(
                "This user has the rights to stand for it; a candidate's own may differ: ask as its \
                 service account with kubectl auth can-i update {} -n {namespace} \
                 --as=system:serviceaccount:{namespace}:NAME.",
                kind.plural()
            ),
            helps: None,
        }];
    }
    let lock = kind.flag();
    vec![Point {
        told: format!(
            "This user could not stand for it: it lacks {} on {} in {namespace}. If it is the \
             candidates' user, that is why they do not lead.",
            lacking.join(", "),
            kind.plural()
        ),
        helps: Some(format!(
            "tenure rbac --lock {lock} {name} -n {namespace} --service-account NAME | kubectl apply -f -"
        )),
    }]
}

fn latency(api: &Api) -> Option<Point> {
    let slowest = api.latencies().into_iter().max()?;
    let told = span(clock::micros(slowest));
    Some(if slowest < SLOW {
        Point {
            told: format!("The API server answers in {told} at most."),
            helps: None,
        }
    } else {
        Point {
            told: format!(
                "The API server took {told} for an answer: leaders with short timings lose their \
                 Leases to that."
            ),
            helps: Some("kubectl get --raw '/readyz?verbose'".to_owned()),
        }
    })
}

/// For tests of other modules, and for `doctor`: whether a refusal is about rights.
pub(crate) fn is_about_rights(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Forbidden(_))
}

//! Breaking a dead lock. What is known of its holder, and what may still be running, is said before
//! the question: a stranger that releases a lock takes the responsibility that nobody works by it.

use std::io::{BufRead as _, IsTerminal as _};

use serde_json::json;
use tenure::Kind;

use super::lock::{Changed, Found, Place};
use crate::{console, failure::Failure};

/// Says what is known, and asks.
pub(super) async fn confirm(place: &Place, found: &Found, yes: bool) -> Result<(), Failure> {
    for line in known(place, found).await {
        console::note(&line);
    }
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::failed(
            "there is no terminal to ask on, and nothing was done; give --yes if it is certain that \
             nobody works by this lock",
        ));
    }
    console::note("Release it? Type yes:");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default();
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::failed("nothing was done"))
}

/// A Lease keeps its duration, so that whoever sees it waits that long: the holder may work until
/// then (L13). A lock for life is deleted, by exactly the state that was shown (F5).
pub(super) async fn carry_out(
    place: &Place,
    found: &Found,
    dry_run: bool,
) -> Result<Changed, Failure> {
    if place.kind != Kind::Lease {
        if dry_run {
            let options = found.delete_options();
            console::print(&format!("delete the {}: {options}\n", place.shown()))?;
        }
        return place.delete(found, dry_run).await;
    }
    let patch = json!({"spec": {"holderIdentity": ""}});
    if dry_run {
        console::print(&format!("{patch}\n"))?;
    }
    place.patch(found, patch, dry_run).await
}

async fn known(place: &Place, found: &Found) -> Vec<String> {
    let holder = found.holder.as_deref().unwrap_or("nobody");
    let mut lines = vec![format!("{} is held by {holder}", place.shown())];
    if let Some(pod) = found.pod() {
        lines.push(format!(
            "  the Pod {pod:?} of that name {}",
            place.pod(pod).await
        ));
    }
    let spec = &found.object["spec"];
    if place.kind == Kind::Lease {
        let renewed = spec["renewTime"].as_str().unwrap_or("never");
        let seconds = spec["leaseDurationSeconds"].as_i64().unwrap_or(0);
        lines.push(format!(
            "  last renewed {renewed} by its own clock, for {seconds} s"
        ));
        lines.push(
            "  A holder of tenure that lives stops when it sees this; one that cannot see it may work \
             on until its renew deadline."
                .to_owned(),
        );
        lines.push(
            "  Candidates of tenure wait the whole duration out (L13). Those that follow client-go \
             take an emptied Lease at once: if the holder still works then, two do."
                .to_owned(),
        );
    } else {
        lines.push(
            "  Whoever waits takes the lock at once. A holder that lives notices at its next look, \
             within 30 s without a watch: until then two work."
                .to_owned(),
        );
    }
    lines
}

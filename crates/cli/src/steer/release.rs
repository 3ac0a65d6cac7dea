//! Breaking a dead lock. What is known of its holder, and what may still be running, is said before
//! the question: a stranger that releases a lock takes the responsibility that nobody works by it.

use std::io::{BufRead as _, IsTerminal as _};

use serde_json::{Value, json};

use super::lock::{Changed, Found, Place};
use crate::{
    console,
    failure::Failure,
    see::{
        formats::rfc3339,
        judge::{LONGEST_SECONDS, judge},
        lock::Renewed,
        text::span,
    },
};

/// What a Lease is left with whose duration makes no sense: tenure's own by default.
const SANE_SECONDS: i64 = 15;

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
    let Some(renewed) = found.lock.renewed() else {
        if dry_run {
            let options = found.delete_options();
            console::print(&format!("delete the {}: {options}\n", place.shown()))?;
        }
        return place.delete(found, dry_run).await;
    };
    let patch = emptied(renewed);
    if dry_run {
        console::print(&format!("{patch}\n"))?;
    }
    place.patch(found, patch, dry_run).await
}

/// Nobody waits 68 years out, and no program that writes them believes for that long.
fn emptied(renewed: &Renewed) -> Value {
    let mut spec = json!({"holderIdentity": ""});
    if is_endless(renewed) {
        spec["leaseDurationSeconds"] = SANE_SECONDS.into();
    }
    json!({"spec": spec})
}

fn is_endless(renewed: &Renewed) -> bool {
    let seconds = renewed.duration_seconds.unwrap_or_default();
    !renewed.by_tenure && seconds > LONGEST_SECONDS
}

async fn known(place: &Place, found: &Found) -> Vec<String> {
    let holder = found.holder().unwrap_or_else(|| "nobody".to_owned());
    let mut lines = vec![format!("{} is held by {holder}", place.shown())];
    if let Some(told) = place.holders_pod(found).await {
        lines.push(format!("  {told}"));
    }
    let Some(renewed) = found.lock.renewed() else {
        lines.push(
            "  Whoever waits takes the lock at once. A holder that lives notices at its next look, \
             within 30 s without a watch: until then two work."
                .to_owned(),
        );
        return lines;
    };
    let ago = judge(&found.lock, None, place.api.moment()).renewed_ago;
    let at = renewed.renew_time.and_then(rfc3339);
    let when = match at.zip(ago) {
        Some((at, ago)) => format!("{at} by its own clock, {} ago by the server's", span(ago)),
        None => "never".to_owned(),
    };
    let seconds = renewed.duration_seconds.unwrap_or_default();
    lines.push(format!("  last renewed {when}, for {seconds} s"));
    lines.push(
        "  A holder of tenure that lives stops when it sees this; one that cannot see it may work on \
         until its renew deadline."
            .to_owned(),
    );
    lines.push(if is_endless(renewed) {
        format!(
            "  Nobody would wait {seconds} s: it is left with {SANE_SECONDS} s. Candidates of tenure \
             that have seen the long one wait on until they are restarted (L2)."
        )
    } else {
        "  Candidates of tenure wait the whole duration out (L13). Those that follow client-go take \
         an emptied Lease at once: if the holder still works then, two do."
            .to_owned()
    });
    lines
}

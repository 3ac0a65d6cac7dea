//! `tenure status`: locks as they are now.

use std::process::ExitCode;

use super::{
    api::Api,
    args::Format,
    formats,
    gather::{Found, Wanted, gather_some},
    judge::{Judgement, Word},
    lock::{Hold, Lock},
    table,
    text::{harmless, span},
};
use crate::{cluster::ClusterChoice, console, failure::Failure};

/// What `--is-leader` ends with if another leads, or nobody.
const NOT_LEADING: u8 = 3;

#[derive(Debug)]
pub(crate) struct StatusOptions {
    pub(crate) cluster: ClusterChoice,
    pub(crate) wanted: Wanted,
    pub(crate) everywhere: bool,
    pub(crate) output: Option<Format>,
    pub(crate) is_leader: Option<String>,
}

pub(crate) async fn run(options: StatusOptions) -> Result<ExitCode, Failure> {
    let api = Api::of(&options.cluster).await?;
    let wanted = options.wanted.clone().at(&api, options.everywhere)?;
    let found = gather_some(&api, &wanted).await?;
    if let Some(identity) = &options.is_leader {
        return is_leader(&found, &wanted, identity);
    }
    for line in &found.missing {
        console::note(&format!("tenure: {line}"));
    }
    if found.locks.is_empty() && wanted.name.is_some() {
        return Err(not_there(&found, &wanted));
    }
    let text = match options.output {
        None | Some(Format::Wide) => {
            if found.locks.is_empty() {
                console::note(&format!("there is no {}", wanted.told()));
            }
            let wide = options.output == Some(Format::Wide);
            table::text(&found, options.everywhere, wide, &table::Paper::of_stdout())
        }
        Some(Format::Json) => formats::json(&found)?,
        Some(Format::Yaml) => formats::yaml(&found)?,
        Some(Format::Name) => formats::names(&found),
    };
    console::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What to say where no such lock was seen.
fn not_there(found: &Found, wanted: &Wanted) -> Failure {
    match found.unseen.first() {
        Some((line, refusal)) => refusal.failure(format!(
            "whether there is a {} cannot be told: {line}; {}",
            wanted.told(),
            wanted.say_which()
        )),
        None => Failure::failed(format!(
            "there is no {}; `tenure status -A` shows all locks",
            wanted.told()
        )),
    }
}

/// What is known about the lock beyond the words, a line each.
pub(crate) fn remarks(lock: &Lock, judgement: &Judgement) -> Vec<String> {
    let mut remarks = judgement.because.clone();
    if judgement.is(Word::Healthy) {
        match (&lock.hold, judgement.renewed_ago) {
            (Hold::Renewed(_), Some(ago)) => {
                remarks.push(format!(
                    "its last renewal was {} ago by the holder's clock",
                    span(ago)
                ));
            }
            (Hold::ForLife(_), _) => remarks.push("its holder's Pod is there".to_owned()),
            _ => {}
        }
    }
    remarks
}

fn is_leader(found: &Found, wanted: &Wanted, identity: &str) -> Result<ExitCode, Failure> {
    let untold = |why: &str| {
        Failure::failed(format!(
            "whether {} leads cannot be told: {why}",
            harmless(identity)
        ))
    };
    if found.locks.is_empty() {
        if let Some((line, _)) = found.unseen.first() {
            return Err(untold(&format!("{line}; {}", wanted.say_which())));
        }
        console::note(&format!("tenure: no: there is no {}", wanted.told()));
        return Ok(ExitCode::from(NOT_LEADING));
    }
    let mut doubt = None;
    for (lock, judgement) in &found.locks {
        match judgement.leads() {
            Some(true) if is_called(lock, judgement, identity) => return Ok(ExitCode::SUCCESS),
            Some(true) if found.pods.is_none() && host(lock) == Some(identity) => {
                doubt = Some(
                    "its holder's identity begins with that name, and Pods cannot be listed; ask \
                     for the right to list them, or give the whole identity"
                        .to_owned(),
                );
            }
            None if is_called(lock, judgement, identity) => {
                doubt = Some(format!(
                    "it stands in the lock, and {}; `tenure explain` says more",
                    judgement
                        .because
                        .first()
                        .map_or("that is all", String::as_str)
                ));
            }
            _ => {}
        }
    }
    if let Some(why) = doubt {
        return Err(untold(&why));
    }
    let told: Vec<_> = found
        .locks
        .iter()
        .map(|(lock, judgement)| {
            let holder = lock.holder().map_or("nobody".to_owned(), harmless);
            format!("{holder} is its holder ({})", judgement.told())
        })
        .collect();
    console::note(&format!("tenure: no: {}", told.join("; ")));
    Ok(ExitCode::from(NOT_LEADING))
}

/// What an identity begins with.
fn host(lock: &Lock) -> Option<&str> {
    lock.renewed()?.host()
}

/// Whether that is the holder's identity, Pod, or Pod's uid.
fn is_called(lock: &Lock, judgement: &Judgement, identity: &str) -> bool {
    let uid = match &lock.hold {
        Hold::Renewed(renewed) => renewed.pod_uid(),
        Hold::ForLife(life) => life.owner.as_ref().map(|owner| owner.uid.as_str()),
    };
    lock.holder() == Some(identity)
        || judgement.pod.as_deref() == Some(identity)
        || uid == Some(identity)
}

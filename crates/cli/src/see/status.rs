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
    let wanted = options.wanted.clone().at(&api, options.everywhere);
    let found = gather_some(&api, &wanted).await?;
    if let Some(identity) = &options.is_leader {
        return is_leader(&found, &wanted, identity);
    }
    for line in &found.missing {
        console::note(&format!("tenure: {line}"));
    }
    if found.locks.is_empty() && wanted.name.is_some() {
        return Err(not_there(&wanted));
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

/// What to say where there is no such lock.
pub(crate) fn not_there(wanted: &Wanted) -> Failure {
    Failure::failed(format!(
        "there is no {}; `tenure status -A` shows all locks",
        wanted.told()
    ))
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
    if found.locks.is_empty() {
        if let Some(line) = found.missing.first() {
            return Err(Failure::failed(format!(
                "whether {} leads cannot be told: {line}",
                harmless(identity)
            )));
        }
        console::note(&format!("tenure: no: there is no {}", wanted.told()));
        return Ok(ExitCode::from(NOT_LEADING));
    }
    for (lock, judgement) in &found.locks {
        if judgement.has_a_leader() && is_called(lock, judgement, identity) {
            return Ok(ExitCode::SUCCESS);
        }
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

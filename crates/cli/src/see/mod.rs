//! The verbs that look: nothing here writes to a lock.
//!
//! [`lock`] and [`pods`] read objects, [`judge`] finds words for them without asking anybody,
//! [`gather`] asks, and the rest shows.

pub(crate) mod api;
pub(crate) mod args;
mod clock;
mod doctor;
mod explain;
pub(crate) mod formats;
mod gather;
mod history;
pub(crate) mod judge;
pub(crate) mod kind;
mod live;
pub(crate) mod lock;
mod plugin;
pub(crate) mod pods;
mod shells;
mod status;
mod table;
pub(crate) mod text;

use std::{process::ExitCode, time::Duration};

pub(crate) use args::SeeCommand;
pub(crate) use plugin::{as_called, complete};

use crate::{cluster::ClusterChoice, console, failure::Failure, names};
use api::Api;
use args::PlaceArgs;
use gather::Wanted;
use kind::Kind;

/// What is to be looked at.
#[derive(Debug)]
pub(crate) enum SeeTask {
    Status(status::StatusOptions),
    Explain(ClusterChoice, Wanted),
    Doctor(ClusterChoice, Wanted),
    History(history::HistoryOptions),
    Watch(live::WatchOptions),
    Timeline(std::path::PathBuf, std::path::PathBuf),
    Completions(args::Shell),
    Man(Option<std::path::PathBuf>),
}

/// Works out what was typed.
pub(crate) fn check(command: SeeCommand) -> Result<SeeTask, Failure> {
    Ok(match command {
        SeeCommand::Status(args) => {
            let (cluster, wanted) = place(args.place, args.name.as_deref())?;
            SeeTask::Status(status::StatusOptions {
                cluster,
                wanted,
                everywhere: args.all_namespaces,
                output: args.output,
                is_leader: args.is_leader,
            })
        }
        SeeCommand::Explain(args) => {
            let (cluster, wanted) = place(args.place, Some(&args.name))?;
            SeeTask::Explain(cluster, wanted)
        }
        SeeCommand::Doctor(args) => {
            let (cluster, wanted) = place(args.place, None)?;
            SeeTask::Doctor(cluster, wanted)
        }
        SeeCommand::History(args) => {
            let (cluster, wanted) = place(args.place, Some(&args.name))?;
            SeeTask::History(history::HistoryOptions {
                cluster,
                wanted,
                json: args.json,
            })
        }
        SeeCommand::Watch(args) => {
            let (cluster, wanted) = place(args.place, args.name.as_deref())?;
            SeeTask::Watch(live::WatchOptions {
                cluster,
                wanted,
                everywhere: args.all_namespaces,
                record: args.record,
                json: args.json,
                time: args.time,
            })
        }
        SeeCommand::Timeline(args) => SeeTask::Timeline(args.file, args.svg),
        SeeCommand::Completions(args) => SeeTask::Completions(args.shell),
        SeeCommand::Man(args) => {
            if let Some(directory) = args.directory.as_deref().filter(|one| !one.is_dir()) {
                return Err(Failure::usage(format!(
                    "there is no directory {}; make it first, or name another",
                    directory.display()
                )));
            }
            SeeTask::Man(args.directory)
        }
    })
}

/// From here on a person who waits wants to know for what.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(task: SeeTask) -> Result<ExitCode, Failure> {
    match task {
        SeeTask::Status(options) => patiently(status::run(options)).await,
        SeeTask::Explain(cluster, wanted) => patiently(explain::run(&cluster, wanted)).await,
        SeeTask::Doctor(cluster, wanted) => patiently(doctor::run(&cluster, wanted)).await,
        SeeTask::History(options) => patiently(history::run(options)).await,
        SeeTask::Watch(options) => live::run(options).await,
        SeeTask::Timeline(file, svg) => live::timeline(&file, &svg),
        SeeTask::Completions(shell) => shells::completions(shell),
        SeeTask::Man(directory) => shells::man(directory.as_deref()),
    }
}

/// Says what is waited for, to a person who waits. Cancel safe if `work` is.
pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    if console::stderr_is_terminal() {
        console::note("waiting for the API server ...");
    }
    work.await
}

/// What of the cluster is meant by the name of a lock and a namespace.
fn place(args: PlaceArgs, name: Option<&str>) -> Result<(ClusterChoice, Wanted), Failure> {
    if let Some(namespace) = &args.namespace {
        names::namespace(namespace)?;
    }
    let (kind, name) = match name {
        Some(name) => Kind::split(name).map(|(kind, name)| (kind, Some(name)))?,
        None => (None, None),
    };
    if let Some(name) = name {
        names::subdomain("lock", name)?;
    }
    let wanted = Wanted {
        namespace: args.namespace,
        name: name.map(ToOwned::to_owned),
        kind,
    };
    Ok((args.cluster.into(), wanted))
}

impl Wanted {
    /// With the namespace that is meant where none was named.
    fn at(mut self, api: &Api, everywhere: bool) -> Result<Self, Failure> {
        self.namespace = match self.namespace {
            _ if everywhere => None,
            Some(namespace) => Some(namespace),
            None => Some(api.namespace()?),
        };
        Ok(self)
    }
}

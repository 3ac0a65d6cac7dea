//! From what was asked for to an election that has begun.

use tenure::{
    Builder, ContextError, ContextInfo, ElectionError, Kind, LeaderElection,
    context_info::{Sources, SystemSources},
};

use super::options::{self, StandOptions};
use crate::{
    cluster::{self, Namespace},
    failure::Failure,
    names,
};

/// Begins. What cannot get better by itself is refused; a server that does not answer is not.
pub(crate) async fn election(options: &StandOptions) -> Result<LeaderElection, Failure> {
    begin(options, builder(options)).await
}

/// As [`election`], on a thread of its own: what else this process does cannot hold it up.
pub(crate) async fn on_its_own_thread(options: &StandOptions) -> Result<LeaderElection, Failure> {
    begin(options, builder(options).dedicated_thread()).await
}

async fn begin(options: &StandOptions, builder: Builder) -> Result<LeaderElection, Failure> {
    let mut config = options.cluster.config().await?;
    if let Some(namespace) = &options.namespace
        && names::namespace(&config.default_namespace).is_err()
    {
        config.default_namespace.clone_from(namespace);
    }
    let client = cluster::client(config.clone()).await?;
    let told = Told { options };
    let token_file = config.auth_info.token_file.clone();
    let context = ContextInfo::discover_from(&client, &told, token_file.as_deref())
        .await
        .map_err(unknown)?;
    let namespace = options
        .namespace
        .as_deref()
        .unwrap_or_else(|| context.namespace());
    if let Namespace::Missing = cluster::find_namespace(&client, namespace).await {
        return Err(cluster::no_namespace(namespace));
    }
    if options.lock != Kind::Lease {
        context.own_pod().map_err(unknown)?;
    }
    // A command for credentials is waited for by whoever sends a request, whenever it is due again.
    let builder = match config.auth_info.exec {
        Some(_) => builder.dedicated_thread(),
        None => builder,
    };
    // It makes a client of its own.
    let built = cluster::apart(move || builder.build(config, context)).await?;
    built.map_err(|error| match error {
        ElectionError::Settings(error) => Failure::usage(error.to_string()),
        ElectionError::Context(error) => unlabelled(error),
        error => Failure::failed(error.to_string()).because(error),
    })
}

fn builder(options: &StandOptions) -> Builder {
    let timing = &options.timing;
    let mut builder = match options.lock {
        Kind::ConfigMap => LeaderElection::config_map_lock(&options.name),
        Kind::LeaderLock => LeaderElection::leader_lock(&options.name),
        _ => LeaderElection::lease_lock(&options.name),
    };
    if options.beside.events {
        builder = builder.events();
    }
    if options.beside.label_pod {
        builder = builder.label_pod();
    }
    if let Some(limit) = timing.call_limit {
        builder = builder.call_limit(limit);
    }
    if let Some(grace) = timing.grace {
        builder = builder.grace(grace);
    }
    if options.lock != Kind::Lease {
        let (first, most) = options::retry_pauses(timing);
        return builder
            .retry(first, most)
            .delete_lock_on_release(!options.keep_lock);
    }
    builder = builder
        .release(!options.keep_lock)
        .wait_when_absent(timing.wait_when_absent);
    if let Some(cooldown) = timing.cooldown {
        builder = builder.cooldown(cooldown);
    }
    if let Some(max_skew) = timing.trust_remote_clock {
        builder = builder.trust_remote_clock(max_skew);
    }
    if let Some(namespace) = &options.namespace {
        builder = builder.namespace(namespace);
    }
    if let Some(identity) = &options.identity {
        builder = builder.identity(identity);
    }
    if let Some(duration) = timing.lease_duration {
        builder = builder.lease_duration(duration);
    }
    if let Some(deadline) = timing.renew_deadline {
        builder = builder.renew_deadline(deadline);
    }
    if let Some(period) = timing.retry_period {
        builder = builder.retry_period(period);
    }
    if let Some(share) = timing.clock_error {
        builder = builder.clock_error(share);
    }
    builder
}

/// The process' own environment, in which the command line has the first word.
struct Told<'a> {
    options: &'a StandOptions,
}

impl Sources for Told<'_> {
    fn env(&self, name: &str) -> Option<String> {
        let told = match name {
            "POD_NAME" => self.options.pod.clone(),
            // A lock for life is where its Pod is; a Lease may be elsewhere.
            "NAMESPACE" if self.options.lock != Kind::Lease => self.options.namespace.clone(),
            _ => None,
        };
        let found = told.or_else(|| SystemSources.env(name))?;
        // Other programs use these for things of their own. Whoever has named the namespace need not mind.
        let is_other = matches!(name, "NAMESPACE" | "POD_NAMESPACE")
            && self.options.namespace.is_some()
            && names::namespace(found.trim()).is_err();
        (!is_other).then_some(found)
    }

    fn read(&self, path: &str) -> Option<String> {
        SystemSources.read(path)
    }
}

/// A Lease needs no Pod, but for its labels.
fn unlabelled(error: ContextError) -> Failure {
    let told = error.to_string();
    let why = match &error {
        ContextError::PodNameUnknown | ContextError::NoPod => {
            "its name is not known; set POD_NAME (fieldRef: metadata.name), or name it with --pod NAME"
        }
        ContextError::PodNotFound { .. } => {
            "there is none of that name; correct --pod (or POD_NAME)"
        }
        _ => told.lines().next().unwrap_or_default(),
    };
    Failure::failed(format!(
        "--label-pod is for a program that runs in a Pod: {why}, or leave --label-pod out"
    ))
    .because(error)
}

fn unknown(error: ContextError) -> Failure {
    let text = match &error {
        ContextError::PodNameUnknown => {
            "a leader for life is owned by its Pod, whose name is not known; set POD_NAME \
             (fieldRef: metadata.name), or name it with --pod NAME, or use --lock lease"
                .to_owned()
        }
        ContextError::PodNotFound {
            name, namespace, ..
        } => format!(
            "there is no Pod {name:?} in the namespace {namespace:?}; correct --pod (or POD_NAME) \
             and --namespace, or use --lock lease, which needs no Pod"
        ),
        ContextError::PodUnread(why) => {
            format!("the own Pod cannot be read ({why}); check that the API server answers")
        }
        ContextError::PodRefused(why) => format!(
            "the own Pod must not be read ({why}); grant the rights that `tenure rbac` prints"
        ),
        ContextError::NamespaceUnknown | ContextError::NamespaceInvalid { .. } => {
            return cluster::no_namespace_known(error);
        }
        error => error.to_string(),
    };
    Failure::failed(text).because(error)
}

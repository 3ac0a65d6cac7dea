//! What can go wrong, by whose it is: the settings', the surroundings', Kubernetes', or the
//! application's own.

use std::{convert::Infallible, fmt, time::Duration};

use tenure_core::{InvalidIdentity, TimingError};

use crate::context_info::ContextError;

/// Why an election was not built, or has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ElectionError<E = Infallible> {
    /// The settings make no sense. Nothing was tried.
    Settings(SettingsError),
    /// It is not clear who or where this process is.
    Context(ContextError),
    /// No client could be made from the configuration.
    Kubernetes(Box<kube::Error>),
    /// The configuration of the cluster could not be found or read.
    Config(Box<dyn std::error::Error + Send + Sync>),
    /// The election's task is gone, with its runtime or by a panic.
    Ended,
    /// The work failed with this. The lock was released after it.
    Application(E),
}

/// Settings that are refused when an election is built.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SettingsError {
    /// The lock's name is not a DNS-1123 subdomain.
    LockName(String),
    /// The namespace is not a DNS-1123 label.
    Namespace(String),
    /// The timings break rule L3, or make no sense.
    Timing(TimingError),
    /// The identity cannot be a holder.
    Identity(InvalidIdentity),
    /// A label or annotation that the server would refuse, or that is tenure's own.
    Metadata(String),
    /// A lock for life lives where its owner does.
    NotThePodsNamespace {
        /// What was asked for.
        asked: String,
        /// Where the own Pod is.
        pods: String,
    },
    /// Labels on the own Pod name a lock of the Pod's own namespace.
    LabelsElsewhere {
        /// Where the lock is.
        lock: String,
        /// Where the own Pod is.
        pods: String,
    },
    /// A cooldown of more than an hour.
    Cooldown(Duration),
    /// A setting that this kind of lock does not have.
    NotForThisLock(&'static str),
    /// A setting that an election of a set cannot have.
    NotInASet(&'static str),
}

impl<E> ElectionError<E> {
    /// Whether the election goes on and tries again by itself. What it does not survive is
    /// returned by its constructors, or ends it.
    pub fn will_retry(&self) -> bool {
        false
    }
}

impl ElectionError {
    pub(crate) fn retype<F>(self) -> ElectionError<F> {
        match self {
            Self::Settings(error) => ElectionError::Settings(error),
            Self::Context(error) => ElectionError::Context(error),
            Self::Kubernetes(error) => ElectionError::Kubernetes(error),
            Self::Config(error) => ElectionError::Config(error),
            Self::Ended => ElectionError::Ended,
            Self::Application(never) => match never {},
        }
    }
}

impl<E: fmt::Display> fmt::Display for ElectionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Context(error) => error.fmt(f),
            Self::Kubernetes(_) => f.write_str(
                "no Kubernetes client could be made from this configuration; check its server \
                 address, certificates and credentials",
            ),
            Self::Config(_) => f.write_str(
                "no cluster configuration: outside of a Pod, set KUBECONFIG or pass a \
                 kube::Config; inside of one, mount a service account",
            ),
            Self::Ended => f.write_str(
                "the election has ended: its runtime was shut down, or its task panicked (see the \
                 log); build a new one",
            ),
            Self::Application(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ElectionError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kubernetes(error) => Some(&**error),
            Self::Config(error) => Some(&**error),
            Self::Context(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LockName(name) => write!(
                f,
                "{name:?} cannot be the name of a lock: Kubernetes takes at most 253 lower-case \
                 letters, digits, '-' and '.', beginning and ending with a letter or digit \
                 (DNS-1123 subdomain)"
            ),
            Self::Namespace(name) => write!(
                f,
                "{name:?} cannot be a namespace: Kubernetes takes at most 63 lower-case letters, \
                 digits and '-', beginning and ending with a letter or digit (DNS-1123 label)"
            ),
            Self::Timing(error) => error.fmt(f),
            Self::Identity(error) => error.fmt(f),
            Self::Metadata(what) => f.write_str(what),
            Self::NotThePodsNamespace { asked, pods } => write!(
                f,
                "a lock for life in the namespace {asked:?} cannot be owned by a Pod in {pods:?}: \
                 an owner and what it owns share a namespace (rule F1); leave the namespace out, \
                 or use a Lease"
            ),
            Self::LabelsElsewhere { lock, pods } => write!(
                f,
                "the own Pod, in the namespace {pods:?}, cannot be labelled for a lock in {lock:?}: \
                 the label names a lock of the Pod's own namespace; leave label_pod out, or put the \
                 lock beside the Pod"
            ),
            Self::Cooldown(asked) => write!(
                f,
                "a cooldown of {asked:?} is too long: at most one hour; a candidate that should \
                 not lead should not stand"
            ),
            Self::NotForThisLock(what) | Self::NotInASet(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for SettingsError {}

impl<E> From<SettingsError> for ElectionError<E> {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl<E> From<ContextError> for ElectionError<E> {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl From<TimingError> for SettingsError {
    fn from(error: TimingError) -> Self {
        Self::Timing(error)
    }
}

impl From<InvalidIdentity> for SettingsError {
    fn from(error: InvalidIdentity) -> Self {
        Self::Identity(error)
    }
}

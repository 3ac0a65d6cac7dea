//! The kinds of object that can be locks, and what each is called where.

use crate::{args, failure::Failure};

/// What kind of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Lease,
    ConfigMap,
    LeaderLock,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Lease, Self::ConfigMap, Self::LeaderLock];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lease => "Lease",
            Self::ConfigMap => "ConfigMap",
            Self::LeaderLock => "LeaderLock",
        }
    }

    /// As `kubectl -o name` writes it.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Lease => "lease.coordination.k8s.io",
            Self::ConfigMap => "configmap",
            Self::LeaderLock => "leaderlock.coralogix.com",
        }
    }

    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Lease => "coordination.k8s.io",
            Self::ConfigMap => "",
            Self::LeaderLock => "coralogix.com",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Lease => "leases",
            Self::ConfigMap => "configmaps",
            Self::LeaderLock => "leaderlocks",
        }
    }

    /// As `--lock` names it.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::ConfigMap => "config-map",
            Self::LeaderLock => "leader-lock",
        }
    }

    /// `KIND/NAME` as people write it and `status -o name` prints it, or `NAME` alone.
    pub(crate) fn split(text: &str) -> Result<(Option<Self>, &str), Failure> {
        let Some((kind, name)) = text.split_once('/') else {
            return Ok((None, text));
        };
        let known = Self::of(kind).ok_or_else(|| {
            Failure::usage(format!(
                "{kind:?} is no kind of lock: use lease, configmap or leaderlock"
            ))
        })?;
        Ok((Some(known), name))
    }

    /// As people write it before a slash.
    pub(crate) fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "lease" | "leases" | "lease.coordination.k8s.io" | "leases.coordination.k8s.io" => {
                Some(Self::Lease)
            }
            "configmap" | "configmaps" | "config-map" | "cm" => Some(Self::ConfigMap),
            "leaderlock"
            | "leaderlocks"
            | "leader-lock"
            | "ll"
            | "leaderlock.coralogix.com"
            | "leaderlocks.coralogix.com" => Some(Self::LeaderLock),
            _ => None,
        }
    }
}

impl From<args::Lock> for Kind {
    fn from(lock: args::Lock) -> Self {
        match lock {
            args::Lock::Lease => Self::Lease,
            args::Lock::ConfigMap => Self::ConfigMap,
            args::Lock::LeaderLock => Self::LeaderLock,
        }
    }
}

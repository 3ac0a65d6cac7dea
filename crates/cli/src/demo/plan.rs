//! What the demo and its candidates say to each other: one line of JSON each.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tenure::{Builder, Kind, LeaderElection, LeaseTiming};

/// What a candidate is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    pub(crate) lock: Lock,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    /// Where its marks go.
    pub(crate) marks: PathBuf,
}

/// A kind of lock, with the timings of a Lease.
#[allow(clippy::enum_variant_names, reason = "a LeaderLock is called so")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lock {
    Lease { short: bool },
    ConfigMap,
    LeaderLock,
}

/// What a candidate is told later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Give leadership up, and wait for [`Order::Stand`].
    StepDown,
    /// Stand for election again.
    Stand,
    /// Give leadership up, and end. The end of its standard input means the same.
    End,
}

/// What a candidate tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    /// It stands by; calls fail for this reason, if any.
    Standby {
        error: Option<String>,
    },
    Leading {
        term: u64,
        token: String,
    },
    Lost {
        reason: String,
    },
    /// It has stepped down and stands no more.
    Released,
    /// It cannot go on.
    Failed {
        why: String,
    },
}

/// The label of everything that a demo makes in a cluster.
pub(crate) const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "tenure-demo");

/// D of a demo whose Lease is not to be waited for long.
const SHORT_LEASE: Duration = Duration::from_secs(4);

impl Lock {
    pub(crate) fn new(kind: Kind, real_timings: bool) -> Self {
        match kind {
            Kind::ConfigMap => Self::ConfigMap,
            Kind::LeaderLock => Self::LeaderLock,
            _ => Self::Lease {
                short: !real_timings,
            },
        }
    }

    /// As it is called on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lease { .. } => "lease",
            Self::ConfigMap => "config-map",
            Self::LeaderLock => "leader-lock",
        }
    }

    /// As Kubernetes calls it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Lease { .. } => "Lease",
            Self::ConfigMap => "ConfigMap",
            Self::LeaderLock => "LeaderLock",
        }
    }

    /// The timings of a Lease; none for a lock for life.
    pub(crate) fn timing(self) -> Option<LeaseTiming> {
        match self {
            Self::Lease { short: true } => LeaseTiming::builder()
                .lease_duration(SHORT_LEASE)
                .build()
                .ok(),
            Self::Lease { short: false } => Some(LeaseTiming::default()),
            _ => None,
        }
    }

    /// How long a leader may take to come, once there is none.
    pub(crate) fn patience(self) -> Duration {
        let wait = self
            .timing()
            .map_or(Duration::ZERO, |timing| timing.lease_duration());
        wait * 2 + Duration::from_secs(20)
    }
}

impl Plan {
    pub(crate) fn builder(&self) -> Builder {
        let builder = match self.lock {
            Lock::Lease { .. } => LeaderElection::lease_lock(&self.name),
            Lock::ConfigMap => LeaderElection::config_map_lock(&self.name),
            Lock::LeaderLock => LeaderElection::leader_lock(&self.name),
        };
        let builder = match self.lock {
            Lock::Lease { short: true } => builder.lease_duration(SHORT_LEASE),
            _ => builder,
        };
        builder.label(LABEL.0, LABEL.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_the_short_timings_hold() {
        let timing = Lock::new(Kind::Lease, false).timing();
        assert_eq!(
            timing.map(|timing| timing.lease_duration()),
            Some(SHORT_LEASE)
        );
        assert_eq!(
            Lock::new(Kind::Lease, true).timing(),
            Some(LeaseTiming::default())
        );
    }
}

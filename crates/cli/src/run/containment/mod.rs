//! What holds a command and all that it starts, so that nothing of it can be left.

pub(super) mod cgroup;
pub(super) mod group;
pub(super) mod pidns;

use std::ffi::{OsStr, OsString};

/// A kind of containment, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containment {
    /// A PID namespace: with its init the kernel kills everything in it.
    PidNamespace,
    /// The same, within a user namespace of its own, for those who are not root.
    UserPidNamespace,
    /// A cgroup of its own, killed by `cgroup.kill`.
    Cgroup,
    /// A process group, a child subreaper, and a walk through /proc.
    ProcessGroup,
}

impl Containment {
    pub(crate) const ALL: [Self; 4] = [
        Self::PidNamespace,
        Self::UserPidNamespace,
        Self::Cgroup,
        Self::ProcessGroup,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PidNamespace => "pid-namespace",
            Self::UserPidNamespace => "user-pid-namespace",
            Self::Cgroup => "cgroup",
            Self::ProcessGroup => "process-group",
        }
    }

    pub(super) fn named(name: &OsStr) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|containment| OsStr::new(containment.name()) == name)
    }

    pub(super) fn is_namespace(self) -> bool {
        matches!(self, Self::PidNamespace | Self::UserPidNamespace)
    }

    pub(super) fn argument(self) -> OsString {
        self.name().into()
    }
}

//! What a look at a Pod or at a process brings.

use std::sync::Arc;

use crate::version::Uid;

/// What tells one process from every other that ever was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Its number within its PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// The boot of the machine that it ran on.
    pub boot_id: Arc<str>,
    /// The PID namespace that its number belongs to, such as `pid:[4026531836]`.
    pub pid_namespace: Arc<str>,
}

/// What became of a process (F3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessSight {
    /// Proven gone: its number is free, or a process with another start time has it.
    Gone,
    /// It is there.
    Alive,
    /// It belongs to another boot or PID namespace: its number says nothing here.
    OtherNamespace,
    /// It cannot be looked at.
    Unknown,
}

/// A Pod, as far as a lock's fate depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSight {
    /// Its uid.
    pub uid: Uid,
    /// Its phase is `Succeeded` or `Failed`. No proof of anybody's death (F9).
    pub terminal: bool,
    /// It has a deletionTimestamp. No proof of anybody's death (F9).
    pub being_deleted: bool,
    /// Its restart policy.
    pub restart_policy: RestartPolicy,
    /// The statuses of its containers, init and ephemeral ones included.
    pub containers: Vec<ContainerSight>,
}

/// When the kubelet starts an ended container again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Always.
    Always,
    /// Unless it exited with 0.
    OnFailure,
    /// Never.
    Never,
    /// By rules that are not known here: taken as always.
    Other,
}

/// A container's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSight {
    /// Its name.
    pub name: Arc<str>,
    /// Its own restart policy, where it has one (sidecars, restart rules); else the Pod's counts.
    pub restart_policy: Option<RestartPolicy>,
    /// Its present state is `terminated`.
    pub terminated: Option<Terminated>,
    /// Its last state was `terminated`.
    pub last_terminated: Option<Terminated>,
}

/// A `terminated` that the kubelet reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminated {
    /// Which container.
    pub container_id: Arc<str>,
    /// `reason`, as it stands there.
    pub reason: Arc<str>,
    /// `exitCode`.
    pub exit_code: i32,
    /// Whether `finishedAt` is there and not zero.
    pub finished: bool,
}

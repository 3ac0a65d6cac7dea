//! What a seed decides about Pods and their candidates beyond the plan: no two clusters are set up
//! alike, and each way makes another part of F3 and F9 matter.

use tenure_core::life::RestartPolicy;

use crate::{plan::SEATS, rng::Rng};

#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub(super) struct Habits {
    /// The Pods of a seat have one name, one after another, as a `StatefulSet`'s.
    pub(super) one_name: bool,
    /// Of the Pods of each seat.
    pub(super) policies: [RestartPolicy; SEATS],
    /// How many containers each Pod has, with a candidate in each.
    pub(super) containers: usize,
    pub(super) namespace: Namespace,
    /// The candidate is a child in its container: where it ends, another is started beside the
    /// supervisor, and the container goes on.
    pub(super) supervised: bool,
    /// Candidates can name their process.
    pub(super) knows_process: bool,
    /// Candidates know their container's name.
    pub(super) knows_container: bool,
    /// Candidates can tie a container id to themselves.
    pub(super) knows_container_id: bool,
    /// Something puts a finalizer on each lock.
    pub(super) finalizer: bool,
    /// A replace of what is gone is answered by a 404, else by a 409.
    pub(super) gone_is_not_found: bool,
    /// `delete_lock_on_release(false)`.
    pub(super) keeps_lock: bool,
    /// A twin is a second election of one process, else another process.
    pub(super) twins_share_a_process: bool,
    /// No process can be looked at.
    pub(super) blind: bool,
    /// When the lock goes, it happens that a candidate stands no more, and lives on.
    pub(super) quits: bool,
    /// There is one Pod alone until the faults are over: nobody takes what its leader has lost.
    pub(super) lonely: bool,
}

/// What process numbers are counted within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    /// Each container, as is usual.
    Container,
    /// `shareProcessNamespace`.
    Pod,
    /// `hostPID`.
    Host,
}

impl Habits {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 60);
        let one_name = rng.chance(400);
        let policies = std::array::from_fn(|_| match rng.below(10) {
            // StatefulSets know no other.
            _ if one_name => RestartPolicy::Always,
            0..=5 => RestartPolicy::Always,
            6 | 7 => RestartPolicy::OnFailure,
            _ => RestartPolicy::Never,
        });
        Self {
            one_name,
            policies,
            containers: if rng.chance(120) { 2 } else { 1 },
            namespace: match rng.below(10) {
                0..=5 => Namespace::Container,
                6 | 7 => Namespace::Pod,
                _ => Namespace::Host,
            },
            supervised: rng.chance(150),
            knows_process: !rng.chance(250),
            knows_container: !rng.chance(150),
            knows_container_id: !rng.chance(150),
            finalizer: rng.chance(150),
            gone_is_not_found: rng.chance(300),
            keeps_lock: rng.chance(80),
            twins_share_a_process: rng.chance(300),
            blind: rng.chance(200),
            quits: rng.chance(200),
            lonely: rng.chance(60),
        }
    }
}

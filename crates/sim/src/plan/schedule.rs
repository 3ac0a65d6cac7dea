//! What happens, and when: which kinds a run knows, and how many of them.

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind, Target},
    rng::Rng,
};

use super::SEATS;

/// What makes a record look older than it is (L24): a person who edits it leaves `renewTime` alone.
pub(super) const BEYOND_TRUST: [FaultKind; 7] = [
    FaultKind::PeopleEdit,
    FaultKind::WallStep,
    FaultKind::ClockBeyond,
    FaultKind::VmPause,
    FaultKind::Restore,
    FaultKind::PeopleReown,
    FaultKind::PeopleRecreate,
];

/// What cuts leaders off while others see their last write at once.
pub(super) const EDGE: [FaultKind; 10] = [
    FaultKind::ClockDrift,
    FaultKind::Freeze,
    FaultKind::FreezeBeforeSend,
    FaultKind::Crash,
    FaultKind::Delays,
    FaultKind::Reordered,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::PartitionOut,
    FaultKind::PartitionIn,
];

/// What leaves it open whose the first write was.
pub(super) const BIRTH: [FaultKind; 12] = [
    FaultKind::Crash,
    FaultKind::Delays,
    FaultKind::Reordered,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::Duplicates,
    FaultKind::ForbiddenAfter,
    FaultKind::ConflictAfter,
    FaultKind::WatchReordered,
    FaultKind::StaleServer,
    FaultKind::PeopleDelete,
    FaultKind::PeopleRecreate,
];

/// What makes a first write land when nobody waits for it any more.
pub(super) const BIRTH_FOR_LIFE: [FaultKind; 6] = [
    FaultKind::Cancel,
    FaultKind::Delays,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::Reordered,
    FaultKind::WatchSilent,
];

pub(super) fn faults(
    seed: u64,
    kinds: &[(FaultKind, u64)],
    many: u64,
    last: Nanos,
    end: Nanos,
) -> Vec<Fault> {
    let mut rng = Rng::new(seed, 1);
    let whole: u64 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut faults: Vec<Fault> = (0..u32::try_from(many).unwrap_or(0))
        .filter_map(|id| {
            let mut place = rng.below(whole);
            let (at, salt) = (rng.between(MILLI, last - SECOND), rng.next_u64());
            let (kind, _) = kinds.iter().copied().find(|(_, weight)| {
                let found = place < *weight;
                place = place.saturating_sub(*weight);
                found
            })?;
            Some(fault(id, kind, at, salt, end))
        })
        .collect();
    faults.sort_by_key(|fault| (fault.at, fault.id));
    faults
}

/// How some runs begin. At some births nobody's watch shows anything for a while, so that what is learnt
/// is learnt from answers alone; and some who create the lock in peace do so through a proxy that sends
/// twice. It is drawn beside everything else, so that the rest of a seed stays what it was.
pub(super) fn first_moments(seed: u64, id: u32, birth: bool) -> Option<Fault> {
    let mut rng = Rng::new(seed, 23);
    let (share, kind, most) = if birth {
        (300, FaultKind::WatchSilent, 10 * SECOND)
    } else {
        (30, FaultKind::ConflictAfter, SECOND / 2)
    };
    if !rng.chance(share) {
        return None;
    }
    Some(Fault {
        id,
        kind,
        at: 0,
        lasts: rng.between(SECOND / 10, most),
        target: Target::Everybody,
        share: [300, 700][rng.index(2)],
        salt: rng.next_u64(),
    })
}

fn fault(id: u32, kind: FaultKind, at: Nanos, salt: u64, end: Nanos) -> Fault {
    use FaultKind as K;
    let mut rng = Rng::new(salt, 2);
    let seat = rng.index(SEATS);
    let target = match (kind, rng.below(4)) {
        (K::PartitionLong | K::NodeLost, _) => Target::Seat(seat),
        (K::StepDown | K::HandOver | K::StubbornWork, _) | (_, 0 | 1) => Target::LeaderOr(seat),
        (_, 2) => Target::Seat(seat),
        _ => Target::Everybody,
    };
    let longest = match kind {
        K::Freeze | K::FreezeBeforeSend | K::Suspend | K::VmPause => 25 * SECOND,
        K::PartitionLong => end,
        K::ClockBeyond | K::StubbornWork | K::StaleServer | K::GcLate | K::GcOff => 60 * SECOND,
        _ => 30 * SECOND,
    };
    let lasts = match kind {
        K::PartitionLong => end - at,
        // Often about as long as a Lease, where the edges are.
        _ if rng.chance(400) => rng.between(7 * SECOND, 17 * SECOND),
        _ => rng.between(SECOND / 10, longest),
    };
    Fault {
        id,
        kind,
        at,
        lasts: lasts.min(end - at),
        target,
        share: [100, 300, 700, 1000][rng.index(4)],
        salt,
    }
}

//! What people ask of the candidates (L25, L26, F12). It is drawn beside everything else, so that the
//! rest of a seed stays what it was.

use std::ops::Range;

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind, Target},
    rng::Rng,
};

use super::Draw;

/// The kinds that are drawn here, and how often.
const KINDS: [(FaultKind, u64); 3] = [
    (FaultKind::AskStepDown, 4),
    (FaultKind::AskNobody, 4),
    (FaultKind::PauseLease, 3),
];

/// How often people ask in a run, at most.
pub(super) const MOST: u32 = 6;

/// How many of a thousand seeds have any of it.
const SHARE: u32 = 350;

/// What people ask in a run; `calm` where nothing may happen in it: then they ask nobody.
pub(super) fn steering(
    seed: u64,
    draw: &Draw,
    has: impl Fn(FaultKind) -> bool,
    calm: bool,
    ids: u32,
) -> Vec<Fault> {
    let mut rng = Rng::new(seed, 22);
    let wanted = KINDS.iter().any(|(kind, _)| draw.only.contains(kind));
    if !rng.chance(SHARE) && !wanted {
        return Vec::new();
    }
    let known = |kind| has(kind) && (!calm || kind == FaultKind::AskNobody);
    let kinds: Vec<(FaultKind, u64)> = KINDS.into_iter().filter(|(kind, _)| known(*kind)).collect();
    let whole: u64 = kinds.iter().map(|(_, weight)| weight).sum();
    let many = u32::try_from(rng.between(1, u64::from(MOST) + 1)).unwrap_or(1);
    (0..many)
        .filter_map(|number| {
            let mut place = rng.below(whole);
            let (at, salt) = (rng.next_u64(), rng.next_u64());
            let (kind, _) = kinds.iter().copied().find(|(_, weight)| {
                let found = place < *weight;
                place = place.saturating_sub(*weight);
                found
            })?;
            Some(request(ids + number, kind, at, salt, draw.faults_end))
        })
        .collect()
}

fn request(id: u32, kind: FaultKind, at: u64, salt: u64, end: Nanos) -> Fault {
    let mut rng = Rng::new(salt, 2);
    let at = MILLI + at % (end - SECOND);
    // Some pauses are over before anybody has seen them, and some last until the faults end.
    let lasts: Range<Nanos> = match rng.below(8) {
        0 => MILLI..SECOND,
        1 => end..end + 1,
        _ => SECOND..30 * SECOND,
    };
    Fault {
        id,
        kind,
        at,
        lasts: rng.between(lasts.start, lasts.end).min(end - at),
        target: Target::Everybody,
        share: 1000,
        salt,
    }
}

//! What becomes of a message under the faults that are on. Each message has a number, and its fate
//! follows from that, the fault and the seed: taking one fault away changes no other's doing.

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind},
    rng::{Rng, hashed},
};

/// What becomes of one request and its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    /// How long it takes to the server.
    pub(crate) there: Nanos,
    /// How long the answer takes back.
    pub(crate) back: Nanos,
    /// It never arrives.
    pub(crate) lost: bool,
    /// The answer never arrives.
    pub(crate) answer_lost: bool,
    /// It arrives again, so much later.
    pub(crate) again: Option<Nanos>,
    /// The answer breaks off.
    pub(crate) truncated: bool,
    /// Something else is answered.
    pub(crate) instead: Option<Instead>,
    /// The faults that struck.
    pub(crate) struck: Vec<(u32, FaultKind)>,
}

/// An answer that is not the server's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instead {
    pub(crate) code: u16,
    /// Whether the request was applied all the same.
    pub(crate) after: bool,
}

/// A fault that is on.
#[derive(Clone, Debug)]
pub(crate) struct On {
    pub(crate) fault: Fault,
    /// The seat that it strikes; all where there is none.
    pub(crate) seat: Option<usize>,
}

impl On {
    /// Whether it is on at that moment for whoever sits there.
    pub(crate) fn is_on(&self, now: Nanos, seat: usize) -> bool {
        let here = self.seat.is_none_or(|mine| mine == seat);
        let flaps = self.fault.kind == FaultKind::PartitionFlapping;
        here && (!flaps || hashed([self.fault.salt, now / (2 * SECOND), 0]).is_multiple_of(2))
    }

    fn strikes(&self, number: u64) -> bool {
        hashed([self.fault.salt, number, 1]) % 1000 < u64::from(self.fault.share)
    }
}

/// What becomes of the message `number` of that process.
pub(crate) fn fate(
    on: &[On],
    now: Nanos,
    seat: usize,
    number: u64,
    latency: Nanos,
    seed: u64,
) -> Fate {
    let mut rng = Rng::new(hashed([seed, number, 2]), 3);
    let mut fate = Fate {
        there: MILLI / 2 + rng.below(latency),
        back: MILLI / 2 + rng.below(latency),
        ..Fate::default()
    };
    for each in on.iter().filter(|each| each.is_on(now, seat)) {
        let fault = &each.fault;
        let mut rng = Rng::new(hashed([fault.salt, number, 4]), 5);
        let sure = matches!(
            fault.kind,
            FaultKind::PartitionOut
                | FaultKind::PartitionIn
                | FaultKind::PartitionFlapping
                | FaultKind::PartitionLong
        );
        if !sure && !each.strikes(number) {
            continue;
        }
        match fault.kind {
            FaultKind::Delays => {
                fate.there += rng.below(4 * SECOND);
                fate.back += rng.below(4 * SECOND);
            }
            FaultKind::Reordered => {
                // Often by little more than a call may take.
                let most = [3 * SECOND, 12 * SECOND][rng.index(2)];
                fate.there += rng.between(SECOND / 2, most);
            }
            FaultKind::RequestsLost | FaultKind::PartitionOut => fate.lost = true,
            FaultKind::RepliesLost | FaultKind::PartitionIn => fate.answer_lost = true,
            FaultKind::PartitionFlapping | FaultKind::PartitionLong => {
                fate.lost |= fault.salt % 3 != 0;
                fate.answer_lost = true;
            }
            FaultKind::Duplicates => fate.again = Some(rng.below(6 * SECOND)),
            FaultKind::Truncated => fate.truncated = true,
            kind => match code(kind) {
                Some((code, after)) => fate.instead = Some(Instead { code, after }),
                None => continue,
            },
        }
        fate.struck.push((fault.id, fault.kind));
    }
    fate
}

fn code(kind: FaultKind) -> Option<(u16, bool)> {
    let found = match kind {
        FaultKind::Unauthorized => (401, false),
        FaultKind::Forbidden => (403, false),
        FaultKind::NotFound => (404, false),
        FaultKind::Conflict => (409, false),
        FaultKind::Gone => (410, false),
        FaultKind::TooMany => (429, false),
        FaultKind::Internal => (500, false),
        FaultKind::Unavailable => (503, false),
        FaultKind::Timeout => (504, false),
        FaultKind::UnauthorizedAfter => (401, true),
        FaultKind::ForbiddenAfter => (403, true),
        FaultKind::NotFoundAfter => (404, true),
        FaultKind::ConflictAfter => (409, true),
        FaultKind::GoneAfter => (410, true),
        FaultKind::TooManyAfter => (429, true),
        FaultKind::InternalAfter => (500, true),
        FaultKind::UnavailableAfter => (503, true),
        FaultKind::TimeoutAfter => (504, true),
        _ => return None,
    };
    Some(found)
}

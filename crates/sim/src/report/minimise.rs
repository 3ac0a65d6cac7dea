//! The smallest run that still violates the same invariant, by trying: without some faults, without
//! some candidates, with plain settings, earlier, shorter, and each fault as simple as can be.
//!
//! What is tried is always something that [`Left`] can say, so that whatever is found can be played
//! again by a command.

use crate::{
    clock::{MILLI, NEVER, Nanos, SECOND},
    fault::{FaultKind, Target},
    invariants::Violation,
    plan::Plan,
};

use super::left::{Faults, Kept, Left, Plain, Seats, Setting, Until};

/// What the search came to.
#[derive(Clone, Debug)]
pub struct Minimised {
    /// What is left of the seed.
    pub left: Left,
    /// The run itself.
    pub plan: Plan,
    /// What it violates.
    pub violation: Violation,
    /// How many runs were played to find it.
    pub replays: u32,
    /// Nothing more could be taken away; otherwise the search was ended by its limit.
    pub smallest: bool,
}

/// Take away from a run whatever its violation does not need, playing at most `limit` others.
/// `play` says what a run violates.
pub fn minimise(
    whole: &Plan,
    violation: &Violation,
    limit: u32,
    play: impl FnMut(&Plan) -> Option<Violation>,
) -> Minimised {
    let ids = whole.faults.iter().map(|fault| Kept::whole(fault.id));
    let seats = whole.seats.iter().filter(|seat| seat.starts != NEVER);
    let mut search = Search {
        whole,
        limit,
        play,
        plan: whole.clone(),
        violation: violation.clone(),
        replays: 0,
        left: Left {
            keep_faults: Some(Faults(ids.collect())),
            seats: Some(Seats(seats.map(|seat| seat.number).collect())),
            until: None,
            plain: None,
        },
    };
    search.run();
    let smallest = search.replays < limit;
    Minimised {
        left: search.left.sorted(),
        plan: search.plan,
        violation: search.violation,
        replays: search.replays,
        smallest,
    }
}

struct Search<'a, P> {
    whole: &'a Plan,
    limit: u32,
    play: P,
    left: Left,
    plan: Plan,
    violation: Violation,
    replays: u32,
}

impl<P: FnMut(&Plan) -> Option<Violation>> Search<'_, P> {
    fn run(&mut self) {
        self.shorten();
        loop {
            let before = self.left.clone();
            self.drop_faults();
            self.drop_seats();
            self.drop_settings();
            self.shorten();
            if self.left == before || self.replays >= self.limit {
                break;
            }
        }
        self.move_earlier();
        loop {
            let before = self.left.clone();
            for index in 0..self.faults().len() {
                self.simplify(index);
            }
            // What is simpler may make something else superfluous.
            self.drop_faults();
            self.drop_seats();
            self.shorten();
            if self.left == before || self.replays >= self.limit {
                break;
            }
        }
    }

    /// Play what would be left, and keep it if it violates the same.
    fn try_left(&mut self, left: Left) -> bool {
        if self.replays >= self.limit || left == self.left {
            return false;
        }
        let Ok(plan) = left.apply(self.whole) else {
            return false;
        };
        self.replays += 1;
        match (self.play)(&plan) {
            Some(violation) if violation.invariant == self.violation.invariant => {
                self.left = left;
                self.plan = plan;
                self.violation = violation;
                true
            }
            _ => false,
        }
    }

    fn faults(&mut self) -> &mut Vec<Kept> {
        &mut self.left.keep_faults.get_or_insert_default().0
    }

    /// Delta debugging: without half of them, a quarter, an eighth, and so on.
    fn drop_faults(&mut self) {
        let mut chunk = self.faults().len();
        while chunk > 0 {
            let mut at = 0;
            while at < self.faults().len() {
                let mut left = self.left.clone();
                if let Some(Faults(faults)) = &mut left.keep_faults {
                    let end = (at + chunk).min(faults.len());
                    faults.drain(at..end);
                }
                if !self.try_left(left) {
                    at += chunk;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// Without each candidate, the last first; somebody stays.
    fn drop_seats(&mut self) {
        for number in (0..self.whole.seats.len()).rev() {
            let mut left = self.left.clone();
            let Some(Seats(seats)) = &mut left.seats else {
                return;
            };
            if seats.remove(&number) && !seats.is_empty() {
                self.try_left(left);
            }
        }
    }

    fn drop_settings(&mut self) {
        for setting in Setting::ALL {
            if setting.is_plain(&self.plan) {
                continue;
            }
            let mut left = self.left.clone();
            left.plain
                .get_or_insert_with(Plain::default)
                .0
                .insert(setting);
            self.try_left(left);
        }
    }

    /// The faults end right after the violation; or earlier, where it comes after them.
    fn shorten(&mut self) {
        let end = self.plan.faults_end;
        let tenth = SECOND / 10;
        let after = (self.violation.at / tenth + 1) * tenth;
        let last = self.plan.faults.iter().map(|fault| fault.at).max();
        let last = (last.unwrap_or(0) / SECOND + 1) * SECOND;
        let ends = if self.violation.at < end {
            vec![after]
        } else {
            vec![last, end / 2, end / 4 * 3, end.saturating_sub(SECOND)]
        };
        for until in ends.into_iter().filter(|until| *until < end) {
            let mut left = self.left.clone();
            left.until = Some(Until(until));
            if let Some(Faults(faults)) = &mut left.keep_faults {
                faults.retain(|kept| {
                    let fault = self.plan.faults.iter().find(|fault| fault.id == kept.id);
                    fault.is_some_and(|fault| fault.at < until)
                });
            }
            if self.try_left(left) {
                break;
            }
        }
    }

    /// All faults earlier, by the same time: nobody likes to read of two minutes of calm.
    fn move_earlier(&mut self) {
        let first = self.plan.faults.iter().map(|fault| fault.at).min();
        let Some(first) = first else { return };
        let begins = (1..=12).map(|step| step * 3 * SECOND);
        for begin in begins.take_while(|begin| begin + 10 * SECOND < first) {
            let mut left = self.left.clone();
            for kept in left.keep_faults.iter_mut().flat_map(|faults| &mut faults.0) {
                let fault = self.plan.faults.iter().find(|fault| fault.id == kept.id);
                if let Some(fault) = fault {
                    let at = (fault.at - first + begin) / MILLI * MILLI;
                    kept.at = Some(at);
                }
            }
            if self.try_left(left) {
                self.shorten();
                return;
            }
        }
    }

    /// One fault as simple as can be: it strikes one candidate, all of its messages, shortly.
    fn simplify(&mut self, index: usize) {
        let Some(kept) = self.faults().get(index).copied() else {
            return;
        };
        let Some(fault) = self.plan.faults.iter().find(|fault| fault.id == kept.id) else {
            return;
        };
        let fault = fault.clone();
        let mut tries: Vec<Kept> = Vec::new();
        if !matches!(fault.target, Target::Seat(_)) && !strikes_the_lock(fault.kind) {
            let seats = self.left.seats.iter().flat_map(|seats| &seats.0);
            tries.extend(seats.map(|seat| Kept {
                seat: Some(*seat),
                ..kept
            }));
        }
        self.first_of(index, tries);
        if strikes_messages(fault.kind) && fault.share != 1000 {
            let kept = self.faults()[index];
            let share = Some(1000);
            self.first_of(index, [Kept { share, ..kept }]);
        }
        if lasts(fault.kind) {
            let kept = self.faults()[index];
            let shorter = [16, 8, 4, 2].map(|part| fault.lasts / part);
            let shorter = shorter.into_iter().chain([fault.lasts / 4 * 3]);
            let rounded = shorter.map(|time| rounded_up(time.max(SECOND / 10)));
            let tries = rounded.filter(|time| *time < fault.lasts).map(|time| Kept {
                lasts: Some(time),
                ..kept
            });
            self.first_of(index, tries.collect::<Vec<_>>());
        }
    }

    fn first_of(&mut self, index: usize, tries: impl IntoIterator<Item = Kept>) {
        for kept in tries {
            let mut left = self.left.clone();
            if let Some(place) = left
                .keep_faults
                .as_mut()
                .and_then(|faults| faults.0.get_mut(index))
            {
                *place = kept;
            }
            if self.try_left(left) {
                return;
            }
        }
    }
}

impl Left {
    /// Faults in the order of their numbers, and nothing said that need not be.
    fn sorted(mut self) -> Self {
        if let Some(Faults(faults)) = &mut self.keep_faults {
            faults.sort_by_key(|kept| kept.id);
        }
        self
    }
}

/// A time that people like to read, not shorter than that.
fn rounded_up(time: Nanos) -> Nanos {
    let step = if time > 2 * SECOND {
        SECOND / 2
    } else if time > SECOND / 10 {
        SECOND / 10
    } else {
        MILLI
    };
    time.next_multiple_of(step)
}

fn lasts(kind: FaultKind) -> bool {
    use FaultKind as K;
    !strikes_the_lock(kind)
        && !matches!(
            kind,
            K::WallStep
                | K::Crash
                | K::Twin
                | K::Cancel
                | K::StepDown
                | K::HandOver
                | K::WatchCompacted
        )
}

fn strikes_messages(kind: FaultKind) -> bool {
    use FaultKind as K;
    let is_code = kind
        .name()
        .starts_with(|letter: char| letter.is_ascii_digit());
    is_code
        || matches!(
            kind,
            K::Delays
                | K::RequestsLost
                | K::RepliesLost
                | K::Duplicates
                | K::Reordered
                | K::Truncated
        )
}

/// Whom it strikes, and for how long, means nothing then.
fn strikes_the_lock(kind: FaultKind) -> bool {
    kind == FaultKind::Restore || kind.is_by_people()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::Fault,
        plan::{Draw, LeftBehind, LockKind, SeatTiming},
    };

    /// Forty faults, ten seconds each, one every two seconds.
    fn whole() -> Plan {
        let draw = Draw {
            lock: Some(LockKind::Lease),
            ..Draw::default()
        };
        let mut plan = Plan::draw(3, &draw);
        plan.faults = (0..40)
            .map(|id| Fault {
                id,
                kind: FaultKind::Delays,
                at: Nanos::from(id) * 2 * SECOND + SECOND,
                lasts: 10 * SECOND,
                target: Target::Everybody,
                share: 300,
                salt: id.into(),
            })
            .collect();
        for (number, seat) in plan.seats.iter_mut().enumerate() {
            seat.rate = 1_000_000 + 1000 * number as u64;
            seat.foreign = false;
            seat.fixed_identity = false;
            seat.timing = SeatTiming::Odd;
            seat.cooldown = std::time::Duration::ZERO;
            seat.max_skew = None;
            seat.in_set = false;
        }
        plan.strict = true;
        plan.left_behind = LeftBehind::EmptySpec;
        plan
    }

    fn violation(at: Nanos) -> Violation {
        Violation {
            invariant: "at-most-one",
            at,
            what: String::new(),
        }
    }

    /// It takes the faults 7 and 21, the second for 3 s; the candidates 1 and 3; and odd timings.
    fn plays(plan: &Plan) -> Option<Violation> {
        let fault = |id| plan.faults.iter().find(|fault| fault.id == id);
        let sits = |seat: usize| plan.seats[seat].starts != NEVER;
        let holds = fault(7).is_some()
            && fault(21).is_some_and(|fault| fault.lasts >= 3 * SECOND)
            && sits(1)
            && sits(3)
            && plan.seats[1].timing == SeatTiming::Odd
            && plan.faults_end >= 50 * SECOND;
        holds.then(|| violation(50 * SECOND))
    }

    #[test]
    fn only_what_the_violation_needs_is_left() {
        let whole = whole();
        let found = minimise(&whole, &violation(50 * SECOND), 2000, plays);
        let ids: Vec<u32> = found.plan.faults.iter().map(|fault| fault.id).collect();
        assert_eq!(ids, [7, 21]);
        assert!(found.smallest && found.replays < 200, "{}", found.replays);
        assert_eq!(found.left.seats, Some(Seats([1, 3].into())));
        assert_eq!(found.plan.seats[1].timing, SeatTiming::Odd);
        assert!(!found.plan.strict && found.plan.seats[3].rate == 1_000_000);
        assert_eq!(found.left.until, Some(Until(50_100_000_000)));
        assert_eq!(
            found.left.arguments(),
            "--keep-faults 7:at=3s:lasts=0.1s:on=1:share=1000,21:at=31s:lasts=3s:on=1:share=1000 --seats 1,3 \
             --plain rates,walls,strict,starts,left-behind --until 50.1s"
        );
    }

    #[test]
    fn what_is_left_can_be_played_again() {
        let whole = whole();
        let found = minimise(&whole, &violation(50 * SECOND), 2000, plays);
        let again = found.left.apply(&whole).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", found.plan));
        assert_eq!(plays(&again), Some(found.violation));
    }

    #[test]
    fn a_violation_of_something_else_is_not_taken_for_this_one() {
        let whole = whole();
        let found = minimise(&whole, &violation(50 * SECOND), 2000, |plan| {
            let mut other = plays(plan).or(Some(violation(SECOND)))?;
            if plays(plan).is_none() {
                other.invariant = "liveness";
            }
            Some(other)
        });
        assert_eq!(found.violation.invariant, "at-most-one");
        assert_eq!(found.plan.faults.len(), 2);
    }

    #[test]
    fn the_search_ends_at_its_limit_with_something_that_violates() {
        let whole = whole();
        let mut played = 0;
        let found = minimise(&whole, &violation(50 * SECOND), 10, |plan| {
            played += 1;
            plays(plan)
        });
        assert_eq!((played, found.replays, found.smallest), (10, 10, false));
        assert!(plays(&found.plan).is_some());
    }
}

//! Whose turn it is at a Lease whose waits are over: contenders are spread (L17), a named successor
//! goes first (L22), and who has just left goes last (L23). All of it only ever delays.

use std::time::Duration;

use crate::time::Instant;

use super::{
    elector::{LeaseElector, Phase},
    observation::Place,
};

impl LeaseElector {
    /// When the Lease may be taken.
    pub(super) fn takeover_at(&mut self) -> Instant {
        let epoch = self.seen.epoch();
        let delay = self.contention.delay(self.now.mono, epoch, &mut self.rng);
        if self.now.mono >= self.seen.free_at() {
            self.contention.race_is_on(self.now.mono, epoch);
        }
        self.turn_after(delay)
    }

    /// The same, before the delay was drawn: the earliest that it can be.
    pub(super) fn expected_turn(&self) -> Instant {
        self.turn_after(self.contention.drawn_for(self.seen.epoch()))
    }

    /// The same of a candidate that waits for it and does not hold back: of a crowd only the first need to
    /// prepare.
    pub(super) fn awaited_turn(&self) -> Option<Instant> {
        let waits = matches!(self.phase, Phase::Observing)
            && self.standing
            && matches!(self.seen.place(), Place::Present(_))
            && self.paused().is_none();
        let held_back = self.contention.drawn_for(self.seen.epoch());
        (waits && held_back <= self.contention.most() / 20).then(|| self.expected_turn())
    }

    /// The Lease was given up by this process, which leaves it to others for a while (L23).
    pub(super) fn cools_down(&mut self) {
        self.cool_at = self.now.mono.after(self.config.cooldown);
    }

    fn turn_after(&self, delay: Duration) -> Instant {
        // Those who waited for the end of a pause begin together: they are spread (L17, L26).
        let free = self.seen.free_at().max(self.seen.resumed_at());
        let patience = self.contention.most();
        let named = match self.seen.place() {
            Place::Present(observed) => observed.successor(),
            _ => None,
        };
        let first = match named {
            Some(named) if self.config.identity.answers_to(named) => return free,
            Some(_) => patience,
            None => Duration::ZERO,
        };
        // Nobody else has come for so long: nobody else will.
        let alone = self.seen.changed_at().after(patience);
        free.max(self.cool_at.min(alone)).after(first + delay)
    }
}

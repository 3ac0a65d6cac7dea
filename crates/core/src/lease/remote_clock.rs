//! The one exception to L2, which somebody has to ask for: at the first sight of a Lease, a record
//! that is old by its own time need not be waited out (L24).

use std::time::Duration;

use crate::time::MicroTime;

use super::{elector::LeaseElector, observation::Place, record::Observed};

impl LeaseElector {
    /// The first sight of the Lease's place, whatever is there: only this one may be judged by
    /// remote clocks.
    pub(super) fn look_once(&mut self) {
        if *self.seen.place() == Place::Unknown {
            return;
        }
        // There is no second time.
        let Some(max_skew) = self.config.trust_remote_clock.take() else {
            return;
        };
        let own = self.config.timing.lease_duration();
        let is_old = match self.seen.place() {
            Place::Present(observed) => is_over(observed, self.now.wall, own, max_skew),
            Place::Unknown | Place::Absent => false,
        };
        if is_old {
            self.seen.waive();
        }
    }
}

/// Whether the record's time was over long ago, by its own time and this machine's wall clock.
/// Anything missing says no.
fn is_over(observed: &Observed, wall: MicroTime, own: Duration, max_skew: Duration) -> bool {
    let spec = &observed.spec;
    let (Some(_), Some(renewed), Some(seconds)) =
        (spec.holder(), spec.renew_time, spec.duration_seconds)
    else {
        return false;
    };
    let Some(written) = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0) else {
        return false;
    };
    let marked = observed
        .speaking_mark()
        .map_or(0, |mark| mark.duration_seconds);
    let lasts = own.max(Duration::from_secs(written.max(marked.into())));
    let age = wall.as_micros().saturating_sub(renewed.as_micros());
    let limit = lasts.saturating_add(max_skew).as_micros();
    i64::try_from(limit).is_ok_and(|limit| age > limit)
}

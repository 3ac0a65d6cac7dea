//! How long a write is trusted, how long an observer waits, and the one inequality that keeps the
//! two apart (rule L3).

use std::{fmt, time::Duration};

/// The checked timings of a Lease election. There is no way to get one that breaks rule L3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeaseTiming {
    duration_seconds: u32,
    renew_deadline: Duration,
    retry_period: Duration,
    call_limit: Duration,
    grace: Duration,
    clock_error: f64,
}

/// The timings of leader for life (rule F7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeTiming {
    /// The first pause between two tries; doubled from try to try.
    pub retry_first: Duration,
    /// The longest pause between two tries, and between two looks at a lock that one holds (F6).
    pub retry_most: Duration,
    /// How long one call may take.
    pub call_limit: Duration,
    /// How long the work may take to end once it has been told.
    pub grace: Duration,
}

/// Timings that somebody asked for, not yet checked. What is left out follows from what is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeaseTimingBuilder {
    lease_duration: Option<Duration>,
    renew_deadline: Option<Duration>,
    retry_period: Option<Duration>,
    call_limit: Option<Duration>,
    grace: Option<Duration>,
    clock_error: Option<f64>,
}

/// Timings that break a rule, with the rule in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TimingError {
    /// The renew deadline is too close to the lease duration for the clocks that are allowed.
    MarginTooSmall {
        /// What was asked for.
        renew_deadline: Duration,
        /// The most that the lease duration allows.
        most: Duration,
        /// The lease duration in whole seconds, as it is written.
        duration_seconds: u32,
        /// The clock error that must be survived.
        clock_error: f64,
    },
    /// A renewal, its retry and the end of the work do not fit into the renew deadline.
    NoRoomToStop {
        /// What the renewal, two calls and the grace take together.
        needed: Duration,
        /// What there is.
        renew_deadline: Duration,
    },
    /// A duration that must be longer than zero is not.
    Zero(&'static str),
    /// A duration beyond what `leaseDurationSeconds` can hold.
    TooLong(&'static str),
    /// A clock error outside of 0 to 0.5.
    ClockError(f64),
    /// The first pause between tries is longer than the longest.
    RetryOrder,
}

const DEFAULT_CLOCK_ERROR: f64 = 0.05;
const MAX_DURATION_SECONDS: u64 = i32::MAX as u64;

impl LeaseTiming {
    /// Start from client-go's proportions: 15 s, 10 s, 2 s.
    pub fn builder() -> LeaseTimingBuilder {
        LeaseTimingBuilder::default()
    }

    /// `leaseDurationSeconds` as it is written.
    pub fn duration_seconds(&self) -> u32 {
        self.duration_seconds
    }

    /// D: how long an observer waits after a record has last changed.
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.duration_seconds.into())
    }

    /// H: how long a successful write is trusted, from before its first byte was sent (rule L1).
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// R: the pause from one renewal to the next.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// C: how long one call may take.
    pub fn call_limit(&self) -> Duration {
        self.call_limit
    }

    /// G: how long the work may take to end once it has been told.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// rho: the largest relative error of a clock's rate that is survived.
    pub fn clock_error(&self) -> f64 {
        self.clock_error
    }
}

impl Default for LeaseTiming {
    /// 15 s lease duration, 10 s renew deadline, 2 s retry period; 2 s for a call, 3 s of grace.
    fn default() -> Self {
        Self {
            duration_seconds: 15,
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            call_limit: Duration::from_secs(2),
            grace: Duration::from_secs(3),
            clock_error: DEFAULT_CLOCK_ERROR,
        }
    }
}

impl LeaseTimingBuilder {
    /// D. Written in whole seconds, so it is rounded **up** to them. Default 15 s.
    #[must_use]
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.lease_duration = Some(duration);
        self
    }

    /// H. At most D (1 - rho) / (1 + rho). Default: two thirds of D.
    #[must_use]
    pub fn renew_deadline(mut self, duration: Duration) -> Self {
        self.renew_deadline = Some(duration);
        self
    }

    /// R. Default: a fifth of H.
    #[must_use]
    pub fn retry_period(mut self, duration: Duration) -> Self {
        self.retry_period = Some(duration);
        self
    }

    /// C. Default: a quarter of what R leaves of H.
    #[must_use]
    pub fn call_limit(mut self, duration: Duration) -> Self {
        self.call_limit = Some(duration);
        self
    }

    /// G. Default: three eighths of what R leaves of H.
    #[must_use]
    pub fn grace(mut self, duration: Duration) -> Self {
        self.grace = Some(duration);
        self
    }

    /// rho, 0 to 0.5. Default 0.05: one clock may be 5 % fast while another is 5 % slow.
    #[must_use]
    pub fn clock_error(mut self, rho: f64) -> Self {
        self.clock_error = Some(rho);
        self
    }

    /// Check everything (rule L3).
    pub fn build(self) -> Result<LeaseTiming, TimingError> {
        let clock_error = self.clock_error.unwrap_or(DEFAULT_CLOCK_ERROR);
        if !(0.0..=0.5).contains(&clock_error) {
            return Err(TimingError::ClockError(clock_error));
        }
        let asked = self.lease_duration.unwrap_or(Duration::from_secs(15));
        let duration_seconds = whole_seconds(asked)?;
        let written = Duration::from_secs(duration_seconds.into());
        let renew_deadline = positive(
            self.renew_deadline.unwrap_or(written * 2 / 3),
            "renew deadline",
        )?;
        let most = written.mul_f64((1.0 - clock_error) / (1.0 + clock_error));
        if renew_deadline > most {
            return Err(TimingError::MarginTooSmall {
                renew_deadline,
                most,
                duration_seconds,
                clock_error,
            });
        }
        let retry_period = positive(
            self.retry_period.unwrap_or(renew_deadline / 5),
            "retry period",
        )?;
        let left = renew_deadline.saturating_sub(retry_period);
        let call_limit = positive(self.call_limit.unwrap_or(left / 4), "call limit")?;
        let grace = self.grace.unwrap_or(left * 3 / 8);
        let needed = retry_period
            .saturating_add(call_limit)
            .saturating_add(call_limit)
            .saturating_add(grace);
        if needed > renew_deadline {
            return Err(TimingError::NoRoomToStop {
                needed,
                renew_deadline,
            });
        }
        Ok(LeaseTiming {
            duration_seconds,
            renew_deadline,
            retry_period,
            call_limit,
            grace,
            clock_error,
        })
    }
}

impl LifeTiming {
    /// Refuse pauses of zero and an order that makes no sense.
    pub fn check(self) -> Result<Self, TimingError> {
        positive(self.retry_first, "first retry pause")?;
        positive(self.retry_most, "longest retry pause")?;
        positive(self.call_limit, "call limit")?;
        if self.retry_first > self.retry_most {
            return Err(TimingError::RetryOrder);
        }
        Ok(self)
    }
}

impl Default for LifeTiming {
    /// 1 s, doubled up to 30 s; 10 s for a call, 10 s of grace.
    fn default() -> Self {
        Self {
            retry_first: Duration::from_secs(1),
            retry_most: Duration::from_secs(30),
            call_limit: Duration::from_secs(10),
            grace: Duration::from_secs(10),
        }
    }
}

fn whole_seconds(asked: Duration) -> Result<u32, TimingError> {
    positive(asked, "lease duration")?;
    let seconds = asked
        .as_secs()
        .saturating_add(u64::from(asked.subsec_nanos() > 0));
    if seconds > MAX_DURATION_SECONDS {
        return Err(TimingError::TooLong("lease duration"));
    }
    u32::try_from(seconds).map_err(|_| TimingError::TooLong("lease duration"))
}

fn positive(duration: Duration, name: &'static str) -> Result<Duration, TimingError> {
    if duration.is_zero() {
        Err(TimingError::Zero(name))
    } else {
        Ok(duration)
    }
}

impl fmt::Display for TimingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarginTooSmall {
                renew_deadline,
                most,
                duration_seconds,
                clock_error,
            } => write!(
                f,
                "a renew deadline of {renew_deadline:?} is too close to a lease duration of \
                 {duration_seconds} s: with clocks that may be off by {} % it can be at most \
                 {most:?} (rule L3: renew deadline <= lease duration * (1 - rho) / (1 + rho)); \
                 shorten the renew deadline or lengthen the lease duration",
                clock_error * 100.0
            ),
            Self::NoRoomToStop {
                needed,
                renew_deadline,
            } => write!(
                f,
                "a renewal, its retry and the end of the work take {needed:?} and must fit into \
                 the renew deadline of {renew_deadline:?} (rule L3: retry period + 2 * call limit \
                 + grace <= renew deadline); shorten one of them or lengthen the renew deadline"
            ),
            Self::Zero(name) => write!(f, "the {name} must be longer than zero"),
            Self::TooLong(name) => {
                write!(f, "the {name} must be at most {MAX_DURATION_SECONDS} s")
            }
            Self::ClockError(rho) => {
                write!(
                    f,
                    "a clock error of {rho} makes no sense: give 0 to 0.5 (0.05 is 5 %)"
                )
            }
            Self::RetryOrder => {
                f.write_str("the first retry pause must not be longer than the longest")
            }
        }
    }
}

impl std::error::Error for TimingError {}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn l3_the_defaults_are_client_gos_and_hold() {
        assert_eq!(LeaseTiming::builder().build(), Ok(LeaseTiming::default()));
        assert!(LeaseTiming::builder().clock_error(0.2).build().is_ok());
        assert!(LeaseTiming::builder().clock_error(0.21).build().is_err());
    }

    #[test]
    fn l3_a_deadline_at_the_bound_is_taken_and_one_step_over_it_refused() {
        let at = |h| {
            LeaseTiming::builder()
                .lease_duration(21 * S)
                .renew_deadline(h)
                .clock_error(0.05)
                .build()
        };
        assert!(at(19 * S).is_ok());
        let refused = at(19 * S + Duration::from_millis(1)).unwrap_err();
        assert!(refused.to_string().contains("rule L3"), "{refused}");
        assert!(at(21 * S).is_err());
    }

    #[test]
    fn l3_a_fraction_of_a_second_is_rounded_up() {
        let timing = LeaseTiming::builder()
            .lease_duration(Duration::from_millis(1900))
            .build()
            .unwrap();
        assert_eq!(timing.duration_seconds(), 2);
        assert_eq!(timing.lease_duration(), 2 * S);
    }

    #[test]
    fn l3_the_work_must_have_time_to_end() {
        let refused = LeaseTiming::builder().grace(5 * S).build().unwrap_err();
        assert!(
            matches!(refused, TimingError::NoRoomToStop { .. }),
            "{refused:?}"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let b = LeaseTiming::builder;
        assert!(b().lease_duration(Duration::ZERO).build().is_err());
        assert!(b().lease_duration(Duration::MAX).build().is_err());
        assert!(b().renew_deadline(Duration::ZERO).build().is_err());
        assert!(b().retry_period(Duration::ZERO).build().is_err());
        assert!(b().retry_period(Duration::MAX).build().is_err());
        assert!(b().call_limit(Duration::ZERO).build().is_err());
        assert!(b().clock_error(f64::NAN).build().is_err());
        assert!(b().clock_error(-0.1).build().is_err());
        let turned = LifeTiming {
            retry_first: 60 * S,
            ..LifeTiming::default()
        };
        assert_eq!(turned.check(), Err(TimingError::RetryOrder));
    }
}

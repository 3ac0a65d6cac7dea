//! What time it is on the server: its `Date` header against this machine's clock.

use std::time::Duration;

use tenure::clock::{Clock as _, SystemClock};

use super::judge::Moment;

/// One answer's word about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// This machine's clock when the request was sent, in microseconds since 1970.
    pub(crate) asked: i64,
    /// How long the answer took, by a clock that nobody sets.
    pub(crate) took: Duration,
    /// The server's clock, cut down to whole seconds.
    pub(crate) date: Option<i64>,
}

impl Reading {
    /// How far the server's clock is ahead of this one, and how far off that may be.
    pub(crate) fn ahead(&self) -> Option<(i64, i64)> {
        let took = micros(self.took);
        // The header was written somewhen within the call, and stands for somewhen in its second.
        let there = self.date?.saturating_add(500_000);
        let here = self.asked.saturating_add(took / 2);
        Some((there.saturating_sub(here), took / 2 + 500_000))
    }
}

/// This machine's clock, in microseconds since 1970.
pub(crate) fn wall() -> i64 {
    SystemClock.wall().as_micros()
}

/// The present on the server, by the reading that leaves least doubt.
pub(crate) fn moment(readings: &[Reading], here: i64) -> Moment {
    let best = readings
        .iter()
        .filter_map(Reading::ahead)
        .min_by_key(|(_, within)| *within);
    match best {
        Some((ahead, within)) => Moment {
            now: here.saturating_add(ahead),
            within,
            ahead: Some(ahead),
        },
        None => Moment {
            now: here,
            within: 0,
            ahead: None,
        },
    }
}

/// A `Date` header in microseconds since 1970.
pub(crate) fn date(header: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(header).ok()?.as_microsecond())
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_known_to_within_its_second_and_half_the_call() {
        let reading = Reading {
            asked: 100_000_000,
            took: Duration::from_millis(200),
            date: Some(105_000_000),
        };
        assert_eq!(reading.ahead(), Some((5_400_000, 600_000)));
        let slow = Reading {
            took: Duration::from_secs(4),
            ..reading
        };
        let moment = moment(&[slow, reading], 101_000_000);
        assert_eq!((moment.now, moment.within), (106_400_000, 600_000));
    }

    #[test]
    fn without_a_date_only_the_own_clock_is_left() {
        let reading = Reading {
            asked: 1,
            took: Duration::ZERO,
            date: None,
        };
        let known = moment(&[reading], 7);
        assert_eq!((known.now, known.ahead), (7, None));
    }

    #[test]
    fn dates_are_read_as_http_writes_them() {
        assert_eq!(
            date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000_000)
        );
        for bad in ["", "yesterday", "784111777", "\u{0}"] {
            assert_eq!(date(bad), None);
        }
    }
}

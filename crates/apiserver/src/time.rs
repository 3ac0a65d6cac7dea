//! Kubernetes' two spellings of a time: `Time` (whole seconds) and `MicroTime` (six digits).

use std::time::SystemTime;

use jiff::Timestamp;

/// Which spelling a field uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    Seconds,
    Micros,
}

/// Reads an RFC 3339 time as Go does and spells it as the server does: UTC, `Z`, digits cut off.
///
/// On failure the text is the one that Go's parser gives.
pub(crate) fn normalise(text: &str, precision: Precision) -> Result<String, String> {
    let layout = match precision {
        Precision::Seconds => "2006-01-02T15:04:05Z07:00",
        Precision::Micros => "2006-01-02T15:04:05.000000Z07:00",
    };
    let refuse = |rest: &str, element: &str| {
        format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}")
    };
    let bytes = text.as_bytes();
    let mut at = 0;
    for element in [
        "2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05",
    ] {
        let rest = text.get(at..).unwrap_or_default();
        let width = element.len();
        let fits = match element {
            "-" | "T" | ":" => rest.starts_with(element),
            _ => rest.len() >= width && bytes[at..at + width].iter().all(u8::is_ascii_digit),
        };
        if !fits {
            return Err(refuse(rest, element));
        }
        at += width;
    }
    let rest = text.get(at..).unwrap_or_default();
    let zone = match precision {
        Precision::Micros => {
            let fits = rest.len() >= 7
                && rest.starts_with(['.', ','])
                && bytes[at + 1..at + 7].iter().all(u8::is_ascii_digit);
            if !fits {
                return Err(refuse(rest, ".000000"));
            }
            &rest[7..]
        }
        // Go takes a fraction after the seconds even where its layout has none.
        Precision::Seconds => match rest.strip_prefix(['.', ',']) {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => rest,
        },
    };
    let zone_fits = zone == "Z"
        || (zone.len() == 6
            && zone.starts_with(['+', '-'])
            && zone.as_bytes()[3] == b':'
            && zone
                .bytes()
                .enumerate()
                .all(|(i, b)| i == 0 || i == 3 || b.is_ascii_digit()));
    if !zone_fits {
        return Err(refuse(zone, "Z07:00"));
    }
    for (from, to, least, most, element) in [
        (5, 7, 1, 12, "month"),
        (8, 10, 1, 31, "day"),
        (11, 13, 0, 23, "hour"),
        (14, 16, 0, 59, "minute"),
        (17, 19, 0, 59, "second"),
    ] {
        let number: u32 = text[from..to].parse().unwrap_or(u32::MAX);
        if number < least || number > most {
            return Err(format!("parsing time {text:?}: {element} out of range"));
        }
    }
    let stamp: Timestamp = text
        .replacen(',', ".", 1)
        .parse()
        .map_err(|_| format!("parsing time {text:?}: day out of range"))?;
    Ok(spell(stamp, precision))
}

/// The present wall time in whole seconds, as `creationTimestamp` has it.
pub(crate) fn stamp(now: SystemTime) -> String {
    spell(
        Timestamp::try_from(now).unwrap_or_default(),
        Precision::Seconds,
    )
}

/// `seconds` after `now`, in whole seconds.
pub(crate) fn stamp_after(now: SystemTime, seconds: i64) -> String {
    let now = Timestamp::try_from(now).unwrap_or_default();
    let later = now
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    spell(later, Precision::Seconds)
}

/// `text` moved by `seconds`; `None` when it is no time.
pub(crate) fn shift(text: &str, seconds: i64) -> Option<String> {
    let stamp: Timestamp = text.parse().ok()?;
    let moved = stamp
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .ok()?;
    Some(spell(moved, Precision::Seconds))
}

/// How long ago `text` was, in seconds; negative when it lies ahead.
pub(crate) fn age_seconds(text: &str, now: SystemTime) -> Option<i64> {
    let stamp: Timestamp = text.parse().ok()?;
    let now = Timestamp::try_from(now).ok()?;
    Some(now.duration_since(stamp).as_secs())
}

fn spell(stamp: Timestamp, precision: Precision) -> String {
    match precision {
        // The printer rounds to nothing: digits beyond the precision are cut off, as Go does.
        Precision::Seconds => stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Precision::Micros => stamp.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Precision, normalise};

    #[test]
    fn a_micro_time_has_six_digits() {
        assert_eq!(
            normalise("2024-05-06T07:08:09.123456+02:00", Precision::Micros).unwrap(),
            "2024-05-06T05:08:09.123456Z"
        );
        assert_eq!(
            normalise("2024-05-06T07:08:09Z", Precision::Micros).unwrap_err(),
            "parsing time \"2024-05-06T07:08:09Z\" as \"2006-01-02T15:04:05.000000Z07:00\": \
             cannot parse \"Z\" as \".000000\""
        );
    }

    #[test]
    fn a_time_is_cut_to_seconds() {
        assert_eq!(
            normalise("2024-05-06T07:08:09.999Z", Precision::Seconds).unwrap(),
            "2024-05-06T07:08:09Z"
        );
        assert!(normalise("yesterday", Precision::Seconds).is_err());
    }
}

//! What happens to a candidate, for programs and for people.

use serde::Serialize;
use tenure::clock::{Clock as _, SystemClock};

/// One thing that happened.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Event<'a> {
    #[serde(rename = "event")]
    pub(crate) what: What,
    /// When, on the wall clock: nanoseconds since 1970, exact to a microsecond.
    pub(crate) unix_ns: i64,
    /// Who stands here.
    pub(crate) identity: &'a str,
    /// Who holds the lock, as far as it is known.
    pub(crate) holder: Option<&'a str>,
    /// The number of the term, for people; 0 for a lock for life.
    pub(crate) term: Option<u64>,
    /// The fencing token (rule L19).
    pub(crate) token: Option<&'a str>,
    /// Why, where there is something to say.
    pub(crate) reason: Option<&'a str>,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// Somebody else leads, or nobody does yet.
    Standby,
    /// This candidate leads.
    Leading,
    /// It leads, and its renewals fail.
    Jeopardy,
    /// It leads no more, without having given the lock up.
    Lost,
    /// It has given the lock up.
    Released,
}

/// The wall clock, in nanoseconds since 1970.
pub(crate) fn unix_ns() -> i64 {
    SystemClock.wall().as_micros().saturating_mul(1000)
}

impl Event<'_> {
    /// For programs: one line of JSON.
    pub(crate) fn to_json(self) -> String {
        // Nothing in it can fail to be JSON.
        let mut line = serde_json::to_string(&self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// For people: one line of words.
    pub(crate) fn to_words(self) -> String {
        let because = |reason: Option<&str>| match reason {
            Some(reason) => format!(": {}", one_line(reason)),
            None => String::new(),
        };
        let told = match (self.what, self.holder) {
            (What::Standby, Some(holder)) => {
                format!("standing by; {holder} leads{}", because(self.reason))
            }
            (What::Standby, None) if self.reason.is_some() => {
                format!("standing by, trying on{}", because(self.reason))
            }
            (What::Standby, None) => "standing by; nobody is known to lead".to_owned(),
            (What::Leading, _) => {
                let number = match self.term {
                    Some(term) if term > 0 => format!("term {term}, "),
                    _ => String::new(),
                };
                let token = self.token.unwrap_or_default();
                format!("LEADING ({number}token {token}){}", because(self.reason))
            }
            (What::Jeopardy, _) => format!("leading, in jeopardy{}", because(self.reason)),
            (What::Lost, _) => format!("lost{}", because(self.reason)),
            (What::Released, _) => format!("released{}", because(self.reason)),
        };
        let seconds = self.unix_ns.div_euclid(1_000_000_000).rem_euclid(86_400);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{hours:02}:{minutes:02}:{seconds:02}Z {told}\n")
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event<'static> {
        Event {
            what: What::Leading,
            unix_ns: 1_767_225_661_000_001_000,
            identity: "a",
            holder: Some("a"),
            term: Some(3),
            token: Some("17"),
            reason: None,
        }
    }

    #[test]
    fn programs_get_every_field_in_every_event() {
        assert_eq!(
            event().to_json(),
            "{\"event\":\"leading\",\"unix_ns\":1767225661000001000,\"identity\":\"a\",\
             \"holder\":\"a\",\"term\":3,\"token\":\"17\",\"reason\":null}\n"
        );
    }

    #[test]
    fn people_get_words() {
        assert_eq!(event().to_words(), "00:01:01Z LEADING (term 3, token 17)\n");
        let standby = Event {
            what: What::Standby,
            holder: None,
            reason: Some("no\nanswer"),
            ..event()
        };
        assert_eq!(
            standby.to_words(),
            "00:01:01Z standing by, trying on: no answer\n"
        );
    }
}

//! What is left of a seed: which of its faults, of its candidates and of its settings, and how long.
//! It has a textual form, so that a minimised run can be played again from a command line.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{
    clock::{NEVER, Nanos, SECOND},
    fault::Target,
    plan::{LeftBehind, Plan, SeatTiming},
};

/// What is left of a seed. The default leaves all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Left {
    /// Only these faults of the seed, by their numbers, such as 3,7:at=9s:lasts=2s:on=1:share=1000; none
    /// for no fault
    #[arg(long, value_name = "FAULTS", requires = "replay")]
    pub keep_faults: Option<Faults>,
    /// Only these candidates of the seed, such as 0,2
    #[arg(long, value_name = "NUMBERS", requires = "replay")]
    pub seats: Option<Seats>,
    /// The faults end there, such as 83.2s
    #[arg(long, value_name = "TIME", requires = "replay")]
    pub until: Option<Until>,
    /// Without what the seed does to these settings, such as rates,walls
    #[arg(long, value_name = "SETTINGS", requires = "replay")]
    pub plain: Option<Plain>,
}

/// The faults that are left, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Kept>);

/// A fault that is left, and what is different about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number in the seed's plan.
    pub id: u32,
    /// It begins there instead.
    pub at: Option<Nanos>,
    /// It lasts so long instead.
    pub lasts: Option<Nanos>,
    /// It strikes whoever sits there instead.
    pub seat: Option<usize>,
    /// It strikes so many of a thousand messages instead.
    pub share: Option<u32>,
}

/// The seats that are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats(pub BTreeSet<usize>);

/// When the faults end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(pub Nanos);

/// The settings that are as if the seed had nothing to say about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain(pub BTreeSet<Setting>);

/// Something that a seed decides for the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// All clocks run at true time's rate.
    Rates,
    /// All wall clocks are right.
    Walls,
    /// All candidates have the usual timings.
    Timings,
    /// Held Leases are created by whoever finds none.
    Strict,
    /// All identities are unique.
    Identities,
    /// All candidates are tenure.
    Foreign,
    /// All candidates start at once.
    Starts,
    /// Nothing stands there before anybody starts.
    LeftBehind,
    /// Nobody leaves a Lease that it has released to others.
    Cooldowns,
    /// Nobody goes by the wall clocks of others.
    TrustedClocks,
    /// Nobody is part of a set.
    Sets,
}

impl Left {
    /// The run that is left of the seed's.
    ///
    /// # Errors
    /// It names faults or seats that the seed does not have, or no seat; the text says what to do.
    pub fn apply(&self, whole: &Plan) -> Result<Plan, String> {
        let mut plan = whole.clone();
        if let Some(kept) = &self.keep_faults {
            plan.faults = kept.pick(whole)?;
        }
        if let Some(Seats(seats)) = &self.seats {
            if let Some(seat) = seats.iter().find(|seat| **seat >= plan.seats.len()) {
                return Err(format!(
                    "there is no candidate {seat} in seed {}: they go from 0 to {}",
                    whole.seed,
                    plan.seats.len().saturating_sub(1)
                ));
            }
            // An empty seat stays where it is, so that the others keep their numbers.
            for seat in &mut plan.seats {
                if !seats.contains(&seat.number) {
                    seat.starts = NEVER;
                }
            }
        }
        if let Some(Until(until)) = self.until {
            plan.faults_end = until.min(plan.faults_end);
            plan.faults.retain(|fault| fault.at < until);
        }
        for setting in self.plain.iter().flat_map(|plain| &plain.0) {
            setting.make_plain(&mut plan);
        }
        Ok(plan)
    }

    /// Whether it leaves all.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The command line's words for it.
    #[must_use]
    pub fn arguments(&self) -> String {
        let mut words = Vec::new();
        if let Some(faults) = &self.keep_faults {
            words.push(format!("--keep-faults {faults}"));
        }
        if let Some(seats) = &self.seats {
            words.push(format!("--seats {seats}"));
        }
        if let Some(plain) = self.plain.as_ref().filter(|plain| !plain.0.is_empty()) {
            words.push(format!("--plain {plain}"));
        }
        if let Some(until) = &self.until {
            words.push(format!("--until {until}"));
        }
        words.join(" ")
    }
}

impl Faults {
    fn pick(&self, whole: &Plan) -> Result<Vec<crate::fault::Fault>, String> {
        let mut faults = Vec::new();
        for kept in &self.0 {
            let fault = whole.faults.iter().find(|fault| fault.id == kept.id);
            let mut fault = fault.cloned().ok_or_else(|| {
                format!(
                    "there is no fault {} in seed {}: give --lock, --faults, --without and \
                     --client-go as they were when it was found",
                    kept.id, whole.seed
                )
            })?;
            fault.at = kept.at.unwrap_or(fault.at);
            fault.lasts = kept.lasts.unwrap_or(fault.lasts);
            fault.target = kept.seat.map_or(fault.target, Target::Seat);
            fault.share = kept.share.unwrap_or(fault.share);
            faults.push(fault);
        }
        faults.sort_by_key(|fault| (fault.at, fault.id));
        Ok(faults)
    }
}

impl Kept {
    /// A fault as the seed has it.
    #[must_use]
    pub fn whole(id: u32) -> Self {
        Self {
            id,
            at: None,
            lasts: None,
            seat: None,
            share: None,
        }
    }
}

impl Setting {
    /// All of them, the ones that confuse people most first.
    pub const ALL: [Self; 11] = [
        Self::Foreign,
        Self::Timings,
        Self::Rates,
        Self::Walls,
        Self::Identities,
        Self::Strict,
        Self::LeftBehind,
        Self::Starts,
        Self::Cooldowns,
        Self::TrustedClocks,
        Self::Sets,
    ];

    /// Its name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rates => "rates",
            Self::Walls => "walls",
            Self::Timings => "timings",
            Self::Strict => "strict",
            Self::Identities => "identities",
            Self::Foreign => "foreign",
            Self::Starts => "starts",
            Self::LeftBehind => "left-behind",
            Self::Cooldowns => "cooldowns",
            Self::TrustedClocks => "trusted-clocks",
            Self::Sets => "sets",
        }
    }

    /// Whether it is plain already.
    #[must_use]
    pub fn is_plain(self, plan: &Plan) -> bool {
        let mut plain = plan.clone();
        self.make_plain(&mut plain);
        let seats = |plan: &Plan| format!("{:?}", plan.seats);
        plain.strict == plan.strict
            && plain.left_behind == plan.left_behind
            && seats(&plain) == seats(plan)
    }

    fn make_plain(self, plan: &mut Plan) {
        match self {
            Self::Strict => plan.strict = false,
            Self::LeftBehind => plan.left_behind = LeftBehind::Nothing,
            _ => {}
        }
        for seat in &mut plan.seats {
            match self {
                Self::Rates => seat.rate = 1_000_000,
                Self::Walls => seat.wall_off = 0,
                Self::Timings => seat.timing = SeatTiming::Usual,
                Self::Identities => seat.fixed_identity = false,
                Self::Foreign => seat.foreign = false,
                Self::Cooldowns => seat.cooldown = std::time::Duration::ZERO,
                Self::TrustedClocks => seat.max_skew = None,
                Self::Sets => seat.in_set = false,
                Self::Starts if seat.starts != NEVER => seat.starts = 0,
                Self::Strict | Self::LeftBehind | Self::Starts => {}
            }
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, kept) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{kept}")?;
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(at) = self.at {
            write!(f, ":at={}", Until(at))?;
        }
        if let Some(lasts) = self.lasts {
            write!(f, ":lasts={}", Until(lasts))?;
        }
        if let Some(seat) = self.seat {
            write!(f, ":on={seat}")?;
        }
        if let Some(share) = self.share {
            write!(f, ":share={share}")?;
        }
        Ok(())
    }
}

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let id = parts.next().unwrap_or_default();
        let mut kept = Self::whole(number(id, "a fault's number")?);
        for part in parts {
            match part.split_once('=') {
                Some(("at", time)) => kept.at = Some(time.parse::<Until>()?.0),
                Some(("lasts", time)) => kept.lasts = Some(time.parse::<Until>()?.0),
                Some(("on", seat)) => kept.seat = Some(number(seat, "a candidate's number")?),
                Some(("share", share)) => {
                    kept.share = Some(number(share, "a number of a thousand")?);
                }
                _ => {
                    return Err(format!(
                        "`{part}` is none of at=TIME, lasts=TIME, on=N, share=N"
                    ));
                }
            }
        }
        Ok(kept)
    }
}

impl fmt::Display for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

impl FromStr for Seats {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seats = text
            .split(',')
            .map(|seat| number(seat, "a candidate's number"));
        seats.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / SECOND, self.0 % SECOND);
        if nanos == 0 {
            return write!(f, "{seconds}s");
        }
        let fraction = format!("{nanos:09}");
        write!(f, "{seconds}.{}s", fraction.trim_end_matches('0'))
    }
}

impl FromStr for Until {
    type Err = String;

    /// Seconds with at most nine decimals, and an `s`: no number is rounded.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time such as 83.2s");
        let digits = text.strip_suffix('s').unwrap_or(text);
        let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let nanos = format!("{fraction:0<9}")
            .parse::<Nanos>()
            .map_err(|_| wrong())?;
        let seconds = seconds.parse::<Nanos>().map_err(|_| wrong())?;
        seconds
            .checked_mul(SECOND)
            .and_then(|whole| whole.checked_add(nanos))
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|setting| setting.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Plain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| {
            let found = Setting::ALL.into_iter().find(|each| each.name() == name);
            found.ok_or_else(|| {
                let names: Vec<&str> = Setting::ALL.iter().map(|each| each.name()).collect();
                format!("`{name}` is none of {}", names.join(", "))
            })
        };
        text.split(',')
            .map(named)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn number<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not {what}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::plan::Draw;

    #[derive(clap::Parser)]
    struct Line {
        #[arg(long)]
        replay: u64,
        #[command(flatten)]
        left: Left,
    }

    #[test]
    fn the_words_for_what_is_left_are_read_back() {
        let left = Left {
            keep_faults: Some(Faults(vec![
                Kept::whole(3),
                Kept {
                    id: 12,
                    at: Some(9 * SECOND),
                    lasts: Some(2_500_000_001),
                    seat: Some(1),
                    share: Some(1000),
                },
            ])),
            seats: Some(Seats([0, 2].into())),
            until: Some(Until(83 * SECOND)),
            plain: Some(Plain([Setting::Walls, Setting::Rates].into())),
        };
        let words = left.arguments();
        assert_eq!(
            words,
            "--keep-faults 3,12:at=9s:lasts=2.500000001s:on=1:share=1000 --seats 0,2 \
             --plain rates,walls --until 83s"
        );
        let line = format!("sim --replay 7 {words}");
        let read = Line::try_parse_from(line.split(' ')).ok().unwrap();
        assert_eq!((read.replay, read.left), (7, left));
    }

    #[test]
    fn nothing_left_of_the_faults_has_a_word_too() {
        assert_eq!("none".parse(), Ok(Faults::default()));
        assert_eq!(Faults::default().to_string(), "none");
    }

    #[test]
    fn odd_words_are_refused_and_none_is_rounded() {
        for text in [
            "",
            "x",
            "1:lasts",
            "1:lasts=",
            "1:lasts=1.0000000001s",
            "1:on=-1",
            "1,,2",
        ] {
            assert!(text.parse::<Faults>().is_err(), "{text}");
        }
        for text in [
            "",
            "s",
            "-1s",
            "1.2.3s",
            "1e3s",
            "99999999999999999999s",
            "18446744074s",
        ] {
            assert!(text.parse::<Until>().is_err(), "{text}");
        }
        assert!("rates,colour".parse::<Plain>().is_err());
        assert!("0,b".parse::<Seats>().is_err());
    }

    #[test]
    fn what_a_seed_does_not_have_cannot_be_left_of_it() {
        let plan = Plan::draw(1, &Draw::default());
        let left = |words: &str| {
            let line = format!("sim --replay 1 {words}");
            Line::try_parse_from(line.split(' ')).ok().unwrap().left
        };
        assert!(left("--keep-faults 77777").apply(&plan).is_err());
        assert!(left("--seats 77").apply(&plan).is_err());
        let all = Left::default().apply(&plan).unwrap();
        assert_eq!(format!("{all:?}"), format!("{plan:?}"));
        let little = left("--seats 1 --keep-faults none").apply(&plan).unwrap();
        assert!(little.faults.is_empty());
        assert_eq!(little.seats.len(), plan.seats.len());
        assert!(little.seats[0].starts == NEVER && little.seats[1].starts != NEVER);
    }
}

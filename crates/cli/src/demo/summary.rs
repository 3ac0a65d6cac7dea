//! What was measured, from the marks alone.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    board::State,
    marks::PERIOD_NS,
    plan::Lock,
    reigns::{Overlap, Reign, overlaps},
    script::Story,
};

/// One change of leaders that was brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: Reign,
    pub(crate) to: Reign,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) lock: Lock,
    /// The reigns with the names of their candidates, in the order in which they began.
    pub(crate) reigns: Vec<(String, Reign)>,
    pub(crate) takeover: Option<Change>,
    pub(crate) handover: Option<Change>,
    pub(crate) overlaps: Vec<Overlap>,
    pub(crate) marks: u64,
    pub(crate) widest_gap: u64,
}

/// The summary for programs.
#[derive(Debug, Serialize)]
struct Json<'a> {
    lock: &'a str,
    /// Who led, in order.
    leaders: Vec<&'a str>,
    /// From the last mark of the killed leader to the first of the next, in milliseconds.
    takeover_ms: Option<f64>,
    /// How long before the next leader began the killed one would have stopped by itself, in
    /// milliseconds; null for a lock for life.
    margin_ms: Option<f64>,
    /// From the last mark of the leader that stepped down to the first of the next.
    handover_ms: Option<f64>,
    /// How often two led at once.
    overlaps: usize,
    /// For how long they did, in all.
    overlap_ms: f64,
    /// How many marks all this rests on.
    marks: u64,
    /// The longest time for which a leader left no mark.
    widest_gap_ms: f64,
}

impl Change {
    /// How long nobody led; negative if both did.
    pub(crate) fn gap_ms(&self) -> f64 {
        signed_ms(self.from.end, self.to.begin)
    }

    /// How long before the next leader began the last would have stopped believing by itself, had
    /// it been frozen rather than killed. None for a lock for life.
    pub(crate) fn margin_ms(&self) -> Option<f64> {
        let until = self.from.valid_until?;
        Some(signed_ms(until, self.to.begin))
    }
}

impl Summary {
    pub(crate) fn new(lock: Lock, state: &State, story: Story) -> Self {
        let reigns = state.reigns();
        let change = |done: Option<(usize, u64)>| {
            let (process, at) = done?;
            let from = reigns
                .iter()
                .rfind(|reign| reign.process == process && reign.begin <= at)?;
            let to = reigns
                .iter()
                .find(|reign| reign.process != process && reign.begin > from.begin)?;
            Some(Change {
                from: *from,
                to: *to,
            })
        };
        let name = |reign: &Reign| state.name_of(state.lane_of(reign.process)).to_owned();
        Self {
            lock,
            takeover: change(story.killed),
            handover: change(story.asked),
            overlaps: overlaps(&reigns),
            marks: reigns.iter().map(|reign| reign.marks).sum(),
            widest_gap: reigns
                .iter()
                .map(|reign| reign.widest_gap)
                .max()
                .unwrap_or(0),
            reigns: reigns.iter().map(|reign| (name(reign), *reign)).collect(),
        }
    }

    /// Whether all was as it must be: no two led at once, and no two could have, had the killed
    /// one been frozen and believed on.
    pub(crate) fn holds(&self) -> bool {
        let margin = self.takeover.as_ref().and_then(Change::margin_ms);
        self.overlaps.is_empty() && margin.is_none_or(|margin| margin >= 0.0)
    }

    fn overlap_ns(&self) -> u64 {
        self.overlaps.iter().map(Overlap::length).sum()
    }

    /// One JSON object, on one line.
    pub(crate) fn to_json(&self) -> String {
        let json = Json {
            lock: self.lock.word(),
            leaders: self.reigns.iter().map(|(name, _)| &**name).collect(),
            takeover_ms: self.takeover.as_ref().map(Change::gap_ms),
            margin_ms: self.takeover.as_ref().and_then(Change::margin_ms),
            handover_ms: self.handover.as_ref().map(Change::gap_ms),
            overlaps: self.overlaps.len(),
            overlap_ms: ms(self.overlap_ns()),
            marks: self.marks,
            widest_gap_ms: ms(self.widest_gap),
        };
        let mut line = serde_json::to_string(&json).unwrap_or_default();
        line.push('\n');
        line
    }

    /// For people.
    pub(crate) fn to_words(&self) -> String {
        let mut text = String::from("\nwho led, by their own marks:\n");
        let begin = self.reigns.first().map_or(0, |(_, reign)| reign.begin);
        let width = self
            .reigns
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, reign) in &self.reigns {
            let (from, to) = (seconds(begin, reign.begin), seconds(begin, reign.end));
            let _ = writeln!(text, "  {name:width$}  {from:7.3} s to {to:7.3} s");
        }
        if let Some(change) = &self.takeover {
            let _ = write!(text, "takeover after the kill: {:.0} ms", change.gap_ms());
            if let Some(margin) = change.margin_ms() {
                let _ = write!(
                    text,
                    "\n  (frozen instead of killed, it would have stopped {margin:.0} ms before that)"
                );
            }
            text.push('\n');
        }
        if let Some(change) = &self.handover {
            let _ = writeln!(text, "handover when asked:     {:.1} ms", change.gap_ms());
        }
        let _ = match self.overlaps.len() {
            0 => write!(text, "two leaders at once:     never"),
            times => write!(
                text,
                "TWO LEADERS AT ONCE:     {times} times, {:.1} ms in all",
                ms(self.overlap_ns())
            ),
        };
        let _ = writeln!(
            text,
            "\n  ({} marks, one every {} ms; at most {:.1} ms without one)",
            self.marks,
            PERIOD_NS / 1_000_000,
            ms(self.widest_gap)
        );
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "a millisecond's fraction")]
fn ms(nanos: u64) -> f64 {
    ((nanos / 1000) as f64) / 1000.0
}

fn signed_ms(from: u64, to: u64) -> f64 {
    if to >= from {
        ms(to - from)
    } else {
        -ms(from - to)
    }
}

fn seconds(from: u64, to: u64) -> f64 {
    ms(to.saturating_sub(from)) / 1000.0
}

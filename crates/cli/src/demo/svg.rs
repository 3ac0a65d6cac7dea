//! The demo as a picture: one lane a candidate, on time.
//!
//! There is no background, and every colour can be read on white and on black, so that it looks
//! right in a document of either kind.

use std::fmt::{self, Write as _};

use super::{
    board::{State, What},
    summary::{Change, Summary},
};

const WIDTH: f64 = 920.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 92.0;
const LANE: f64 = 40.0;
const BAR: f64 = 18.0;

const INK: &str = "#768390";
const FAINT: &str = "#76839055";
const LEADS: &str = "#2da44e";
const KILLED: &str = "#e5534b";
const ASKED: &str = "#4184e4";

/// The picture as SVG.
pub(crate) fn picture(summary: &Summary, state: &State) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = Picture::of(summary, state).draw(&mut text);
    text
}

struct Picture<'a> {
    summary: &'a Summary,
    state: &'a State,
    begin: u64,
    end: u64,
    bottom: f64,
}

impl<'a> Picture<'a> {
    fn of(summary: &'a Summary, state: &'a State) -> Self {
        let reigns = summary.reigns.iter().map(|(_, reign)| reign.end);
        let moments = state.moments.iter().map(|moment| moment.at);
        let end = reigns.chain(moments).max().unwrap_or(0);
        Self {
            summary,
            state,
            begin: state.begin,
            end: end.max(state.begin + 1),
            bottom: TOP + LANE * count(state.lanes.len()),
        }
    }

    fn draw(&self, out: &mut String) -> fmt::Result {
        let height = self.bottom + 84.0;
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="{INK}">"#
        )?;
        let title = escape(&self.state.title);
        writeln!(out, "<title>An election on the {title}</title>")?;
        writeln!(
            out,
            "<desc>{}</desc>",
            escape(self.summary.to_words().trim())
        )?;
        writeln!(
            out,
            r#"<text x="{x}" y="24" font-size="16" font-weight="600">{title}</text>"#,
            x = 16
        )?;
        let (verdict, colour) = match self.summary.overlaps.len() {
            0 => ("two leaders at once: never", INK),
            _ => ("TWO LEADERS AT ONCE", KILLED),
        };
        writeln!(
            out,
            r#"<text x="{:.1}" y="24" text-anchor="end" fill="{colour}">{verdict}</text>"#,
            WIDTH - RIGHT
        )?;
        self.axis(out)?;
        self.change(
            out,
            self.summary.takeover.as_ref(),
            "takeover",
            KILLED,
            52.0,
        )?;
        self.change(out, self.summary.handover.as_ref(), "handover", ASKED, 74.0)?;
        for lane in 0..self.state.lanes.len() {
            self.lane(out, lane)?;
        }
        for overlap in &self.summary.overlaps {
            let (x, width) = self.span(overlap.begin, overlap.end);
            writeln!(
                out,
                r#"<rect x="{x:.1}" y="{TOP}" width="{width:.1}" height="{:.1}" fill="{KILLED}" fill-opacity="0.4"><title>two leaders at once</title></rect>"#,
                self.bottom - TOP
            )?;
        }
        Self::legend(out, height - 18.0)?;
        out.write_str("</svg>\n")
    }

    /// Seconds, with a line each.
    fn axis(&self, out: &mut String) -> fmt::Result {
        let seconds = (self.end - self.begin) / 1_000_000_000;
        let step = [1, 2, 5, 10, 20, 60]
            .into_iter()
            .find(|step| seconds / step <= 12)
            .unwrap_or(300);
        for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(self.begin + second * 1_000_000_000);
            writeln!(
                out,
                r#"<path d="M{x:.1} {TOP}V{:.1}" stroke="{FAINT}" stroke-width="1"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="11">{second} s</text>"#,
                self.bottom,
                self.bottom + 16.0
            )?;
        }
        Ok(())
    }

    /// The time without a leader, with its length above.
    fn change(
        &self,
        out: &mut String,
        change: Option<&Change>,
        name: &str,
        colour: &str,
        y: f64,
    ) -> fmt::Result {
        let Some(change) = change else { return Ok(()) };
        let (from, to) = (change.from.end, change.to.begin.max(change.from.end));
        let (x, width) = self.span(from, to);
        writeln!(
            out,
            r#"<rect x="{x:.1}" y="{:.1}" width="{width:.1}" height="{:.1}" fill="{colour}" fill-opacity="0.14"/>"#,
            y + 5.0,
            self.bottom - y - 5.0
        )?;
        let middle = x + width / 2.0;
        let gap = change.gap_ms();
        let gap = if gap.abs() < 10.0 {
            format!("{gap:.1}")
        } else {
            format!("{gap:.0}")
        };
        writeln!(
            out,
            r#"<text x="{middle:.1}" y="{y}" text-anchor="middle" fill="{colour}" font-weight="600">{name} {gap} ms</text>"#
        )
    }

    fn lane(&self, out: &mut String, lane: usize) -> fmt::Result {
        let y = TOP + LANE * (count(lane) + 0.5);
        let name = escape(self.state.name_of(lane));
        writeln!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#,
            LEFT - 12.0,
            y + 4.5
        )?;
        let mut alive_since = Some(self.begin);
        for moment in self.moments(lane) {
            match moment.what {
                What::Killed => {
                    if let Some(since) = alive_since.take() {
                        self.alive(out, since, moment.at, y)?;
                    }
                }
                What::StartedAgain => alive_since = Some(moment.at),
                _ => {}
            }
        }
        if let Some(since) = alive_since {
            self.alive(out, since, self.end, y)?;
        }
        for (_, reign) in &self.summary.reigns {
            if self.state.lane_of(reign.process) == lane {
                let (x, width) = self.span(reign.begin, reign.end);
                writeln!(
                    out,
                    r#"<rect x="{x:.1}" y="{:.1}" width="{width:.1}" height="{BAR}" rx="3" fill="{LEADS}"><title>{name} leads for {} ms, shown by {} marks</title></rect>"#,
                    y - BAR / 2.0,
                    (reign.end - reign.begin) / 1_000_000,
                    reign.marks
                )?;
            }
        }
        for moment in self.moments(lane) {
            let x = self.x(moment.at);
            match moment.what {
                What::Killed => cross(out, x, y)?,
                What::AskedToStepDown => diamond(out, x, y)?,
                What::StartedAgain => circle(out, x, y)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn alive(&self, out: &mut String, from: u64, to: u64, y: f64) -> fmt::Result {
        let (from, to) = (self.x(from), self.x(to));
        writeln!(
            out,
            r#"<path d="M{from:.1} {y}H{to:.1}" stroke="{INK}" stroke-width="2"/>"#
        )
    }

    fn legend(out: &mut String, y: f64) -> fmt::Result {
        let bar_y = y - BAR / 2.0 - 4.0;
        writeln!(
            out,
            r#"<rect x="{LEFT}" y="{bar_y}" width="26" height="{BAR}" rx="3" fill="{LEADS}"/>"#
        )?;
        let line = y - 4.0;
        writeln!(
            out,
            r#"<path d="M{}  {line}h26" stroke="{INK}" stroke-width="2"/>"#,
            LEFT + 232.0
        )?;
        cross(out, LEFT + 366.0, line)?;
        circle(out, LEFT + 474.0, line)?;
        diamond(out, LEFT + 596.0, line)?;
        for (x, words) in [
            (34.0, "leads, by its own marks"),
            (266.0, "stands by"),
            (380.0, "SIGKILL"),
            (486.0, "started again"),
            (610.0, "asked to hand over"),
        ] {
            writeln!(out, r#"<text x="{:.1}" y="{y}">{words}</text>"#, LEFT + x)?;
        }
        Ok(())
    }

    fn moments(&self, lane: usize) -> impl Iterator<Item = &super::board::Moment> {
        self.state
            .moments
            .iter()
            .filter(move |moment| moment.lane == lane)
    }

    fn x(&self, at: u64) -> f64 {
        let at = at.clamp(self.begin, self.end) - self.begin;
        LEFT + (WIDTH - LEFT - RIGHT) * ratio(at, self.end - self.begin)
    }

    /// Where a stretch begins, and how wide it is: wide enough to be seen.
    fn span(&self, from: u64, to: u64) -> (f64, f64) {
        let (from, to) = (self.x(from), self.x(to));
        (from, (to - from).max(1.5))
    }
}

fn cross(out: &mut String, x: f64, y: f64) -> fmt::Result {
    writeln!(
        out,
        r#"<path d="M{:.1} {:.1}l12 12m0 -12l-12 12" stroke="{KILLED}" stroke-width="3" stroke-linecap="round"/>"#,
        x - 6.0,
        y - 6.0
    )
}

fn diamond(out: &mut String, x: f64, y: f64) -> fmt::Result {
    writeln!(
        out,
        r#"<path d="M{x:.1} {:.1}l7 7l-7 7l-7 -7z" fill="{ASKED}"/>"#,
        y - 7.0
    )
}

fn circle(out: &mut String, x: f64, y: f64) -> fmt::Result {
    writeln!(
        out,
        r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{INK}"/>"#
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a picture has a thousand points"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "there are at most twenty lanes")]
fn count(number: usize) -> f64 {
    number as f64
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::demo::{
        board::{Board, Moment},
        marks::{Mark, Writer},
        plan::Lock,
        script::Story,
    };

    const MS: u64 = 1_000_000;
    const BEGIN: u64 = 7_000 * MS;

    fn marks(file: &Path, term: u32, from: u64, to: u64) {
        let mut writer = Writer::open(file).unwrap();
        for at in (from..=to).step_by(20) {
            let at = BEGIN + at * MS;
            writer
                .write(Mark {
                    before: at,
                    after: at + 500,
                    valid_until: at + 2_000 * MS,
                    term,
                    leading: true,
                })
                .unwrap();
        }
    }

    /// Two candidates: the first is killed and started again, the second hands over to it.
    /// `early` is how long the second began before the first had ended.
    fn demo(directory: &Path, early: u64) -> (Summary, Board) {
        let names = ["candidate-1".to_owned(), "candidate-2 <&>".to_owned()];
        let board = Board::new("Lease demo".into(), BEGIN, 20_000 * MS, &names);
        let file = |number: u64| directory.join(number.to_string());
        for (number, lane) in [(0, 0), (1, 1), (2, 0)] {
            board.add_process(lane, &file(number)).unwrap();
        }
        marks(&file(0), 1, 100, 2_100);
        marks(&file(1), 1, 6_100 - early, 8_000);
        marks(&file(2), 1, 8_020, 10_000);
        let mut state = board.read();
        for (at, lane, what) in [
            (2_120, 0, What::Killed),
            (6_100, 0, What::StartedAgain),
            (7_990, 1, What::AskedToStepDown),
            (8_001, 1, What::SteppedDown),
        ] {
            let at = BEGIN + at * MS;
            state.moments.push(Moment { at, lane, what });
        }
        state.catch_up().unwrap();
        let story = Story {
            killed: Some((0, BEGIN + 2_120 * MS)),
            asked: Some((1, BEGIN + 7_990 * MS)),
        };
        let summary = Summary::new(Lock::Lease { short: true }, &state, story);
        drop(state);
        (summary, board)
    }

    #[test]
    fn the_picture_is_the_one_that_people_know() {
        let directory = tempfile::tempdir().unwrap();
        let (summary, board) = demo(directory.path(), 0);
        let drawn = picture(&summary, &board.read());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/testdata/picture.svg");
        if std::env::var_os("TENURE_BLESS").is_some() {
            std::fs::write(&golden, &drawn).unwrap();
        }
        assert_eq!(drawn, std::fs::read_to_string(golden).unwrap());
    }

    #[test]
    fn two_leaders_at_once_are_to_be_seen() {
        let directory = tempfile::tempdir().unwrap();
        let (summary, board) = demo(directory.path(), 4_500);
        let drawn = picture(&summary, &board.read());
        assert!(drawn.contains("TWO LEADERS AT ONCE"), "{drawn}");
        assert!(
            drawn.contains("<title>two leaders at once</title>"),
            "{drawn}"
        );
    }
}

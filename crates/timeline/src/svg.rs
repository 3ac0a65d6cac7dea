//! The picture.
//!
//! There is no background, and every colour can be read on white and on black, so that it looks
//! right in a document of either kind.

use std::fmt::{self, Write as _};

use crate::{Bar, Event, Kind, Lane, Mark, Sign, Span, Timeline, Tone};

const WIDTH: f64 = 920.0;
/// The least room for the names.
const LEFT: f64 = 118.0;
const RIGHT: f64 = 40.0;
/// The baseline of the first row of words above the lanes.
const FIRST_ROW: f64 = 52.0;
const ROW: f64 = 22.0;
const LANE: f64 = 40.0;
const SLIM: f64 = 20.0;
const BAR: f64 = 18.0;
const KEYS: f64 = 26.0;
const FONT: f64 = 13.0;
const SMALL: f64 = 11.0;

const INK: &str = "#768390";
const FAINT: &str = "#76839055";
const LEADS: &str = "#2da44e";
const BAD: &str = "#e5534b";
const ASKED: &str = "#4184e4";
const FAULT: &str = "#c77c22";

/// The timeline as an SVG document.
pub fn svg(timeline: &Timeline) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = Picture::of(timeline).draw(&mut text);
    text
}

/// See [`Timeline::stack_spans`].
pub(crate) fn stack_spans(timeline: &mut Timeline) {
    let picture = Picture::of(timeline);
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = Vec::new();
    for span in &timeline.spans {
        let (middle, half) = picture.words_of(span);
        let row = ends.iter().position(|end| *end + 12.0 < middle - half);
        let row = row.unwrap_or_else(|| {
            ends.push(0.0);
            ends.len() - 1
        });
        ends[row] = middle + half;
        rows.push(row);
    }
    for (span, row) in timeline.spans.iter_mut().zip(rows) {
        span.row = row;
    }
}

struct Picture<'a> {
    timeline: &'a Timeline,
    left: f64,
    top: f64,
    bottom: f64,
}

impl<'a> Picture<'a> {
    fn of(timeline: &'a Timeline) -> Self {
        let rows = timeline.spans.iter().map(|span| span.row + 1).max();
        let top = FIRST_ROW - 4.0 + ROW * count(rows.unwrap_or(0).max(2));
        let names = timeline
            .lanes
            .iter()
            .map(|lane| width(&lane.name, if lane.slim { SMALL } else { FONT }) + 24.0);
        Self {
            timeline,
            left: names.fold(LEFT, f64::max),
            top,
            bottom: top + timeline.lanes.iter().map(height).sum::<f64>(),
        }
    }

    fn draw(&self, out: &mut String) -> fmt::Result {
        let Timeline {
            title,
            spoken_title,
            description,
            ..
        } = self.timeline;
        let keys = self.keys();
        let lines = keys.last().map_or(0, |(_, line, _)| *line);
        let height = self.bottom + 84.0 + KEYS * count(lines);
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="{FONT}" fill="{INK}">"#
        )?;
        let spoken = if spoken_title.is_empty() {
            title
        } else {
            spoken_title
        };
        writeln!(out, "<title>{}</title>", escape(spoken))?;
        if !description.is_empty() {
            writeln!(out, "<desc>{}</desc>", escape(description))?;
        }
        writeln!(
            out,
            r#"<text x="{x}" y="24" font-size="16" font-weight="600">{}</text>"#,
            escape(title),
            x = 16
        )?;
        if let Some(verdict) = &self.timeline.verdict {
            writeln!(
                out,
                r#"<text x="{:.1}" y="24" text-anchor="end" fill="{}">{}</text>"#,
                WIDTH - RIGHT,
                if verdict.good { INK } else { BAD },
                escape(&verdict.words)
            )?;
        }
        self.axis(out)?;
        for span in &self.timeline.spans {
            self.span(out, span)?;
        }
        let mut top = self.top;
        for lane in &self.timeline.lanes {
            self.lane(out, lane, top)?;
            top += self::height(lane);
        }
        for overlap in &self.timeline.overlaps {
            let (x, width) = self.stretch(overlap.from, overlap.to);
            writeln!(
                out,
                r#"<rect x="{x:.1}" y="{}" width="{width:.1}" height="{:.1}" fill="{BAD}" fill-opacity="0.4">{}</rect>"#,
                self.top,
                self.bottom - self.top,
                titled(&overlap.title)
            )?;
        }
        self.legend(out, &keys)?;
        out.write_str("</svg>\n")
    }

    /// Seconds, with a line each; tenths where there are no two seconds.
    fn axis(&self, out: &mut String) -> fmt::Result {
        const TENTH: u64 = 100_000_000;
        let Timeline {
            begin, end, zero, ..
        } = self.timeline;
        let shown = end.saturating_sub(*begin) / TENTH;
        let whole = [10, 20, 50, 100, 200, 600];
        let step = match shown {
            0..10 => 1,
            10..20 => 2,
            _ => whole
                .into_iter()
                .find(|step| shown / step <= 12)
                // However long it was, there are few lines.
                .unwrap_or_else(|| (shown / 12).next_multiple_of(600).max(600)),
        };
        let first = begin
            .saturating_sub(*zero)
            .div_ceil(TENTH)
            .next_multiple_of(step);
        let last = end.saturating_sub(*zero) / TENTH;
        for tenth in (first..=last).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(zero + tenth * TENTH);
            let label = match tenth % 10 {
                0 => format!("{} s", tenth / 10),
                rest => format!("{}.{rest} s", tenth / 10),
            };
            writeln!(
                out,
                r#"<path d="M{x:.1} {}V{:.1}" stroke="{FAINT}" stroke-width="1"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="{SMALL}">{label}</text>"#,
                self.top,
                self.bottom,
                self.bottom + 16.0
            )?;
        }
        Ok(())
    }

    fn span(&self, out: &mut String, span: &Span) -> fmt::Result {
        let colour = match span.tone {
            Tone::Bad => BAD,
            Tone::Asked => ASKED,
        };
        let y = FIRST_ROW + ROW * count(span.row);
        let (x, width) = self.stretch(span.from, span.to);
        // A moment is a line, and a stretch is a shade.
        let opacity = if span.from == span.to { 0.8 } else { 0.14 };
        writeln!(
            out,
            r#"<rect x="{x:.1}" y="{:.1}" width="{width:.1}" height="{:.1}" fill="{colour}" fill-opacity="{opacity}"/>"#,
            y + 5.0,
            self.bottom - y - 5.0
        )?;
        let (middle, _) = self.words_of(span);
        writeln!(
            out,
            r#"<text x="{middle:.1}" y="{y}" text-anchor="middle" fill="{colour}" font-weight="600">{}</text>"#,
            escape(&span.words)
        )
    }

    /// Where the middle of a span's words is, and half of their width.
    fn words_of(&self, span: &Span) -> (f64, f64) {
        let (x, length) = self.stretch(span.from, span.to);
        let half = width(&span.words, FONT) / 2.0;
        let most = (WIDTH - 8.0 - half).max(half);
        ((x + length / 2.0).clamp(half.min(most), most), half)
    }

    fn lane(&self, out: &mut String, lane: &Lane, top: f64) -> fmt::Result {
        let y = top + height(lane) / 2.0;
        let name = escape(&lane.name);
        if lane.slim {
            writeln!(
                out,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end" font-size="{SMALL}">{name}</text>"#,
                self.left - 12.0,
                y + 4.0
            )?;
        } else {
            writeln!(
                out,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#,
                self.left - 12.0,
                y + 4.5
            )?;
        }
        for bar in lane.bars.iter().filter(|bar| self.shows(bar)) {
            self.bar(out, bar, y)?;
        }
        for mark in lane.marks.iter().filter(|mark| self.shows_mark(mark)) {
            draw_mark(out, mark.event, self.x(mark.at), y, &mark.title)?;
        }
        Ok(())
    }

    fn shows(&self, bar: &Bar) -> bool {
        bar.to >= self.timeline.begin && bar.from <= self.timeline.end
    }

    fn shows_mark(&self, mark: &Mark) -> bool {
        (self.timeline.begin..=self.timeline.end).contains(&mark.at)
    }

    fn bar(&self, out: &mut String, bar: &Bar, y: f64) -> fmt::Result {
        let (x, length) = self.stretch(bar.from, bar.to);
        if bar.kind == Kind::Waits {
            return draw_waiting(out, x, self.x(bar.to), y);
        }
        draw_bar(out, bar.kind, x, y, length, &bar.title)?;
        if !bar.label.is_empty() && width(&bar.label, SMALL) + 6.0 < length {
            writeln!(
                out,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" font-size="{SMALL}">{}</text>"#,
                x + length / 2.0,
                y + 4.0,
                escape(&bar.label)
            )?;
        }
        Ok(())
    }

    /// Where each sign of the legend begins, in which line, and where its words do.
    fn keys(&self) -> Vec<(f64, usize, f64)> {
        let (mut x, mut line) = (0.0, 0);
        let mut places = Vec::new();
        for key in &self.timeline.keys {
            let words = match key.sign {
                Sign::Bar(_) => 34.0,
                Sign::Mark(Event::Started) => 12.0,
                Sign::Mark(_) => 14.0,
            };
            let length = words + width(&key.words, FONT);
            if x > 0.0 && self.left + x + length > WIDTH - 8.0 {
                // A mark is drawn around its place, a bar from it.
                x = if matches!(key.sign, Sign::Mark(_)) {
                    7.0
                } else {
                    0.0
                };
                line += 1;
            }
            places.push((self.left + x, line, self.left + x + words));
            x += key.room.unwrap_or(length + 24.0);
        }
        places
    }

    fn legend(&self, out: &mut String, places: &[(f64, usize, f64)]) -> fmt::Result {
        let baseline = |line: usize| self.bottom + 66.0 + KEYS * count(line);
        for (key, (x, line, _)) in self.timeline.keys.iter().zip(places) {
            let middle = baseline(*line) - 4.0;
            match key.sign {
                Sign::Bar(Kind::Waits) => draw_waiting(out, *x, x + 26.0, middle)?,
                Sign::Bar(kind) => draw_bar(out, kind, *x, middle, 26.0, "")?,
                Sign::Mark(event) => draw_mark(out, event, *x, middle, "")?,
            }
        }
        for (key, (_, line, x)) in self.timeline.keys.iter().zip(places) {
            writeln!(
                out,
                r#"<text x="{x:.1}" y="{}">{}</text>"#,
                baseline(*line),
                escape(&key.words)
            )?;
        }
        Ok(())
    }

    fn x(&self, at: u64) -> f64 {
        let Timeline { begin, end, .. } = self.timeline;
        let end = (*end).max(begin.saturating_add(1));
        let at = at.clamp(*begin, end) - begin;
        self.left + (WIDTH - self.left - RIGHT) * ratio(at, end - begin)
    }

    /// Where a stretch begins, and how wide it is: wide enough to be seen.
    fn stretch(&self, from: u64, to: u64) -> (f64, f64) {
        let (from, to) = (self.x(from), self.x(to));
        (from, (to - from).max(1.5))
    }
}

fn draw_waiting(out: &mut String, from: f64, to: f64, y: f64) -> fmt::Result {
    writeln!(
        out,
        r#"<path d="M{from:.1} {y}H{to:.1}" stroke="{INK}" stroke-width="2"/>"#
    )
}

fn draw_bar(out: &mut String, kind: Kind, x: f64, y: f64, length: f64, title: &str) -> fmt::Result {
    let (height, look) = match kind {
        Kind::Waits => (2.0, format!(r#"fill="{INK}""#)),
        Kind::Leads => (BAR, format!(r#"rx="3" fill="{LEADS}""#)),
        Kind::Sleeps => (
            BAR + 8.0,
            format!(
                r#"rx="3" fill="{INK}" fill-opacity="0.3" stroke="{INK}" stroke-dasharray="4 3""#
            ),
        ),
        Kind::Holds => (
            BAR,
            format!(r#"rx="3" fill="{INK}" fill-opacity="0.12" stroke="{INK}""#),
        ),
        Kind::Fault => (8.0, format!(r#"rx="2" fill="{FAULT}" fill-opacity="0.45""#)),
    };
    let y = y - height / 2.0;
    writeln!(
        out,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{length:.1}" height="{height}" {look}{}"#,
        match titled(title) {
            title if title.is_empty() => "/>".to_owned(),
            title => format!(">{title}</rect>"),
        }
    )
}

fn draw_mark(out: &mut String, event: Event, x: f64, y: f64, title: &str) -> fmt::Result {
    let shape = match event {
        Event::Killed => format!(
            r#"path d="M{:.1} {:.1}l12 12m0 -12l-12 12" stroke="{BAD}" stroke-width="3" stroke-linecap="round""#,
            x - 6.0,
            y - 6.0
        ),
        Event::Asked => format!(
            r#"path d="M{x:.1} {:.1}l7 7l-7 7l-7 -7z" fill="{ASKED}""#,
            y - 7.0
        ),
        Event::Started => format!(r#"circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{INK}""#),
        Event::Struck => format!(
            r#"path d="M{x:.1} {:.1}v14" stroke="{FAULT}" stroke-width="2""#,
            y - 7.0
        ),
    };
    match titled(title) {
        title if title.is_empty() => writeln!(out, "<{shape}/>"),
        title => {
            let name = shape.split(' ').next().unwrap_or_default();
            writeln!(out, "<{shape}>{title}</{name}>")
        }
    }
}

fn titled(title: &str) -> String {
    if title.is_empty() {
        return String::new();
    }
    format!("<title>{}</title>", escape(title))
}

fn height(lane: &Lane) -> f64 {
    if lane.slim { SLIM } else { LANE }
}

/// About how wide a text is: a little more than it is in any of the fonts that are asked for.
fn width(text: &str, size: f64) -> f64 {
    let letters: f64 = text
        .chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '(' | ')' => 0.4,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 1.0,
            'A'..='Z' => 0.75,
            _ => 0.64,
        })
        .sum();
    letters * size
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a picture has a thousand points"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "there are few lanes")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The text as SVG takes it. Signs that no XML document may hold become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(' ');
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

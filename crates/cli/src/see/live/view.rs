//! Locks and lanes, as they are drawn.

use std::collections::BTreeSet;

use ratatui::{
    Frame,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    board::{Board, Key, Track},
    choice::{Choice, Order},
};
use crate::see::{
    judge::{Judgement, Moment, Word, judge},
    lock::Lock,
    pods::Pod,
    text::{columns, cut, harmless, span, wrap},
};

/// What is drawn.
pub(super) struct Seen<'a> {
    pub(super) board: &'a Board,
    pub(super) pods: Option<&'a [Pod]>,
    pub(super) moment: Moment,
    pub(super) trouble: &'a [&'a str],
    pub(super) colours: bool,
}

/// Below that a title has a line to itself.
const LEAST_TITLE: usize = 12;

const HELD: char = '█';
const STANDS: char = '─';
const NOBODY: char = '·';
const OVERLAP: char = '!';

pub(super) fn picture(frame: &mut Frame<'_>, seen: &Seen<'_>, choice: &mut Choice) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    // The board goes by this machine's clock, the judgement by the server's.
    let now = seen
        .moment
        .now
        .saturating_sub(seen.moment.ahead.unwrap_or_default());
    let rows = rows(seen, choice);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let passed = span(now.saturating_sub(seen.board.begin));
    let order = match choice.order {
        Order::Name => "name",
        Order::Holder => "holder",
        Order::Health => "health",
        Order::Newest => "newest",
    };
    let mut lines = vec![Line::styled(
        cut(
            &format!("{}, {passed}, by {order}", counted(rows.len())),
            width,
        ),
        bold,
    )];
    let keys = if choice.typing || !choice.filter.is_empty() {
        format!(
            "/{}{}  Esc: all",
            harmless(&choice.filter),
            if choice.typing { "_" } else { "" }
        )
    } else {
        "q end  / filter  s sort  ↑↓ scroll".to_owned()
    };
    let mut body: Vec<Line<'static>> = rows
        .iter()
        .flat_map(|(key, track, judgement)| {
            lanes(seen, choice, key, track, judgement.as_ref(), width, now)
        })
        .collect();
    if body.is_empty() {
        let told = if choice.filter.is_empty() {
            "No lock is there yet: who holds one appears here."
        } else {
            "No lock fits the filter."
        };
        body.extend(wrap(told, width, 0).into_iter().map(Line::raw));
    }
    let tail = seen.trouble.len().min(2);
    let room = height.saturating_sub(2 + tail);
    choice.scrolled = choice.scrolled.min(body.len().saturating_sub(room));
    let shown = body.into_iter().skip(choice.scrolled).take(room);
    lines.extend(shown);
    while lines.len() < height.saturating_sub(1 + tail) {
        lines.push(Line::default());
    }
    lines.extend(
        seen.trouble
            .iter()
            .take(tail)
            .map(|told| Line::raw(cut(told, width))),
    );
    lines.push(Line::styled(
        cut(&keys, width),
        Style::new().add_modifier(Modifier::DIM),
    ));
    frame.render_widget(Paragraph::new(lines), area);
}

fn counted(locks: usize) -> String {
    match locks {
        1 => "1 lock".to_owned(),
        many => format!("{many} locks"),
    }
}

type Row<'a> = (&'a Key, &'a Track, Option<Judgement>);

/// The locks that are wanted, in the order that is.
fn rows<'a>(seen: &Seen<'a>, choice: &Choice) -> Vec<Row<'a>> {
    let wanted = |key: &Key, track: &Track| {
        let holder = track
            .lock
            .as_ref()
            .and_then(|lock| lock.holder())
            .unwrap_or_default();
        let texts = [key.0.as_str(), key.1.as_str(), key.2.as_str(), holder];
        texts.iter().any(|text| text.contains(&choice.filter))
    };
    let mut rows: Vec<Row<'a>> = seen
        .board
        .tracks
        .iter()
        .filter(|(key, track)| wanted(key, track))
        .map(|(key, track)| {
            let judgement = track
                .lock
                .as_ref()
                .map(|lock| judge(lock, seen.pods, seen.moment));
            (key, track, judgement)
        })
        .collect();
    match choice.order {
        Order::Name => rows.sort_by(|(a, ..), (b, ..)| (&a.0, &a.2, &a.1).cmp(&(&b.0, &b.2, &b.1))),
        Order::Holder => rows.sort_by(|(_, a, _), (_, b, _)| {
            let holder = |track: &Track| track.present().map(|term| term.holder.clone());
            holder(a).cmp(&holder(b))
        }),
        Order::Health => rows.sort_by_key(|(_, _, judgement)| match judgement {
            Some(judgement) => judgement.words.first().copied().map_or(99, Word::weight),
            None => 98,
        }),
        Order::Newest => rows.sort_by_key(|(_, track, _)| {
            std::cmp::Reverse(track.terms.last().map(|term| term.from))
        }),
    }
    rows
}

/// A line about the lock, and one for each who holds it, has held it, or waits.
fn lanes(
    seen: &Seen<'_>,
    choice: &Choice,
    key: &Key,
    track: &Track,
    judgement: Option<&Judgement>,
    width: usize,
    now: i64,
) -> Vec<Line<'static>> {
    let paint = |colour: Color| {
        if seen.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    };
    let (told, colour) = match judgement {
        Some(judgement) => {
            let bad = judgement.words.iter().any(|word| word.is_bad());
            let free = judgement.is(Word::Free) || judgement.is(Word::Paused);
            let colour = if bad {
                Color::Red
            } else if free {
                Color::Yellow
            } else {
                Color::Green
            };
            let left = judgement.expires_in.filter(|_| judgement.is(Word::Healthy));
            let left = left
                .map(|left| format!(" {}", span(left)))
                .unwrap_or_default();
            (format!("{}{left}", judgement.told()), colour)
        }
        None => ("gone".to_owned(), Color::DarkGray),
    };
    let told = cut(&told, width);
    let (namespace, kind, name) = key;
    let title = if choice.namespaces {
        format!("{namespace}/{name}")
    } else {
        name.clone()
    };
    let title = if width < 60 {
        title
    } else {
        format!("{title} ({kind})")
    };
    let title = harmless(&title);
    let bold = |title: &str, room: usize| {
        Span::styled(cut(title, room), Style::new().add_modifier(Modifier::BOLD))
    };
    let room = width.saturating_sub(columns(&told) + 1);
    let mut lines = if room >= LEAST_TITLE.min(columns(&title)) {
        let title = bold(&title, room);
        let pad = width.saturating_sub(title.width() + columns(&told));
        let told = Span::styled(told, paint(colour));
        vec![Line::from(vec![title, Span::raw(" ".repeat(pad)), told])]
    } else {
        vec![
            Line::from(bold(&title, width)),
            Line::styled(told, paint(colour)),
        ]
    };
    let label = if width < 60 { 14 } else { 30 }.min(width / 2);
    let bar = Bar {
        begin: seen.board.begin,
        now,
        width: width.saturating_sub(label + 3),
    };
    let mut lane = |name: &str, cells: Vec<char>| {
        let name = cut(&harmless(name), label);
        let pad = " ".repeat(label.saturating_sub(columns(&name)) + 1);
        let mut spans = vec![Span::raw(format!("  {name}{pad}"))];
        spans.extend(cells.chunk_by(|a, b| a == b).map(|same| {
            let colour = match same.first() {
                Some(&HELD) => Color::Green,
                Some(&OVERLAP) => Color::Red,
                Some(&NOBODY) => Color::Yellow,
                _ => Color::DarkGray,
            };
            Span::styled(same.iter().collect::<String>(), paint(colour))
        }));
        lines.push(Line::from(spans));
    };
    // Where nobody held it, or two might have, is a lane of its own.
    let gaps = bar.gaps(track);
    if gaps.iter().any(|cell| *cell != ' ') {
        lane("(nobody, overlaps)", gaps);
    }
    let mut known = BTreeSet::new();
    for term in track.terms.iter().rev() {
        if known.insert(term.holder.as_str()) {
            lane(&term.holder, bar.terms(track, &term.holder));
        }
    }
    // It stood there before the watching began, and was over by then.
    let holder = track.lock.as_ref().and_then(Lock::holder);
    if let Some(holder) = holder.filter(|holder| !known.contains(holder)) {
        known.insert(holder);
        lane(holder, vec![' '; bar.width]);
    }
    let waiting = judgement
        .iter()
        .filter_map(|judgement| judgement.waiting.as_ref())
        .flatten();
    for name in waiting {
        // A holder's identity begins with its Pod's name.
        if !known
            .iter()
            .any(|holder| holder.split('_').next() == Some(name.as_str()))
        {
            lane(name, vec![STANDS; bar.width]);
        }
    }
    lines
}

/// Time since the beginning, a character a step.
struct Bar {
    begin: i64,
    now: i64,
    width: usize,
}

impl Bar {
    fn step(&self, at: i64) -> usize {
        let whole = i128::from(self.now.saturating_sub(self.begin).max(1));
        let since = i128::from(at.saturating_sub(self.begin)).clamp(0, whole);
        let steps = i128::try_from(self.width).unwrap_or(0);
        let step = usize::try_from(since * steps / whole).unwrap_or(0);
        step.min(self.width.saturating_sub(1))
    }

    fn fill(&self, cells: &mut [char], from: i64, to: i64, with: char) {
        let (from, to) = (self.step(from), self.step(to));
        if let Some(cells) = cells.get_mut(from..=to.max(from)) {
            cells.fill(with);
        }
    }

    fn terms(&self, track: &Track, holder: &str) -> Vec<char> {
        let mut cells = vec![' '; self.width];
        for term in track.terms.iter().filter(|term| term.holder == holder) {
            self.fill(&mut cells, term.from, term.to.unwrap_or(self.now), HELD);
        }
        cells
    }

    fn gaps(&self, track: &Track) -> Vec<char> {
        let mut cells = vec![' '; self.width];
        let ends = track.terms.iter().map(|term| term.to);
        let next = track
            .terms
            .iter()
            .skip(1)
            .map(|term| term.from)
            .chain([self.now]);
        for (from, to) in ends.zip(next) {
            if let Some(from) = from.filter(|from| *from < to) {
                self.fill(&mut cells, from, to, NOBODY);
            }
        }
        for (from, to) in &track.overlaps {
            self.fill(&mut cells, *from, (*to).min(self.now), OVERLAP);
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{
        Terminal,
        backend::TestBackend,
        crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    };
    use serde_json::json;

    use super::*;
    use crate::see::{kind::Kind, live::choice::Pressed, lock::Lock};

    const S: i64 = 1_000_000;

    fn lease(name: &str, holder: &str) -> Lock {
        let object = json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:00:09Z"},
        });
        Lock::read(Kind::Lease, &object, true).unwrap()
    }

    fn board() -> Board {
        let mut board = Board::new(0);
        board.seen(0, false, lease("nightly", "worker-0_x"));
        board.seen(4 * S, false, lease("nightly", ""));
        board.seen(6 * S, false, lease("nightly", "worker-1_\x1b[2J"));
        board.seen(2 * S, false, lease("reports", "worker-2_x"));
        board
    }

    fn shown(width: u16, height: u16, choice: &mut Choice) -> Vec<String> {
        drawn(&board(), width, height, choice)
    }

    fn drawn(board: &Board, width: u16, height: u16, choice: &mut Choice) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let moment = Moment {
            now: 10 * S,
            within: 0,
            ahead: Some(0),
        };
        let trouble = ["pods are not shown"];
        let seen = Seen {
            board,
            pods: None,
            moment,
            trouble: &trouble,
            colours: false,
        };
        terminal
            .draw(|frame| picture(frame, &seen, choice))
            .unwrap();
        let buffer = terminal.backend().buffer();
        buffer
            .content()
            .chunks(usize::from(width))
            .map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect())
            .collect()
    }

    fn press(choice: &mut Choice, code: KeyCode) -> Pressed {
        choice.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn lanes_show_who_held_it_and_when_nobody_did() {
        let lines = shown(80, 12, &mut Choice::default());
        let text = lines.join("\n");
        let lane = |name: &str| lines.iter().find(|line| line.contains(name)).unwrap();
        assert!(lane("nightly (Lease)").contains("healthy 14s"), "{text}");
        assert!(lane("worker-0_x").trim_end().ends_with('█'), "{text}");
        assert!(lane("(nobody").contains("····"), "{text}");
        assert!(
            lane("worker-1_\\u{1b}[2J").trim_end().ends_with('█'),
            "{text}"
        );
        assert!(
            text.contains("pods are not shown") && text.contains("q end"),
            "{text}"
        );
    }

    #[test]
    fn a_picture_fits_any_terminal() {
        for (width, height) in [(200, 50), (40, 12), (20, 3), (5, 2), (1, 1)] {
            let lines = shown(width, height, &mut Choice::default());
            assert_eq!(lines.len(), usize::from(height));
        }
        let narrow = shown(40, 12, &mut Choice::default()).join("\n");
        assert!(
            narrow.contains("nightly") && narrow.contains("healthy"),
            "{narrow}"
        );
    }

    #[test]
    fn a_locks_name_stays_where_its_words_leave_no_room() {
        let mut board = Board::new(0);
        let mut odd = lease("nightly-backup", "worker-0");
        odd.remarks.push("odd".to_owned());
        odd.paused = Some("paused".to_owned());
        board.seen(0, false, odd);
        let text = drawn(&board, 20, 8, &mut Choice::default()).join("\n");
        assert!(
            text.contains("nightly-backup") && text.contains("paused,strange"),
            "{text}"
        );
    }

    #[test]
    fn where_there_is_nothing_to_show_that_is_said() {
        let text = drawn(&Board::new(0), 80, 8, &mut Choice::default()).join("\n");
        assert!(text.contains("No lock is there yet"), "{text}");
        let mut choice = Choice {
            filter: "nobody".to_owned(),
            ..Choice::default()
        };
        let text = shown(80, 8, &mut choice).join("\n");
        assert!(text.contains("No lock fits the filter"), "{text}");
    }

    #[test]
    fn keys_filter_and_sort_and_end() {
        let mut choice = Choice::default();
        for code in [
            KeyCode::Char('/'),
            KeyCode::Char('r'),
            KeyCode::Char('q'),
            KeyCode::Backspace,
            KeyCode::Char('e'),
        ] {
            assert_eq!(press(&mut choice, code), Pressed::On, "{code:?}");
        }
        assert_eq!(press(&mut choice, KeyCode::Enter), Pressed::On);
        let text = shown(80, 12, &mut choice).join("\n");
        assert!(
            text.contains("reports") && !text.contains("nightly"),
            "{text}"
        );
        press(&mut choice, KeyCode::Esc);
        for _ in 0..3 {
            press(&mut choice, KeyCode::Char('s'));
        }
        let text = shown(80, 12, &mut choice).join("\n");
        // By the newest term.
        assert!(text.find("nightly") < text.find("reports"), "{text}");
        assert!(text.contains("by newest"), "{text}");
        press(&mut choice, KeyCode::End);
        let text = shown(80, 5, &mut choice).join("\n");
        assert!(text.contains("worker-2_x"), "{text}");
        press(&mut choice, KeyCode::PageDown);
        shown(80, 12, &mut choice);
        assert_eq!(choice.scrolled, 0, "there is nothing to scroll to");
        assert_eq!(press(&mut choice, KeyCode::Char('q')), Pressed::End);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(choice.press(interrupt), Pressed::Interrupt);
    }
}

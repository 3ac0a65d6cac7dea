//! The demo as it happens: lines, or a picture of lanes in a terminal.

use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    crossterm,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    board::{Board, LaneState, Moment, State, What},
    plan::Lock,
    words,
};
use crate::console;

/// Where the demo is shown.
pub(crate) struct View(How);

enum How {
    Silent,
    /// Lines on standard output.
    Lines,
    /// Lines on standard error.
    Notes,
    /// Drawn by a thread of its own.
    Live(Mutex<Option<Drawing>>),
}

struct Drawing {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

const FRAME: Duration = Duration::from_millis(100);

impl View {
    pub(crate) fn silent() -> Self {
        Self(How::Silent)
    }

    pub(crate) fn lines() -> Self {
        Self(How::Lines)
    }

    pub(crate) fn notes() -> Self {
        Self(How::Notes)
    }

    /// Lanes in the terminal. Lines, where that cannot be drawn on.
    pub(crate) fn live(board: Board, lock: Lock) -> Self {
        let lanes = u16::try_from(board.read().lanes.len()).unwrap_or(u16::MAX / 2);
        let options = TerminalOptions {
            viewport: Viewport::Inline(lanes + FRAME_LINES),
        };
        // Lanes that do not fit would tell less than lines do.
        let fits = crossterm::terminal::size().is_ok_and(|(_, rows)| rows > lanes + FRAME_LINES);
        if !fits {
            return Self::lines();
        }
        let backend = CrosstermBackend::new(io::stdout());
        let Ok(terminal) = Terminal::with_options(backend, options) else {
            return Self::lines();
        };
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || draw_until(terminal, &board, lock, &stopped));
        match thread {
            Ok(thread) => Self(How::Live(Mutex::new(Some(Drawing { stop, thread })))),
            Err(_) => Self::lines(),
        }
    }

    /// Shows what happened, where it is not drawn anyway.
    pub(crate) fn tell(&self, state: &State, lock: Lock, moment: &Moment) {
        let line = || words::line(state, lock, moment);
        match &self.0 {
            How::Silent | How::Live(_) => {}
            How::Lines => {
                // A reader that is gone does not end the demo: what it made must be removed.
                let _ = console::print(&format!("{}\n", line()));
            }
            How::Notes => console::note(&line()),
        }
    }

    /// Leaves the terminal with the last picture in it.
    pub(crate) fn end(&self) {
        if let How::Live(drawing) = &self.0 {
            let drawing = drawing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(Drawing { stop, thread }) = drawing {
                drop(stop);
                let _ = thread.join();
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}

/// The title, a line of nothing, and what happened last.
const FRAME_LINES: u16 = 2 + STORY_LINES;
const STORY_LINES: u16 = 4;

type Screen = Terminal<CrosstermBackend<io::Stdout>>;

fn draw_until(mut terminal: Screen, board: &Board, lock: Lock, stopped: &mpsc::Receiver<()>) {
    let colours = console::colours();
    let mut area = Rect::default();
    loop {
        let waited = stopped.recv_timeout(FRAME);
        let drawn = terminal.draw(|frame| {
            let mut state = board.read();
            // What cannot be read now is there for the reckoning.
            let _ = state.catch_up();
            area = frame.area();
            picture(frame, &state, lock, tenure::now().as_nanos(), colours);
        });
        if drawn.is_err() || waited != Err(mpsc::RecvTimeoutError::Timeout) {
            break;
        }
    }
    let _ = terminal.set_cursor_position((0, area.bottom().saturating_sub(1)));
    let _ = terminal.show_cursor();
    let _ = writeln!(io::stdout());
}

/// How the columns are shared out.
struct Columns {
    name: usize,
    state: usize,
    bar: usize,
    narrow: bool,
}

impl Columns {
    fn of(width: usize, state: &State) -> Self {
        let longest = state.lanes.iter().map(|lane| lane.name.len()).max();
        let narrow = width < 70;
        let (name, told) = if narrow {
            (3, 13)
        } else {
            (longest.unwrap_or(0), 27)
        };
        Self {
            name,
            state: told,
            bar: width.saturating_sub(name + told + 3),
            narrow,
        }
    }
}

fn picture(frame: &mut Frame<'_>, state: &State, lock: Lock, now: u64, colours: bool) {
    let area = frame.area();
    let width = usize::from(area.width);
    let columns = Columns::of(width, state);
    let paint = |colour: Color| {
        if colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    };
    let passed = now.saturating_sub(state.begin);
    let mut lines = vec![Line::styled(
        format!(
            "{:width$}{:>6.1} s",
            cut(&state.title, width.saturating_sub(9)),
            seconds(passed),
            width = width.saturating_sub(8)
        ),
        Style::new().add_modifier(Modifier::BOLD),
    )];
    for (at, lane) in state.lanes.iter().enumerate() {
        let (symbol, told, colour) = lane_state(state, at, now, columns.narrow);
        let name = if columns.narrow {
            lane.name.rsplit('-').next().unwrap_or_default()
        } else {
            &lane.name
        };
        let style = paint(colour);
        let mut spans = vec![
            Span::raw(format!("{name:columns$} ", columns = columns.name)),
            Span::styled(
                format!(
                    "{symbol} {:width$}",
                    told,
                    width = columns.state.saturating_sub(2)
                ),
                style,
            ),
            Span::raw(" "),
        ];
        spans.extend(bar(state, at, now, columns.bar).into_iter().map(|cell| {
            let colour = match cell {
                LEADS => Color::Green,
                KILLED => Color::Red,
                ASKED => Color::Blue,
                _ => Color::DarkGray,
            };
            Span::styled(cell.to_string(), paint(colour))
        }));
        lines.push(Line::from(spans));
    }
    lines.push(Line::default());
    lines.extend(story(state, lock, width).into_iter().map(Line::raw));
    frame.render_widget(Paragraph::new(lines), area);
}

/// A symbol and words that say the same, so that colour is not needed.
fn lane_state(state: &State, lane: usize, now: u64, narrow: bool) -> (char, String, Color) {
    let told = match &state.lanes[lane].state {
        LaneState::Dead => return ('✗', "killed".to_owned(), Color::Red),
        LaneState::Ended => return ('-', "ended".to_owned(), Color::DarkGray),
        told => told,
    };
    // Its own marks are nearer to the truth than what it told.
    if let Some(reign) = state.present(lane) {
        let left = match reign.valid_until {
            Some(until) => format!("{:.1} s left", seconds(until.saturating_sub(now))),
            None => "for life".to_owned(),
        };
        let words = match told {
            LaneState::Leading { term, .. } if *term > 0 && !narrow => {
                format!("leads, term {term}, {left}")
            }
            _ if narrow => left,
            _ => format!("leads, {left}"),
        };
        return ('●', words, Color::Green);
    }
    let words = match told {
        LaneState::Starting => "starts",
        LaneState::Resting => "has stepped down",
        _ => "stands by",
    };
    let words = match told {
        LaneState::Resting if narrow => "rests",
        _ => words,
    };
    ('○', words.to_owned(), Color::DarkGray)
}

const LEADS: char = '█';
const STANDS: char = '─';
const KILLED: char = '✗';
const ASKED: char = '◆';

/// One lane's time so far, a character a step.
fn bar(state: &State, lane: usize, now: u64, width: usize) -> Vec<char> {
    let span = state
        .expected_ns
        .max(now.saturating_sub(state.begin))
        .max(1);
    let steps = width as u64;
    let step_of = |at: u64| {
        let step =
            u128::from(at.saturating_sub(state.begin)) * u128::from(steps) / u128::from(span);
        usize::try_from(step)
            .unwrap_or(usize::MAX)
            .min(width.saturating_sub(1))
    };
    let mut cells = vec![' '; width];
    if width == 0 {
        return cells;
    }
    let mut alive_since = Some(state.begin);
    let mut marks = Vec::new();
    for moment in state.moments.iter().filter(|moment| moment.lane == lane) {
        match moment.what {
            What::Killed => {
                if let Some(since) = alive_since.take() {
                    cells[step_of(since)..=step_of(moment.at)].fill(STANDS);
                }
                marks.push((moment.at, KILLED));
            }
            What::StartedAgain => alive_since = Some(moment.at),
            What::AskedToStepDown => marks.push((moment.at, ASKED)),
            _ => {}
        }
    }
    if let Some(since) = alive_since {
        cells[step_of(since)..=step_of(now)].fill(STANDS);
    }
    for reign in state.reigns() {
        if state.lane_of(reign.process) == lane {
            cells[step_of(reign.begin)..=step_of(reign.end)].fill(LEADS);
        }
    }
    for (at, mark) in marks {
        cells[step_of(at)] = mark;
    }
    cells
}

/// What happened last, as much as there is room for.
fn story(state: &State, lock: Lock, width: usize) -> Vec<String> {
    let room = usize::from(STORY_LINES);
    let mut told = Vec::new();
    for moment in state.moments.iter().rev() {
        let mut wrapped = wrap(&words::line(state, lock, moment), width);
        if wrapped.len() + told.len() > room {
            break;
        }
        wrapped.append(&mut told);
        told = wrapped;
    }
    told
}

/// Lines of at most `width`, all but the first indented.
fn wrap(text: &str, width: usize) -> Vec<String> {
    const INDENT: &str = "         ";
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if (line.chars().count() + word.trim_end().chars().count()) > width && !line.is_empty() {
            lines.push(std::mem::replace(&mut line, INDENT.to_owned()));
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[expect(clippy::cast_precision_loss, reason = "tenths of seconds are shown")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn board() -> Board {
        let names = ["candidate-1", "candidate-2"].map(ToOwned::to_owned);
        Board::new("Lease demo".to_owned(), 0, 10 * S, &names)
    }

    #[test]
    fn a_lane_shows_life_death_and_a_new_beginning() {
        let board = board();
        let mut state = board.read();
        for (at, what) in [(4 * S, What::Killed), (7 * S, What::StartedAgain)] {
            state.moments.push(Moment { at, lane: 0, what });
        }
        let text = |lane| bar(&state, lane, 9 * S, 10).into_iter().collect::<String>();
        assert_eq!(text(0), "────✗  ───");
        assert_eq!(text(1), "──────────");
        assert_eq!(bar(&state, 0, 9 * S, 0), []);
    }

    #[test]
    fn long_sentences_are_wrapped_between_words() {
        assert_eq!(wrap("aaa bbb ccc", 80), ["aaa bbb ccc"]);
        assert_eq!(
            wrap("  0.0 s  aaa bbb ccc", 16),
            ["  0.0 s  aaa bbb ", "         ccc"]
        );
        assert_eq!(cut("candidate", 5), "cand…");
    }

    #[test]
    fn a_picture_fits_any_terminal() {
        let board = board();
        let state = board.read();
        for (width, height) in [(80, 8), (40, 8), (20, 3), (1, 1)] {
            let backend = ratatui::backend::TestBackend::new(width, height);
            let mut terminal = Terminal::new(backend).unwrap();
            let lock = Lock::ConfigMap;
            terminal
                .draw(|frame| picture(frame, &state, lock, S, false))
                .unwrap();
        }
    }
}

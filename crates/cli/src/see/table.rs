//! Locks as people read them: a table, or a few lines for each where that does not fit.

use ratatui::crossterm::terminal;

use super::{
    gather::Found,
    judge::{Judgement, Word},
    lock::{Hold, Lock},
    status::remarks,
    text::{columns, cut, harmless, span, wrap},
};
use crate::console;

/// What is written on.
pub(crate) struct Paper {
    /// None where nobody counts columns.
    pub(crate) width: Option<usize>,
    pub(crate) colours: bool,
}

/// Below this a table tells less than lines do.
const NARROW: usize = 72;
/// No holder's name is cut below that.
const LEAST_HOLDER: usize = 12;

impl Paper {
    pub(crate) fn of_stdout() -> Self {
        let on_terminal = console::stdout_is_terminal();
        let width = on_terminal.then(|| terminal::size().ok()).flatten();
        Self {
            // A terminal of no width has told nothing.
            width: width
                .map(|(width, _)| usize::from(width))
                .filter(|width| *width > 0)
                .or_else(asked_for),
            colours: on_terminal && console::colours(),
        }
    }
}

/// `COLUMNS`, as other programs take it where there is no terminal.
fn asked_for() -> Option<usize> {
    let columns: usize = std::env::var("COLUMNS").ok()?.parse().ok()?;
    (columns > 0).then_some(columns)
}

/// Everything that was found, and a line of what speaks against it where something does.
pub(crate) fn text(found: &Found, namespaces: bool, wide: bool, paper: &Paper) -> String {
    let width = paper.width.unwrap_or(usize::MAX);
    let mut text = if width < NARROW {
        blocks(found, namespaces, wide, width, paper.colours)
    } else {
        table(found, namespaces, wide, width, paper.colours)
    };
    if found.locks.iter().any(|(lock, _)| lock.renewed().is_some()) {
        let told = skew(found);
        for line in told.iter().flat_map(|told| wrap(told, width, 2)) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Says how far clocks are apart, where that is enough to matter.
fn skew(found: &Found) -> Option<String> {
    let moment = found.moment;
    match moment.ahead {
        None => {
            Some("The server told no time: renewals are judged by this machine's clock.".to_owned())
        }
        Some(ahead) if ahead.saturating_abs() > moment.within.saturating_add(1_000_000) => {
            let which = if ahead > 0 { "behind" } else { "ahead of" };
            Some(format!(
                "This machine's clock is {} {which} the server's (±{}); renewals are judged by the \
                 server's.",
                span(ahead.saturating_abs()),
                span(moment.within)
            ))
        }
        Some(_) => None,
    }
}

struct Column {
    title: &'static str,
    cells: Vec<String>,
    /// Shown whatever the width.
    needed: bool,
}

fn table(found: &Found, namespaces: bool, wide: bool, width: usize, colours: bool) -> String {
    if found.locks.is_empty() {
        return String::new();
    }
    let column = |title, needed, cell: &dyn Fn(&Lock, &Judgement) -> String| Column {
        title,
        cells: found
            .locks
            .iter()
            .map(|(lock, judgement)| cell(lock, judgement))
            .collect(),
        needed,
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut all = Vec::new();
    if namespaces {
        all.push(column("NAMESPACE", true, &|lock, _| {
            harmless(&lock.namespace)
        }));
    }
    all.push(column("KIND", wide, &|lock, _| lock.kind.name().to_owned()));
    all.push(column("NAME", true, &|lock, _| harmless(&lock.name)));
    all.push(column("HOLDER", true, &|lock, _| {
        or_dash(lock.holder().map(harmless))
    }));
    all.push(column("POD", wide, &|_, j| {
        or_dash(j.pod.as_deref().map(harmless))
    }));
    all.push(column("NODE", wide, &|_, j| {
        or_dash(j.node.as_deref().map(harmless))
    }));
    all.push(column("HELD", wide, &|_, j| or_dash(j.held_for.map(span))));
    all.push(column("RENEWED", wide, &|_, j| {
        or_dash(j.renewed_ago.map(span))
    }));
    all.push(column("TRANSITIONS", wide, &|lock, _| {
        or_dash(transitions(lock))
    }));
    all.push(column("EXPIRES", wide, &|_, j| {
        or_dash(j.expires_in.map(span))
    }));
    all.push(column("WAITING", wide, &|_, j| {
        or_dash(j.waiting.as_ref().map(|waiting| waiting.len().to_string()))
    }));
    if wide {
        all.push(column("WRITTEN-BY", true, &|lock, _| {
            lock.writer.to_owned()
        }));
    }
    all.push(column("HEALTH", true, &|_, judgement| judgement.told()));
    fit(&mut all, width);
    let widths: Vec<usize> = all.iter().map(Column::width).collect();
    let mut text = String::new();
    let mut line = |cells: &[&str], health: Option<&Judgement>| {
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let last = at + 1 == cells.len();
            match health.filter(|_| last && colours) {
                Some(judgement) => text.push_str(&painted(cell, judgement)),
                None => text.push_str(cell),
            }
            if !last {
                text.extend(std::iter::repeat_n(' ', width - columns(cell) + 2));
            }
        }
        text.push('\n');
    };
    let titles: Vec<_> = all.iter().map(|column| column.title).collect();
    line(&titles, None);
    for (row, (_, judgement)) in found.locks.iter().enumerate() {
        let cells: Vec<_> = all
            .iter()
            .map(|column| column.cells[row].as_str())
            .collect();
        line(&cells, Some(judgement));
    }
    for (lock, judgement) in &found.locks {
        if judgement
            .words
            .iter()
            .any(|word| word.is_bad() || *word == Word::Paused)
            || wide
        {
            for remark in remarks(lock, judgement) {
                let remark = format!("{}: {remark}", title(lock, namespaces));
                for line in wrap(&remark, width, 2) {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
        }
    }
    text
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| columns(cell));
        cells.max().unwrap_or(0).max(self.title.len())
    }
}

/// Leaves out what matters least, and then cuts holders' names, until it fits.
fn fit(all: &mut Vec<Column>, width: usize) {
    const LEAST_WANTED: [&str; 8] = [
        "WAITING",
        "TRANSITIONS",
        "POD",
        "NODE",
        "HELD",
        "RENEWED",
        "KIND",
        "EXPIRES",
    ];
    let needed = |all: &[Column]| -> usize {
        all.iter()
            .map(|column| column.width() + 2)
            .sum::<usize>()
            .saturating_sub(2)
    };
    // An identity is the longest by far; half of it says who it is.
    let shorten = |all: &mut Vec<Column>, title: &str, least: usize| {
        let over = needed(all).saturating_sub(width);
        if let Some(column) = all.iter_mut().find(|column| column.title == title) {
            let now = column.width();
            let room = now.saturating_sub(over).max(least).min(now);
            for cell in &mut column.cells {
                *cell = cut(cell, room);
            }
        }
    };
    shorten(all, "HOLDER", 24);
    // One long name must not cost all locks their columns.
    shorten(all, "NAME", 32);
    shorten(all, "NAMESPACE", 24);
    for title in LEAST_WANTED {
        if needed(all) <= width {
            break;
        }
        all.retain(|column| column.needed || column.title != title);
    }
    for title in ["HOLDER", "POD", "NODE", "NAME", "NAMESPACE"] {
        shorten(all, title, LEAST_HOLDER);
    }
}

fn blocks(found: &Found, namespaces: bool, wide: bool, width: usize, colours: bool) -> String {
    let mut text = String::new();
    for (lock, judgement) in &found.locks {
        let told = judgement.told();
        let room = width.saturating_sub(columns(&told) + 1).max(8);
        let name = cut(&title(lock, namespaces), room);
        text.push_str(&name);
        text.push(' ');
        text.push_str(&if colours {
            painted(&told, judgement)
        } else {
            told
        });
        text.push('\n');
        let mut lines = vec![format!("{}, {}", lock.kind.name(), holder(lock))];
        let mut times = Vec::new();
        let mut time = |told: &str, micros: Option<i64>| {
            if let Some(micros) = micros {
                times.push(format!("{told} {}", span(micros)));
            }
        };
        time("held", judgement.held_for);
        time("renewed", judgement.renewed_ago);
        time("expires", judgement.expires_in);
        if let Some(transitions) = transitions(lock) {
            times.push(format!("transitions {transitions}"));
        }
        if !times.is_empty() {
            lines.push(times.join(", "));
        }
        if let Some(node) = judgement.node.as_deref() {
            lines.push(format!("on {}", harmless(node)));
        }
        if let Some(waiting) = judgement
            .waiting
            .as_ref()
            .filter(|waiting| !waiting.is_empty())
        {
            let names: Vec<_> = waiting.iter().map(|name| harmless(name)).collect();
            lines.push(format!("waiting: {}", names.join(", ")));
        }
        if wide {
            lines.push(format!("written by {}", lock.writer));
        }
        if judgement
            .words
            .iter()
            .any(|word| word.is_bad() || *word == Word::Paused)
            || wide
        {
            lines.extend(remarks(lock, judgement));
        }
        for line in lines {
            for line in wrap(&format!("  {line}"), width.saturating_sub(2), 2) {
                let line = line.trim_start();
                text.push_str("  ");
                text.push_str(&cut(line, width.saturating_sub(2)));
                text.push('\n');
            }
        }
    }
    text
}

fn title(lock: &Lock, namespaces: bool) -> String {
    if namespaces {
        format!("{}/{}", harmless(&lock.namespace), harmless(&lock.name))
    } else {
        harmless(&lock.name)
    }
}

fn holder(lock: &Lock) -> String {
    match (lock.holder(), &lock.hold) {
        (None, _) => "nobody holds it".to_owned(),
        (Some(holder), Hold::Renewed(_)) => format!("held by {}", harmless(holder)),
        (Some(holder), Hold::ForLife(_)) => format!("held for life by {}", harmless(holder)),
    }
}

fn transitions(lock: &Lock) -> Option<String> {
    Some(lock.renewed()?.transitions?.to_string())
}

fn painted(words: &str, judgement: &Judgement) -> String {
    let colour = if judgement.words.iter().any(|word| word.is_bad()) {
        31
    } else if judgement.is(Word::Paused) || judgement.is(Word::Free) {
        33
    } else {
        32
    };
    format!("\x1b[{colour}m{words}\x1b[0m")
}

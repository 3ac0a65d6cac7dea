//! What stands in objects of others, as it may be shown: nothing in it moves a cursor, hides or
//! reorders text, or fills the screen.

use std::fmt::Write as _;

/// The most characters of one value that are shown. Names in Kubernetes are shorter.
const MOST: usize = 300;

/// Control characters and invisible ones become escapes, and what is too long ends with `…`.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MOST));
    for (at, character) in text.chars().enumerate() {
        if at == MOST {
            shown.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// JSON that means the same, with what a terminal might obey or hide as escapes: JSON itself asks for
/// those below a space only.
pub(crate) fn harmless_json(json: &str) -> String {
    with_escapes(json, |character, shown| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

/// YAML that means the same as this JSON, likewise; none where nothing of it needs to be escaped.
pub(crate) fn harmless_yaml(json: &str) -> Option<String> {
    let shown = with_escapes(json, |character, shown| {
        let _ = write!(shown, "\\U{:08x}", u32::from(character));
    });
    (shown != json).then_some(shown)
}

fn with_escapes(json: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if character > '~' && (character.is_control() || is_invisible(character)) {
            escape(character, &mut shown);
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A stretch of time in microseconds as people say it: `0.4s`, `12s`, `3m5s`, `2h10m`, `4d`.
pub(crate) fn span(micros: i64) -> String {
    let seconds = micros.unsigned_abs() / 1_000_000;
    let sign = if micros < 0 { "-" } else { "" };
    let told = match seconds {
        0 if (1..100_000).contains(&micros.unsigned_abs()) => {
            format!("{}ms", micros.unsigned_abs().div_ceil(1000))
        }
        0..=1 => {
            let tenths = micros.unsigned_abs() / 100_000;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        2..=119 => format!("{seconds}s"),
        120..=7_199 => match (seconds / 60, seconds % 60) {
            (minutes, rest) if minutes < 10 && rest > 0 => format!("{minutes}m{rest}s"),
            (minutes, _) => format!("{minutes}m"),
        },
        7_200..=172_799 => match (seconds / 3_600, seconds % 3_600 / 60) {
            (hours, minutes) if hours < 10 && minutes > 0 => format!("{hours}h{minutes}m"),
            (hours, _) => format!("{hours}h"),
        },
        _ => format!("{}d", seconds / 86_400),
    };
    format!("{sign}{told}")
}

/// How many columns a terminal gives to it.
pub(crate) fn columns(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

/// At most that many columns; what is cut off becomes `…`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if columns(&kept) >= width {
            kept.pop();
            break;
        }
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Lines of at most that many columns, broken between words; all but the first are indented.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(indent + 8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut bare = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let needed = columns(&line) + columns(word) + usize::from(!bare);
        if !bare && needed > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            bare = true;
        }
        if !bare {
            line.push(' ');
        }
        line.push_str(word);
        bare = false;
    }
    lines.push(line);
    lines
}

fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_turns_text_around_gets_through() {
        assert_eq!(harmless("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(
            harmless("x\u{202e}y\u{200b}\u{9b}"),
            "x\\u{202e}y\\u{200b}\\u{9b}"
        );
        assert_eq!(harmless("größer 名"), "größer 名");
        assert_eq!(
            harmless("\u{3164}\u{fe0f}\u{e0100}"),
            "\\u{3164}\\u{fe0f}\\u{e0100}"
        );
        assert_eq!(harmless(&"a".repeat(1000)).chars().count(), MOST + 1);
    }

    #[test]
    fn json_keeps_its_meaning_and_loses_what_a_terminal_obeys() {
        let text = "a\x1b\u{9b}2J\u{7f}\u{202e}\u{e0041}größer 名\n";
        let shown = harmless_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(
            !shown.contains(['\x1b', '\u{9b}', '\u{7f}', '\u{202e}', '\u{e0041}']),
            "{shown}"
        );
        assert!(shown.contains("größer 名"), "{shown}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [text]);
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = harmless_yaml(&json).unwrap();
        assert!(
            !shown.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{e0041}']),
            "{shown}"
        );
        let again: Vec<String> = serde_saphyr::from_str(&shown).unwrap();
        assert_eq!(again, [text]);
        assert_eq!(harmless_yaml("[\"größer 名\"]"), None);
    }

    #[test]
    fn spans_are_short_and_never_overflow() {
        for (micros, told) in [
            (0, "0.0s"),
            (400_000, "0.4s"),
            (-400_000, "-0.4s"),
            (12_900_000, "12s"),
            (185_000_000, "3m5s"),
            (7_199_000_000, "119m"),
            (7_800_000_000, "2h10m"),
            (400_000_000_000, "4d"),
            (i64::MIN, "-106751991d"),
        ] {
            assert_eq!(span(micros), told);
        }
    }

    #[test]
    fn cutting_and_wrapping_go_by_columns() {
        assert_eq!(cut("candidate", 5), "cand…");
        assert_eq!(cut("名名名", 4), "名…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(wrap("aaa bbb ccc ddd", 11, 2), ["aaa bbb ccc", "  ddd"]);
        assert_eq!(wrap("", 10, 2), [""]);
    }
}

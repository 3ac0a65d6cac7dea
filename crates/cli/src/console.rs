//! Standard output and error: who reads them, whether they take colour, and what becomes of them
//! when nobody reads any more.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use tenure::clock::{Clock as _, SystemClock};
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{args::LogFormat, failure::Failure, log::Log};

/// Writes text to standard output. A reader that has gone away is no failure: it has had enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(
            "cannot write to standard output; check where it leads to",
        )
        .because(error)),
        _ => Ok(()),
    }
}

/// Writes a line to standard error, if anybody reads it.
pub(crate) fn note(line: &str) {
    say("INFO", line);
}

/// The same, of what has gone wrong.
pub(crate) fn fail(line: &str) {
    say("ERROR", line);
}

/// From now on commands of tenure are told as kubectl takes them.
pub(crate) fn as_plugin() {
    let _ = AS_PLUGIN.set(());
}

static AS_PLUGIN: OnceLock<()> = OnceLock::new();

/// A text with commands in backquotes, so that those of tenure can be typed here.
pub(crate) fn as_typed(text: &str) -> String {
    text.replace("`tenure ", &format!("`{}", command("tenure ")))
}

/// A command, as it can be typed here.
pub(crate) fn command(command: &str) -> String {
    match (command.strip_prefix("tenure "), AS_PLUGIN.get()) {
        (Some(rest), Some(())) => format!("kubectl tenure {rest}"),
        _ => command.to_owned(),
    }
}

fn say(level: &str, line: &str) {
    let line = &as_typed(line);
    let line = if log_format() == LogFormat::Json {
        // As the lines of the log between which it stands.
        let time = SystemClock.wall().as_micros();
        let time = jiff::Timestamp::from_microsecond(time).unwrap_or_default();
        let message = line.strip_prefix("tenure: ").unwrap_or(line);
        serde_json::json!({
            "timestamp": format!("{time:.6}"),
            "level": level,
            "fields": {"message": message},
            "target": "tenure",
        })
        .to_string()
    } else {
        line.to_owned()
    };
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether a person reads standard output.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person reads standard error.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether a terminal may be drawn on, rather than only be written to.
pub(crate) fn can_draw() -> bool {
    stdout_is_terminal() && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Undoes the one thing that a view does to a terminal and that outlives it.
pub(crate) fn show_cursor() {
    if can_draw() {
        let _ = io::stdout().write_all(b"\x1b[?25h");
    }
}

/// Whether colours are welcome (<https://no-color.org>), where there is a terminal.
pub(crate) fn colours() -> bool {
    !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What is logged where nothing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// Of a verb that tells by itself how its election goes: warnings about what runs beside it.
    Beside,
    /// Of one that does not: whatever goes wrong.
    Warnings,
}

/// Sends the log to standard error: the library's events with `-v`, everything with `-vv`. `RUST_LOG`
/// says otherwise, where it speaks of this program or of all.
pub(crate) fn start_log(verbose: u8, format: LogFormat, quiet: Quiet) {
    let default = match verbose {
        0 if quiet == Quiet::Warnings => "tenure=warn",
        0 => "off,tenure::beside=warn",
        1 => "tenure=info",
        2 => "tenure=debug,kube=info",
        _ => "trace",
    };
    let _ = LOG_FORMAT.set(format);
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter =
        EnvFilter::try_new(wanted(default, &asked)).unwrap_or_else(|_| EnvFilter::new(default));
    let layer = fmt::layer().with_writer(Log);
    let log = tracing_subscriber::registry().with(filter);
    // An error would mean that somebody has set up a log already.
    let _ = match format {
        LogFormat::Text => log
            .with(layer.with_ansi(stderr_is_terminal() && colours()))
            .try_init(),
        LogFormat::Json => log.with(layer.json().with_ansi(false)).try_init(),
    };
}

/// A variable that speaks of other programs only, such as the command of `tenure run`, silences nobody here.
fn wanted(default: &str, asked: &str) -> String {
    let is_for_us = |directive: &str| {
        let directive = directive.trim();
        let target = directive.split(['=', '[']).next().unwrap_or_default();
        target == "tenure"
            || target.starts_with("tenure::")
            || directive.starts_with('[')
            // An empty one would be read as a level.
            || !directive.is_empty() && directive.parse::<LevelFilter>().is_ok()
    };
    if asked.split(',').any(is_for_us) {
        asked.to_owned()
    } else {
        format!("{default},{asked}")
    }
}

static LOG_FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// What was asked for; of a stage of `tenure run`, which reads no command line, what its parent was.
pub(crate) fn log_format() -> LogFormat {
    *LOG_FORMAT.get_or_init(|| match std::env::var(LOG_FORMAT_VARIABLE) {
        Ok(format) if format == "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}

/// Of `--log-format`.
pub(crate) const LOG_FORMAT_VARIABLE: &str = "TENURE_LOG_FORMAT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_about_other_programs_leaves_the_own_log_as_it_is() {
        for asked in [
            "",
            "myapp=debug",
            "myapp",
            "myapp=debug,hyper=off",
            "tenured=off",
        ] {
            let wanted = wanted("tenure=warn", asked);
            assert!(wanted.starts_with("tenure=warn,"), "{asked}");
            assert!(EnvFilter::try_new(&wanted).is_ok(), "{wanted}");
        }
        for asked in [
            "off",
            "myapp=debug,INFO",
            "tenure=trace",
            "a=off, tenure::beside=info",
            "[span]=debug",
        ] {
            assert_eq!(wanted("tenure=warn", asked), asked);
        }
    }
}

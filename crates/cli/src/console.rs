//! Standard output and error: who reads them, whether they take colour, and what becomes of them
//! when nobody reads any more.

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::failure::Failure;

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
    stdout_is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Undoes the one thing that a view does to a terminal and that outlives it.
pub(crate) fn show_cursor() {
    if can_draw() {
        let _ = io::stdout().write_all(b"\x1b[?25h");
    }
}

/// Whether colours are welcome (<https://no-color.org>).
pub(crate) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Sends the log to standard error: nothing but errors by default, the library's events with
/// `-v`, everything with `-vv`. `RUST_LOG` says otherwise.
pub(crate) fn start_log(verbose: u8) {
    let default = match verbose {
        0 => "off",
        1 => "tenure=info",
        2 => "tenure=debug,kube=info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(stderr_is_terminal() && colours());
    // An error would mean that somebody has set up a log already.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init();
}

//! Lines for whoever reads standard output. A reader that is slow, or stands still, must not keep
//! the candidate from giving its lock up, so a thread of its own does the writing.

use std::{
    io::{self, Write as _},
    sync::mpsc,
    time::Duration,
};

use tokio::sync::watch;

use super::event::Event;
use crate::failure::Failure;

/// Writes events.
pub(crate) struct Output {
    json: bool,
    lines: mpsc::Sender<String>,
    state: watch::Receiver<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Writing,
    /// There is no reader any more.
    Unread,
    /// What was said cannot be written, for this reason.
    Broken(String),
    Finished,
}

/// How long the last lines may take.
const FINISH_LIMIT: Duration = Duration::from_secs(5);

impl Output {
    pub(crate) fn start(json: bool) -> Result<Self, Failure> {
        let (lines, to_write) = mpsc::channel();
        let (state_sender, state) = watch::channel(State::Writing);
        let no_thread = |error: io::Error| {
            Failure::failed("cannot start a thread; raise the limits of this process")
                .because(error)
        };
        #[cfg(unix)]
        {
            let sender = state_sender.clone();
            std::thread::Builder::new()
                .name("reader".to_owned())
                .spawn(move || {
                    if wait_for_broken_pipe() {
                        sender.send_if_modified(|state| breaks(state, State::Unread));
                    }
                })
                .map_err(no_thread)?;
        }
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || write_all(&to_write, &state_sender))
            .map_err(no_thread)?;
        Ok(Self { json, lines, state })
    }

    pub(crate) fn say(&self, event: Event<'_>) {
        let line = if self.json {
            event.to_json()
        } else {
            event.to_words()
        };
        // An error means that the reader is gone, which is told elsewhere.
        let _ = self.lines.send(line);
    }

    /// Resolves when nothing more can be said, with why.
    pub(crate) fn reader_gone(&self) -> impl Future<Output = String> + Send + 'static {
        let mut state = self.state.clone();
        async move {
            let over = |state: &State| matches!(state, State::Unread | State::Broken(_));
            let state = state.wait_for(over).await.map(|state| state.clone());
            match state {
                Ok(State::Broken(why)) => format!("standard output cannot be written: {why}"),
                Ok(_) => "nobody reads any more".to_owned(),
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Waits until everything is written. Who has read enough is no failure.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        drop(self.lines);
        let mut state = self.state;
        let done = state.wait_for(|state| *state != State::Writing);
        // A reader that stands still for that long gets no more.
        let done = tokio::time::timeout(FINISH_LIMIT, done).await;
        match done.ok().and_then(Result::ok).as_deref() {
            Some(State::Broken(why)) => Err(Failure::failed(format!(
                "cannot write to standard output ({why}); check where it leads to"
            ))),
            _ => Ok(()),
        }
    }
}

fn write_all(lines: &mpsc::Receiver<String>, state: &watch::Sender<State>) {
    let mut stdout = io::stdout();
    for line in lines {
        let written = stdout.write_all(line.as_bytes());
        if let Err(error) = written.and_then(|()| stdout.flush()) {
            let why = match error.kind() {
                io::ErrorKind::BrokenPipe => State::Unread,
                _ => State::Broken(error.to_string()),
            };
            state.send_if_modified(|state| breaks(state, why));
            return;
        }
    }
    state.send_replace(State::Finished);
}

fn breaks(state: &mut State, why: State) -> bool {
    let writing = *state == State::Writing;
    if writing {
        *state = why;
    }
    writing
}

/// Blocks until standard output has no reader any more: true; or cannot be watched: false.
#[cfg(unix)]
fn wait_for_broken_pipe() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdout = io::stdout();
    loop {
        // Nothing is asked for: errors are told in any case.
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) => {
                let told = fds[0].revents();
                if told.intersects(PollFlags::ERR | PollFlags::HUP) {
                    return true;
                }
                if told.contains(PollFlags::NVAL) {
                    return false;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

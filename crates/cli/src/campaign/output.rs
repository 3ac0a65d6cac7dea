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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Writing,
    /// There is no reader any more.
    Broken,
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
                        sender.send_if_modified(breaks);
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

    /// Resolves when nobody reads any more.
    pub(crate) fn reader_gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut state = self.state.clone();
        async move {
            if state
                .wait_for(|state| *state == State::Broken)
                .await
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(self) {
        drop(self.lines);
        let mut state = self.state;
        let done = state.wait_for(|state| *state != State::Writing);
        // A reader that stands still for that long gets no more.
        let _ = tokio::time::timeout(FINISH_LIMIT, done).await;
    }
}

fn write_all(lines: &mpsc::Receiver<String>, state: &watch::Sender<State>) {
    let mut stdout = io::stdout();
    for line in lines {
        let written = stdout.write_all(line.as_bytes());
        if written.and_then(|()| stdout.flush()).is_err() {
            state.send_if_modified(breaks);
            return;
        }
    }
    state.send_replace(State::Finished);
}

fn breaks(state: &mut State) -> bool {
    let writing = *state == State::Writing;
    if writing {
        *state = State::Broken;
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

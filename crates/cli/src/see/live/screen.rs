//! The terminal while it is ours. It is given back however this ends.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor,
        event::{self, Event, KeyEvent, KeyEventKind},
        execute,
        terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
    },
};
use tokio::sync::mpsc;

use super::{
    board::Board,
    choice::{Choice, Pressed},
    view::{Seen, picture},
};
use crate::{
    console,
    failure::Failure,
    see::{judge::Moment, pods::Pod},
};

/// The screen while it is ours.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<io::Stdout>>,
    keys: mpsc::Receiver<KeyEvent>,
    choice: Choice,
    /// Dropped last: gives the terminal back.
    _taken: Taken,
}

struct Taken(Arc<AtomicBool>);

/// How often the thread that reads keys looks whether it is still wanted.
const KEY_SLICE: Duration = Duration::from_millis(100);

impl Screen {
    pub(crate) fn open(namespaces: bool) -> Result<Self, Failure> {
        let unfit = |error: io::Error| {
            Failure::failed("this terminal cannot be drawn on; use --json, or pipe it")
                .because(error)
        };
        let taken = Taken(Arc::new(AtomicBool::new(true)));
        terminal::enable_raw_mode().map_err(unfit)?;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide).map_err(unfit)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(unfit)?;
        let (sender, keys) = mpsc::channel(64);
        let wanted = taken.0.clone();
        let reader = move || {
            while wanted.load(Ordering::Relaxed) {
                match event::poll(KEY_SLICE) {
                    Ok(false) => {}
                    Ok(true) => match event::read() {
                        Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                            if sender.blocking_send(key).is_err() {
                                return;
                            }
                        }
                        Ok(_) => {}
                        Err(_) => return,
                    },
                    // No terminal any more: the end of the channel says so.
                    Err(_) => return,
                }
            }
        };
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(reader)
            .map_err(unfit)?;
        let choice = Choice {
            namespaces,
            ..Choice::default()
        };
        Ok(Self {
            terminal,
            keys,
            choice,
            _taken: taken,
        })
    }

    /// Takes the next key; what it asks for. Cancel safe.
    pub(super) async fn key(&mut self) -> Pressed {
        match self.keys.recv().await {
            Some(key) => self.choice.press(key),
            None => Pressed::End,
        }
    }

    pub(crate) fn draw(
        &mut self,
        board: &Board,
        pods: Option<&[Pod]>,
        moment: Moment,
        trouble: &[&str],
    ) -> Result<(), Failure> {
        let colours = console::colours();
        let choice = &mut self.choice;
        let drawn = self.terminal.draw(|frame| {
            picture(
                frame,
                &Seen {
                    board,
                    pods,
                    moment,
                    trouble,
                    colours,
                },
                choice,
            );
        });
        drawn.map(drop).map_err(|error| {
            Failure::failed("the terminal is gone; use --json, or pipe it").because(error)
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

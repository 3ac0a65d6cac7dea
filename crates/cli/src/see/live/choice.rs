//! What the keys choose to be shown.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What the keys have chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) filter: String,
    pub(super) typing: bool,
    pub(super) order: Order,
    /// How many lines are scrolled past.
    pub(super) scrolled: usize,
    pub(super) namespaces: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Name,
    Holder,
    /// What needs looking at comes first.
    Health,
    /// Who has come last comes first.
    Newest,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// To go on, perhaps with another picture.
    On,
    End,
    /// To end as by a signal, which a terminal of ours does not send.
    Interrupt,
}

impl Choice {
    pub(super) fn press(&mut self, key: KeyEvent) -> Pressed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Pressed::Interrupt,
            KeyCode::Char('d') if control => return Pressed::End,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Backspace if self.typing => {
                self.filter.pop();
            }
            KeyCode::Char(typed) if self.typing && !control => {
                // Names are not longer.
                if self.filter.len() < 253 {
                    self.filter.push(typed);
                }
                self.scrolled = 0;
            }
            KeyCode::Char('q') => return Pressed::End,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('s') => {
                self.order = match self.order {
                    Order::Name => Order::Holder,
                    Order::Holder => Order::Health,
                    Order::Health => Order::Newest,
                    Order::Newest => Order::Name,
                };
                self.scrolled = 0;
            }
            KeyCode::Down | KeyCode::Char('j') => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_add(10),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(10),
            KeyCode::Home => self.scrolled = 0,
            // The picture knows where that is.
            KeyCode::End => self.scrolled = usize::MAX,
            _ => {}
        }
        Pressed::On
    }
}

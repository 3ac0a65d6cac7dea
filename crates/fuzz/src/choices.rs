//! An input as a row of decisions: each byte decides something, and where there are none left,
//! everything is decided as a quiet day would have it. So a short input is a short story, and
//! cutting bytes off its end makes it quieter.

use std::sync::{Arc, Mutex, PoisonError};

/// The decisions that are left. Clones share them.
#[derive(Clone)]
pub(crate) struct Choices(Arc<Mutex<Row>>);

struct Row {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Row {
            bytes: bytes.to_vec(),
            at: 0,
        })))
    }

    /// The next byte; zero after the last one.
    pub(crate) fn byte(&self) -> u8 {
        let mut row = self.row();
        let byte = row.bytes.get(row.at).copied().unwrap_or(0);
        row.at += 1;
        byte
    }

    pub(crate) fn is_over(&self) -> bool {
        let row = self.row();
        row.at >= row.bytes.len()
    }

    /// A number below `end`, which is no more than 256.
    pub(crate) fn below(&self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of these; the first where nothing is left to decide by.
    pub(crate) fn one_of<T: Clone>(&self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// Up to `most` bytes as they stand there.
    pub(crate) fn take(&self, most: usize) -> Vec<u8> {
        let mut row = self.row();
        let from = row.at.min(row.bytes.len());
        let to = (from + most).min(row.bytes.len());
        row.at = to.max(row.at);
        row.bytes[from..to].to_vec()
    }

    /// Nothing is left to decide.
    pub(crate) fn finish(&self) {
        let mut row = self.row();
        row.at = row.bytes.len();
    }

    fn row(&self) -> std::sync::MutexGuard<'_, Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

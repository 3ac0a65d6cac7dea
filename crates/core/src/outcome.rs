//! What became of a call (rule L6).

use std::sync::Arc;

/// What is known about a call once its answer, or the end of its time, has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// A parsed 2xx.
    Done(T),
    /// A `Status` 404: for a read, the object is absent; a write was not applied.
    NotFound(Arc<str>),
    /// A `Status` 409 with reason `AlreadyExists`. The object that exists may be one's own.
    AlreadyExists,
    /// A `Status` 409 with any other reason. An earlier try of the same write may have been
    /// applied.
    Conflict,
    /// Any other `Status` 4xx but 429: certainly not applied. The text is for people.
    Refused(Arc<str>),
    /// Everything else, silence included: the write may have been applied, or may be yet. The text
    /// is for people.
    Unknown(Arc<str>),
}

impl<T> Outcome<T> {
    /// The same outcome with another content.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        self.and_then(|value| Outcome::Done(f(value)))
    }

    /// What `f` makes of the content; every other outcome stays as it is.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        match self {
            Self::Done(value) => f(value),
            Self::NotFound(text) => Outcome::NotFound(text),
            Self::AlreadyExists => Outcome::AlreadyExists,
            Self::Conflict => Outcome::Conflict,
            Self::Refused(text) => Outcome::Refused(text),
            Self::Unknown(text) => Outcome::Unknown(text),
        }
    }
}

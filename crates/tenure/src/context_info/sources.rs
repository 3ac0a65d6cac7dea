//! What a process is told about itself: environment and files.

use std::collections::BTreeMap;

/// Where the environment and files are read. Tests bring their own.
pub trait Sources: Send + Sync {
    /// An environment variable; `None` if it is unset or no text.
    fn env(&self, name: &str) -> Option<String>;

    /// The whole content of a small file; `None` if it cannot be read or is no text.
    fn read(&self, path: &str) -> Option<String>;
}

/// The process' own environment and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSources;

impl Sources for SystemSources {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }
}

/// An environment and files that somebody wrote down: for tests.
#[derive(Clone, Debug, Default)]
pub struct FixedSources {
    env: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl FixedSources {
    /// Nothing is set, and there are no files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Set an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Add a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }
}

impl Sources for FixedSources {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn read(&self, path: &str) -> Option<String> {
        self.files.get(path).cloned()
    }
}

//! With `--signal-only`: where the command reads whether it leads.

use std::{fs, io, path::PathBuf};

use tempfile::TempDir;

use crate::failure::Failure;

/// One line: `standby`, or `leading TERM TOKEN`. It is always a whole one.
pub(super) struct StateFile {
    directory: TempDir,
}

impl StateFile {
    pub(super) fn new() -> Result<Self, Failure> {
        let made = TempDir::with_prefix("tenure-run-").and_then(|directory| {
            let file = Self { directory };
            file.write("standby").map(|()| file)
        });
        made.map_err(|error| {
            Failure::failed(
                "there is no place for the file in which the command reads whether it leads; name \
                 a directory that can be written to in TMPDIR",
            )
            .because(error)
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(super) fn write(&self, line: &str) -> io::Result<()> {
        let new = self.directory.path().join("new");
        fs::write(&new, format!("{line}\n"))?;
        fs::rename(new, self.path())
    }
}

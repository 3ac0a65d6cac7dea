//! What a program shows on a terminal.

use std::{
    fs::File,
    io::Read as _,
    process::{Command, Stdio},
    sync::mpsc,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::LIMIT;

/// The other side of a terminal.
pub struct Shown {
    bytes: mpsc::Receiver<Vec<u8>>,
    text: String,
}

/// Gives the program a terminal as its standard error.
pub fn attach(command: &mut Command) -> Shown {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    command.stderr(Stdio::from(theirs));
    let (sender, bytes) = mpsc::channel();
    std::thread::spawn(move || {
        let mut terminal = File::from(terminal);
        let mut buffer = [0; 4096];
        // An error is how a terminal ends that nobody has open any more.
        while let Ok(read @ 1..) = terminal.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    Shown {
        bytes,
        text: String::new(),
    }
}

impl Shown {
    /// Waits until that is shown.
    pub fn until(&mut self, words: &str) {
        while !self.text.contains(words) {
            let more = self.bytes.recv_timeout(LIMIT);
            let more = more.unwrap_or_else(|_| panic!("{words:?} is not in {:?}", self.text));
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }
}

//! What tenure, the guard and the init tell each other: lines of JSON over a socket, which each
//! stage has as its standard input. The command's own standard input comes with the first byte.

use std::{
    ffi::OsString,
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::exit::Exit;

/// Downwards. Times are of the clock that leadership is judged by, in nanoseconds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// Run the command, with these variables; all of it is killed at `until`.
    Start {
        until: Option<u64>,
        env: Vec<(String, OsString)>,
    },
    /// From now on all of it is killed then. It is answered with [`Report::Heard`].
    Until { until: Option<u64> },
    /// For the command's process group, or for its first process alone.
    Signal { signal: i32, first_alone: bool },
    /// This signal to the command's process group, and whoever is stopped goes on to hear it.
    Stop { signal: i32 },
    /// This signal to everything that is left of it.
    StopRest { signal: i32 },
    /// Kill all of it, now.
    Kill,
}

/// Upwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The containment stands, and nothing runs in it yet but its init.
    Ready { init: i32, cgroup: Option<String> },
    /// The place does not allow this containment.
    Refused { why: String },
    /// The command runs, as this process of its PID namespace.
    Started { pid: i32 },
    /// The command's first process has ended; others may be left.
    Ended { exit: Exit },
    /// The new deadline counts.
    Heard { until: Option<u64> },
    /// Nothing is left of it.
    Empty { cause: Cause },
    /// The guard is gone, and did not say that nothing is left. Made up by tenure.
    Gone,
}

/// Why nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cause {
    /// Everything ended.
    Over,
    /// It was killed because tenure said so.
    Asked,
    /// It was killed at its deadline.
    Deadline,
    /// It was killed because tenure, or the guard, was gone.
    Orphaned,
}

/// One end of the conversation, in a stage.
pub(super) struct Link {
    stream: UnixStream,
    read: Vec<u8>,
    ended: bool,
}

/// The longest line that is listened to.
const LONGEST_LINE: usize = 1 << 20;

impl Link {
    /// The stage's end, and the standard input that is meant for the command. Waits for both.
    pub(super) fn inherited() -> io::Result<(Self, OwnedFd)> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let stdin = receive_fd(&stream)?;
        Ok((Self::new(stream)?, stdin))
    }

    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
            ended: false,
        })
    }

    /// What has come, without waiting.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> Vec<T> {
        let mut buffer = [0; 4096];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(n) => self.read.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
            self.ended |= self.read.len() > LONGEST_LINE;
        }
        lines(&mut self.read)
    }

    /// Whether the other side is gone. What it had said before is still there to be received.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Says something. A side that is gone, or does not listen, is noticed elsewhere.
    pub(super) fn send<T: Serialize>(&mut self, said: &T) {
        // Lines are far shorter than a socket's buffer: they go as one piece, or not at all.
        let _ = self.stream.write_all(&line(said));
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// One line.
pub(super) fn line<T: Serialize>(said: &T) -> Vec<u8> {
    // Nothing that is said here can fail to be JSON.
    let mut line = serde_json::to_vec(said).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Takes the whole lines out of what was read; what makes no sense is passed over.
pub(super) fn lines<T: DeserializeOwned>(read: &mut Vec<u8>) -> Vec<T> {
    let Some(end) = read.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let rest = read.split_off(end + 1);
    let whole = std::mem::replace(read, rest);
    whole
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// Sends the file over the socket, with an empty line.
pub(super) fn send_fd(stream: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::net::sendmsg(
        stream,
        &[IoSlice::new(b"\n")],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

fn receive_fd(stream: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        let mut into = [IoSliceMut::new(&mut byte)];
        match rustix::net::recvmsg(stream, &mut into, &mut control, flags()) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fd = fds.flatten().next();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let fd = fd.ok_or(io::ErrorKind::InvalidData)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

#[cfg(target_os = "linux")]
fn flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

#[cfg(not(target_os = "linux"))]
fn flags() -> RecvFlags {
    RecvFlags::empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_in_order_and_nonsense_is_passed_over() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Link::new(one).unwrap(), Link::new(other).unwrap());
        assert_eq!(other.receive::<Order>(), []);
        one.send(&Order::Until { until: Some(7) });
        one.stream.write_all(b"nonsense\n\n\"ki").unwrap();
        assert_eq!(other.receive::<Order>(), [Order::Until { until: Some(7) }]);
        one.stream.write_all(b"ll\"\n").unwrap();
        assert!(!other.ended());
        drop(one);
        assert_eq!(other.receive::<Order>(), [Order::Kill]);
        assert!(other.ended());
    }

    #[test]
    fn a_file_goes_over_the_socket() {
        let (one, other) = UnixStream::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        send_fd(&one, reader.as_fd()).unwrap();
        drop(reader);
        let mut reader = std::fs::File::from(receive_fd(&other).unwrap());
        writer.write_all(b"hello").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        drop(one);
        assert!(receive_fd(&other).is_err());
    }
}

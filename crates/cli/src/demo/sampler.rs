//! The thread that marks a candidate's belief every 2 ms.

use std::{
    io,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use tenure::{Instant, LeadershipHandle};

use super::marks::{Mark, PERIOD_NS, Writer};

/// Marks what the leaderships that it is given say of themselves.
pub(crate) struct Sampler {
    handles: mpsc::Sender<LeadershipHandle>,
}

impl Sampler {
    /// Begins with a file. A candidate whose marks cannot be written ends its process: its belief
    /// would go unseen.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let mut writer = Writer::open(path)?;
        let (handles, to_watch) = mpsc::channel();
        std::thread::Builder::new()
            .name("marks".to_owned())
            .spawn(move || {
                if let Err(error) = watch(&to_watch, &mut writer) {
                    crate::console::note(&format!("candidate: cannot write marks: {error}"));
                    std::process::exit(1);
                }
            })?;
        Ok(Self { handles })
    }

    /// Watch this term from now on, rather than the one before.
    pub(crate) fn watch(&self, handle: LeadershipHandle) {
        // The thread ends only with this, or with the process.
        let _ = self.handles.send(handle);
    }
}

fn watch(handles: &mpsc::Receiver<LeadershipHandle>, writer: &mut Writer) -> io::Result<()> {
    let Ok(mut handle) = handles.recv() else {
        return Ok(());
    };
    let (mut term, mut was_leading) = (1, false);
    let mut belief = Belief::new();
    let mut due = now();
    loop {
        let before = now();
        let leading = belief.of(&handle, before);
        let valid_until = handle.valid_until().map_or(0, Instant::as_nanos);
        let after = now();
        // One `false` says as much as a thousand.
        if leading || was_leading {
            writer.write(Mark {
                before,
                after,
                valid_until,
                term,
                leading,
            })?;
        }
        was_leading = leading;
        due = (due + PERIOD_NS).max(after);
        match handles.recv_timeout(Duration::from_nanos(due - after)) {
            Ok(next) => {
                handle = next;
                term += 1;
                belief = Belief::new();
                due = now();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn now() -> u64 {
    tenure::now().as_nanos()
}

/// What a candidate believes: what its leadership says, and nothing else.
#[cfg(not(feature = "broken-for-tests"))]
struct Belief;

#[cfg(not(feature = "broken-for-tests"))]
impl Belief {
    fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the broken one remembers")]
    fn of(&mut self, handle: &LeadershipHandle, _now: u64) -> bool {
        handle.is_leading()
    }
}

/// What a candidate of a broken build believes: that it may go on for a while when its leadership
/// has ended. Only to show that the measuring notices.
#[cfg(feature = "broken-for-tests")]
struct Belief {
    ended: Option<u64>,
}

#[cfg(feature = "broken-for-tests")]
impl Belief {
    const GOES_ON_NS: u64 = 500_000_000;

    fn new() -> Self {
        Self { ended: None }
    }

    fn of(&mut self, handle: &LeadershipHandle, now: u64) -> bool {
        if handle.is_leading() || std::env::var_os("TENURE_BROKEN_FOR_TESTS").is_none() {
            return handle.is_leading();
        }
        let ended = *self.ended.get_or_insert(now);
        now < ended + Self::GOES_ON_NS
    }
}

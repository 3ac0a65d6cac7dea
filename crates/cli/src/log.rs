//! The log goes to standard error by a thread of its own: whoever reads it slowly, or not at all, must
//! not keep an election from going on.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Makes writers that never wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

/// Takes one line at each call.
#[derive(Debug)]
pub(crate) struct Writer;

enum Order {
    Write(Vec<u8>),
    /// Say so when all before it is written.
    Tell(SyncSender<()>),
}

/// Lines that wait for a reader. Those that come on top of them are counted instead.
const MOST: usize = 1024;

/// How long the last lines may take.
const FINISH_LIMIT: Duration = Duration::from_secs(1);

/// There is none where nothing was logged yet, or no thread could be started.
static ORDERS: OnceLock<Option<SyncSender<Order>>> = OnceLock::new();

static LOST: AtomicUsize = AtomicUsize::new(0);

/// Waits until everything logged so far is written; a reader that stands still gets no more.
pub(crate) fn finish() {
    let Some(Some(orders)) = ORDERS.get() else {
        return;
    };
    let (written, told) = sync_channel(1);
    if orders.try_send(Order::Tell(written)).is_ok() {
        let _ = told.recv_timeout(FINISH_LIMIT);
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Writer;

    fn make_writer(&'a self) -> Writer {
        Writer
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(orders) = ORDERS.get_or_init(start) else {
            return io::stderr().write(line);
        };
        if let Err(TrySendError::Full(_)) = orders.try_send(Order::Write(line.to_vec())) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start() -> Option<SyncSender<Order>> {
    let (orders, to_do) = sync_channel(MOST);
    let thread = std::thread::Builder::new().name("log".to_owned());
    let started = thread.spawn(move || write_all(&to_do, &LOST, &mut io::stderr()));
    started.is_ok().then_some(orders)
}

/// Nobody can be told of an error in writing what would tell it.
fn write_all(orders: &Receiver<Order>, lost: &AtomicUsize, to: &mut impl Write) {
    for order in orders {
        match order {
            Order::Write(line) => {
                let _ = to.write_all(&line);
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(
                        to,
                        "tenure: {lost} lines of the log are missing here: it was not read"
                    );
                }
            }
            Order::Tell(written) => {
                let _ = to.flush();
                let _ = written.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_counted_where_it_is_missing() {
        let (orders, to_do) = sync_channel(3);
        let (written, told) = sync_channel(1);
        orders.try_send(Order::Write(b"one\n".to_vec())).unwrap();
        orders.try_send(Order::Write(b"two\n".to_vec())).unwrap();
        orders.try_send(Order::Tell(written)).unwrap();
        drop(orders);
        let mut seen = Vec::new();
        write_all(&to_do, &AtomicUsize::new(7), &mut seen);
        told.try_recv().unwrap();
        assert_eq!(
            String::from_utf8(seen).unwrap(),
            "one\ntenure: 7 lines of the log are missing here: it was not read\ntwo\n"
        );
    }
}

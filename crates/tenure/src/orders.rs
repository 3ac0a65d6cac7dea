//! What the rest of the library asks of a driver, on its way there.
//!
//! Not a channel of tokio's: that takes room for 32 orders at once, in each of a thousand elections.

use std::sync::{Arc, Weak};

use futures::channel::mpsc;
use tokio::sync::oneshot;

use crate::{leadership::Leadership, published::Term};

/// One thing that is asked.
pub(crate) enum Order {
    /// Somebody waits for leadership.
    Acquire(oneshot::Sender<Leadership>),
    /// Somebody who waited may be gone.
    Recount,
    /// The work of this term has ended.
    WorkEnded { term: Arc<Term>, release: bool },
    /// The work of this term, or of whichever there is, should end, so that this one goes first.
    StepDown {
        term: Option<Arc<Term>>,
        to: Option<Arc<str>>,
    },
}

/// Where to give them. The driver's end comes with the last clone.
#[derive(Clone)]
pub(crate) struct Orders(Arc<mpsc::UnboundedSender<Order>>);

/// The same, which does not keep a driver from its end.
#[derive(Clone)]
pub(crate) struct WeakOrders(Weak<mpsc::UnboundedSender<Order>>);

/// Where they arrive, in order; nothing more after the last of [`Orders`] is gone.
pub(crate) type Arriving = mpsc::UnboundedReceiver<Order>;

pub(crate) fn orders() -> (Orders, Arriving) {
    let (orders, arriving) = mpsc::unbounded();
    (Orders(Arc::new(orders)), arriving)
}

impl Orders {
    /// Whether it can arrive: the driver is there.
    pub(crate) fn give(&self, order: Order) -> bool {
        self.0.unbounded_send(order).is_ok()
    }

    /// Whether there is no driver any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub(crate) fn downgrade(&self) -> WeakOrders {
        WeakOrders(Arc::downgrade(&self.0))
    }
}

impl WeakOrders {
    /// Unless the last is gone.
    pub(crate) fn upgrade(&self) -> Option<Orders> {
        self.0.upgrade().map(Orders)
    }
}

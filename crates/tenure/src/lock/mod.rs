//! A core request as a Kubernetes call, and back. Nothing is decided here.

pub(crate) mod always;
pub(crate) mod asked_json;
mod events;
pub(crate) mod gate;
mod head;
pub(crate) mod hub;
mod kept;
pub(crate) mod lease;
pub(crate) mod lease_json;
pub(crate) mod life;
pub(crate) mod life_json;
mod memory;
mod pod_json;
mod watch;
pub(crate) mod written;

use events::Sent;
pub(crate) use pod_json::bare_id;

use futures::{future::BoxFuture, stream::BoxStream};
use tenure_core::{Elector, Outcome, ResourceVersion, Sight, Uid};

/// What an answered call brought.
#[derive(Debug)]
pub(crate) enum Reply<A, O> {
    /// An object of the lock's own kind, to be remembered.
    Object(O),
    /// Something else, ready to be handed to the core.
    Ready(A),
}

/// What the watch brings.
#[derive(Debug)]
pub(crate) enum Watched {
    Opened,
    Closed {
        error: Option<String>,
        forbidden: bool,
    },
    Seen(Sent),
    Gone(Sent),
}

/// The answer to a request of this lock's elector.
pub(crate) type ReplyOf<L> =
    Outcome<Reply<<<L as Lock>::Elector as Elector>::Answer, <L as Lock>::Object>>;

/// A kind of lock.
pub(crate) trait Lock: Send + 'static {
    type Elector: Elector<Request: Send, Answer: Send, Object: Send> + Send;
    /// What is read of an object of this kind.
    type Object: Send;

    /// Make the call. It ends within the call limit (L16), or with its future.
    fn call(
        &mut self,
        request: <Self::Elector as Elector>::Request,
    ) -> BoxFuture<'static, ReplyOf<Self>>;

    /// Turn a reply into what the core takes, remembering the object for a later replace.
    fn answer(
        &mut self,
        reply: Reply<<Self::Elector as Elector>::Answer, Self::Object>,
    ) -> Outcome<<Self::Elector as Elector>::Answer>;

    /// The same for an event of the watch. `None` where it cannot be understood.
    fn sight(
        &mut self,
        sent: &Sent,
        gone: bool,
    ) -> Option<Sight<<Self::Elector as Elector>::Object>>;

    /// The core has taken in this state: the watch need not bring it.
    fn taken_in(&mut self, _newest: &ResourceVersion) {}

    /// The uid of the object that was seen last, if any was.
    fn uid(&self) -> Option<Uid> {
        None
    }

    /// Watch the lock object for ever: cut streams are opened anew.
    fn watch(&self) -> BoxStream<'static, Watched>;
}

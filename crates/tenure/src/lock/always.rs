//! No lock at all.

use std::convert::Infallible;

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use tenure_core::{Outcome, Sight, always::AlwaysElector};

use super::{Lock, Reply, ReplyOf, Sent, Watched};

/// What needs no server.
pub(crate) struct NoLock;

impl Lock for NoLock {
    type Elector = AlwaysElector;
    type Object = Infallible;

    fn call(&mut self, request: Infallible) -> BoxFuture<'static, ReplyOf<Self>> {
        match request {}
    }

    fn answer(&mut self, reply: Reply<Infallible, Infallible>) -> Outcome<Infallible> {
        match reply {
            Reply::Ready(never) | Reply::Object(never) => match never {},
        }
    }

    fn sight(&mut self, _: &Sent, _: bool) -> Option<Sight<Infallible>> {
        None
    }

    fn watch(&self) -> BoxStream<'static, Watched> {
        futures::stream::pending().boxed()
    }
}

//! No lock at all.

use std::convert::Infallible;

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tenure_core::{Outcome, Sight, always::AlwaysElector};

use super::{Lock, Reply, ReplyOf, Watched};

/// What needs no server.
pub(crate) struct NoLock;

impl Lock for NoLock {
    type Elector = AlwaysElector;

    fn call(&mut self, request: Infallible) -> BoxFuture<'static, ReplyOf<Self>> {
        match request {}
    }

    fn answer(&mut self, reply: Reply<Infallible>) -> Outcome<Infallible> {
        match reply {
            Reply::Ready(never) => match never {},
            Reply::Object(_) => Outcome::Unknown("there is no server".into()),
        }
    }

    fn sight(&mut self, _: Value, _: bool) -> Option<Sight<Infallible>> {
        None
    }

    fn watch(&self) -> BoxStream<'static, Watched> {
        futures::stream::pending().boxed()
    }
}

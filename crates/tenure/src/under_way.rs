//! What a driver waits for besides: calls, of which there is mostly one.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};

/// A few futures at once, each with its name, all of which are polled with whoever holds them.
///
/// Not `FuturesUnordered`: that finds the one of many that was woken, by five allocations in each of a
/// thousand elections, and two more for each call.
pub(crate) struct UnderWay<K, T>(Vec<(K, BoxFuture<'static, T>)>);

impl<K, T> UnderWay<K, T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, name: K, future: BoxFuture<'static, T>) {
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.push((name, future));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the next one that ends, and what it brings. Never ends where there is none.
    ///
    /// Cancel safe: what has ended is brought at once.
    pub(crate) fn next(&mut self) -> impl Future<Output = (K, T)> {
        poll_fn(|context| self.poll(context))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(K, T)> {
        for at in 0..self.0.len() {
            if let Poll::Ready(brought) = self.0[at].1.poll_unpin(context) {
                let (name, _) = self.0.remove(at);
                return Poll::Ready((name, brought));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::{channel::oneshot, poll};

    use super::*;

    #[tokio::test]
    async fn each_brings_what_it_has_when_it_has_it_and_the_others_go_on() {
        let mut calls = UnderWay::new();
        assert!(poll!(std::pin::pin!(calls.next())).is_pending());
        let (ends, waits): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<u32>()).unzip();
        for (name, wait) in "abc".chars().zip(waits) {
            calls.push(name, async { wait.await.unwrap_or(0) }.boxed());
        }
        assert!(poll!(std::pin::pin!(calls.next())).is_pending());
        let mut ends = ends.into_iter();
        let (first, second, third) = (ends.next(), ends.next(), ends.next());
        second.unwrap().send(2).unwrap();
        assert_eq!(calls.next().await, ('b', 2));
        assert!(poll!(std::pin::pin!(calls.next())).is_pending());
        third.unwrap().send(3).unwrap();
        first.unwrap().send(1).unwrap();
        assert_eq!(calls.next().await, ('a', 1));
        assert_eq!(calls.next().await, ('c', 3));
        assert!(calls.is_empty());
    }
}

//! What calls are sent over: kube's client, or the connection below it.
//!
//! kube puts a queue with a task of its own between a client's users and its connections. Where the
//! stack is put together here (see `direct`) the calls of elections go past that queue, to the same
//! connections: a task's wake-up less for each of a thousand renewals.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response};
use kube::{Client, client::Body};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::call::with_causes;

/// Clones share the connections.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Inner>);

struct Inner {
    client: Client,
    aside: Aside,
    #[cfg(feature = "rustls-tls")]
    direct: Option<crate::direct::Direct>,
}

/// What calls that are no election's share over one client, however many elections there are.
pub(crate) struct Aside {
    turns: Semaphore,
    /// The namespaces of which it was said that something is refused there.
    told: Mutex<BTreeSet<String>>,
}

/// How many of them may be under way at once.
const ASIDE: usize = 4;

impl Aside {
    const fn new() -> Self {
        Self {
            turns: Semaphore::const_new(ASIDE),
            told: Mutex::new(BTreeSet::new()),
        }
    }

    /// Holds a turn for as long as it is kept.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// Whether a refusal in this namespace is the first.
    pub(crate) fn is_news(&self, namespace: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(namespace.to_owned())
    }
}

/// What is read of an answer.
#[cfg(feature = "rustls-tls")]
pub(crate) type AnswerBody = http_body_util::Either<Body, hyper::body::Incoming>;
#[cfg(not(feature = "rustls-tls"))]
pub(crate) type AnswerBody = Body;

impl Wire {
    pub(crate) fn over(client: Client) -> Self {
        Self(Arc::new(Inner {
            client,
            aside: Aside::new(),
            #[cfg(feature = "rustls-tls")]
            direct: None,
        }))
    }

    #[cfg(feature = "rustls-tls")]
    pub(crate) fn direct(client: Client, direct: crate::direct::Direct) -> Self {
        Self(Arc::new(Inner {
            client,
            aside: Aside::new(),
            direct: Some(direct),
        }))
    }

    /// For whatever is no call about a lock.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// For calls that must not crowd out those about locks.
    pub(crate) fn aside(&self) -> &Aside {
        &self.0.aside
    }

    /// Send it once.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    #[cfg(feature = "rustls-tls")]
    pub(crate) async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<AnswerBody>, String> {
        let request = request.map(Body::from);
        match &self.0.direct {
            Some(direct) => {
                let answer = tower::ServiceExt::oneshot(direct.clone(), request).await;
                let answer = answer.map_err(|error| with_causes(&*error))?;
                Ok(answer.map(AnswerBody::Right))
            }
            None => Ok(by_kube(&self.0.client, request)
                .await?
                .map(AnswerBody::Left)),
        }
    }

    /// Send it once.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    #[cfg(not(feature = "rustls-tls"))]
    pub(crate) async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<AnswerBody>, String> {
        by_kube(&self.0.client, request.map(Body::from)).await
    }
}

async fn by_kube(client: &Client, request: Request<Body>) -> Result<Response<Body>, String> {
    let answer = client.send(request).await;
    answer.map_err(|error| with_causes(&error))
}

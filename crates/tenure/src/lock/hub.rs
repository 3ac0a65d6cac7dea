//! One watch on all the Leases of a namespace, for the elections of a set. Each is told what a watch
//! of its own would tell it: a hint, never the ground for leading (L15).
//!
//! A watch that the server ends in order is resumed where it stopped, and nobody is told. After
//! anything else it begins with the present state again, and everybody is told, so that everybody
//! reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc, stream::BoxStream};
use kube::Client;
use tenure_core::ResourceVersion;
use tracing::{debug, warn};

use super::{
    Watched,
    events::{End, Events, Heard, Shown},
    watch::{Abort, CLIENT_SIDE, OPENING, Pauses, SERVER_SIDE, open},
};
use crate::call::{LEASES, get_path};

/// What a member may lag behind. One that lags further begins anew, as after a cut.
const KEPT: usize = 32;
/// How long resuming a watch may take. Until then nobody is told, and nobody polls.
const RESUMING: Duration = Duration::from_secs(2);

/// The watch and those who listen. It ends with its last clone and the last of their streams.
pub(crate) struct Hub {
    members: Arc<Mutex<Members>>,
    _task: Abort,
}

#[derive(Default)]
struct Members {
    open: bool,
    last: u64,
    by_name: BTreeMap<Arc<str>, Vec<Listener>>,
}

struct Listener {
    id: u64,
    to: mpsc::Sender<Watched>,
    known: Known,
}

/// The newest state of a lock that its election has taken in. The watch's echo of it, one for each
/// renewal, wakes nobody.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Option<ResourceVersion>>>);

impl Known {
    pub(crate) fn set(&self, newest: &ResourceVersion) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(newest) {
            *known = Some(newest.clone());
        }
    }

    fn is(&self, version: Option<&str>) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        version.is_some() && known.as_ref().map(ResourceVersion::as_str) == version
    }
}

impl Hub {
    /// Watch the Leases of `namespace`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(client: Client, namespace: &str) -> Arc<Self> {
        let members = Arc::default();
        let watching = Watching {
            client,
            collection: LEASES.collection(namespace),
            namespace: namespace.to_owned(),
            members: Arc::clone(&members),
            warned: false,
        };
        Arc::new(Self {
            members,
            _task: Abort(tokio::spawn(watching.for_ever())),
        })
    }

    /// What happens to the Lease of that name from now on.
    pub(crate) fn watch(self: &Arc<Self>, name: &str, known: Known) -> BoxStream<'static, Watched> {
        let (id, events) = join(&self.members, name, &known);
        let member = Member {
            hub: Arc::clone(self),
            name: name.into(),
            known,
            id,
            events,
        };
        futures::stream::unfold(member, |mut member| async move {
            let event = member.next().await;
            Some((event, member))
        })
        .boxed()
    }
}

/// One who listens.
struct Member {
    hub: Arc<Hub>,
    name: Arc<str>,
    known: Known,
    id: u64,
    events: mpsc::Receiver<Watched>,
}

impl Member {
    async fn next(&mut self) -> Watched {
        if let Some(event) = self.events.next().await {
            return event;
        }
        // It lagged, and was let go: what came meanwhile is to be read.
        (self.id, self.events) = join(&self.hub.members, &self.name, &self.known);
        Watched::Closed {
            error: None,
            forbidden: false,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = locked(&self.hub.members);
        if let Some(listening) = members.by_name.get_mut(&self.name) {
            listening.retain(|listener| listener.id != self.id);
            if listening.is_empty() {
                members.by_name.remove(&self.name);
            }
        }
    }
}

fn locked(members: &Mutex<Members>) -> MutexGuard<'_, Members> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(members: &Mutex<Members>, name: &str, known: &Known) -> (u64, mpsc::Receiver<Watched>) {
    // One of tokio's would take room for all of them from the start, a thousand times. Each sender of
    // such a channel has a place of its own besides those that are shared.
    let (mut sender, receiver) = mpsc::channel(KEPT - 1);
    let mut members = locked(members);
    members.last += 1;
    let id = members.last;
    if members.open {
        // A new channel has room.
        let _ = sender.try_send(Watched::Opened);
    }
    let listening = members.by_name.entry(name.into()).or_default();
    listening.push(Listener {
        id,
        to: sender,
        known: known.clone(),
    });
    (id, receiver)
}

impl Members {
    /// Tell everybody that the watch has begun anew, or has ended.
    fn tell_all(&mut self, open: bool) {
        self.open = open;
        for listening in self.by_name.values_mut() {
            listening.retain_mut(|listener| {
                let what = if open {
                    Watched::Opened
                } else {
                    Watched::Closed {
                        error: None,
                        forbidden: false,
                    }
                };
                listener.to.try_send(what).is_ok()
            });
        }
    }

    /// Tell whom it concerns.
    ///
    /// # Errors
    /// It concerns somebody, and is broken.
    fn tell(&mut self, heard: &Heard, gone: bool) -> Result<(), End> {
        let name = heard.name.as_deref();
        let Some(listening) = name.and_then(|name| self.by_name.get_mut(name)) else {
            return Ok(());
        };
        let version = heard.resource_version.as_deref();
        let echo = |listener: &Listener| !gone && listener.known.is(version);
        if listening.iter().all(echo) {
            return Ok(());
        }
        let sent = heard.whole()?;
        let what = if gone { Watched::Gone } else { Watched::Seen };
        listening.retain_mut(|listener| {
            echo(listener) || listener.to.try_send(what(sent.clone())).is_ok()
        });
        Ok(())
    }
}

/// The task of a hub.
struct Watching {
    client: Client,
    collection: String,
    namespace: String,
    members: Arc<Mutex<Members>>,
    warned: bool,
}

impl Watching {
    async fn for_ever(mut self) {
        let mut pauses = Pauses::new();
        let mut resume = None;
        loop {
            let end = self.once(&mut resume, &mut pauses).await;
            let rest = pauses.next(end.as_ref().err());
            if let Err(end) = &end {
                resume = None;
                self.log(end);
            }
            if resume.is_none() {
                locked(&self.members).tell_all(false);
            }
            tokio::time::sleep(rest).await;
        }
    }

    /// One request, to its end. `resume` is the resourceVersion at which the next one can go on.
    async fn once(&mut self, resume: &mut Option<String>, pauses: &mut Pauses) -> Result<(), End> {
        let (from, limit) = match resume {
            Some(version) => (format!("&resourceVersion={version}"), RESUMING),
            None => (String::new(), OPENING),
        };
        let query = format!(
            "{}?watch=true&timeoutSeconds={}&allowWatchBookmarks=true{from}",
            self.collection,
            SERVER_SIDE.as_secs()
        );
        let mut events = open(limit, Events::of_all(&self.client, get_path(&query))).await?;
        pauses.opened();
        self.warned = false;
        if resume.is_none() {
            locked(&self.members).tell_all(true);
        }
        let over = tokio::time::sleep(CLIENT_SIDE);
        tokio::pin!(over);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut over => return Err(End::because("it outlived its time limit".to_owned())),
                event = events.next() => event?,
            };
            let (heard, gone) = match event {
                None => return Ok(()),
                Some(Shown::Bookmark(heard)) => {
                    // From here on the events are in order, and nothing before is missing.
                    *resume = version_in(&heard);
                    continue;
                }
                Some(Shown::Seen(heard)) => (heard, false),
                Some(Shown::Gone(heard)) => (heard, true),
            };
            if resume.is_some() {
                *resume = version_in(&heard);
            }
            locked(&self.members).tell(&heard, gone)?;
        }
    }

    fn log(&mut self, end: &End) {
        let (namespace, error) = (&*self.namespace, &*end.error);
        if end.forbidden && !self.warned {
            self.warned = true;
            warn!(
                namespace,
                error,
                "no right to watch the leases of the namespace: each lock of the set is polled \
                 instead; `tenure rbac --set` prints the rights that a set needs"
            );
        } else {
            debug!(
                namespace,
                error, "the set's watch ended: polling until it is open again"
            );
        }
    }
}

/// What can stand in a query as it is; anything else is no resourceVersion of a Kubernetes.
fn version_in(heard: &Heard) -> Option<String> {
    let version = heard.resource_version.as_deref()?;
    let plain = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hub() -> Arc<Hub> {
        Arc::new(Hub {
            members: Arc::default(),
            _task: Abort(tokio::spawn(std::future::pending())),
        })
    }

    fn lease(name: &str, version: u32) -> Value {
        json!({"metadata": {"name": name, "resourceVersion": version.to_string()}})
    }

    fn tell(hub: &Hub, object: &Value, gone: bool) {
        let heard = Heard::of(object);
        locked(&hub.members).tell(&heard, gone).unwrap();
    }

    fn listen(hub: &Arc<Hub>, name: &str) -> BoxStream<'static, Watched> {
        hub.watch(name, Known::default())
    }

    #[tokio::test]
    async fn who_lags_behind_begins_anew_and_keeps_nobody_else_waiting() {
        let hub = hub();
        let (mut slow, mut quick) = (listen(&hub, "a"), listen(&hub, "a"));
        locked(&hub.members).tell_all(true);
        let many = u32::try_from(KEPT).unwrap() * 3;
        assert!(matches!(quick.next().await, Some(Watched::Opened)));
        for version in 0..many {
            tell(&hub, &lease("a", version), false);
            tell(&hub, &lease("b", version), false);
            let told = quick.next().await;
            assert!(
                matches!(told, Some(Watched::Seen(sent)) if sent.object() == lease("a", version))
            );
        }
        // What was kept, in order; then it is told to read.
        assert!(matches!(slow.next().await, Some(Watched::Opened)));
        for version in 0..many {
            match slow.next().await {
                Some(Watched::Seen(sent)) => assert_eq!(sent.object(), lease("a", version)),
                Some(Watched::Closed { error: None, .. }) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(slow.next().await, Some(Watched::Opened)));
        tell(&hub, &lease("a", 1000), true);
        assert!(matches!(slow.next().await, Some(Watched::Gone(_))));
        drop((slow, quick));
        assert!(locked(&hub.members).by_name.is_empty());
    }

    #[tokio::test]
    async fn an_only_one_that_lags_begins_anew() {
        let hub = hub();
        locked(&hub.members).tell_all(true);
        let mut slow = listen(&hub, "a");
        for version in 0..100 {
            tell(&hub, &lease("a", version), false);
        }
        let told = (&mut slow).take(KEPT + 2).collect::<Vec<_>>().await;
        assert!(matches!(told[KEPT], Watched::Closed { .. }), "{told:?}");
        assert!(matches!(told[KEPT + 1], Watched::Opened), "{told:?}");
        locked(&hub.members).tell_all(false);
        assert!(matches!(slow.next().await, Some(Watched::Closed { .. })));
    }

    #[tokio::test]
    async fn the_echo_of_what_is_known_wakes_nobody_and_everything_else_does() {
        let hub = hub();
        let known = Known::default();
        let (mut mine, mut another) = (hub.watch("a", known.clone()), listen(&hub, "a"));
        known.set(&ResourceVersion::new("5"));
        for version in [5, 4, 6] {
            tell(&hub, &lease("a", version), false);
        }
        tell(&hub, &lease("a", 5), true);
        for version in [4, 6] {
            let told = mine.next().await;
            assert!(
                matches!(told, Some(Watched::Seen(sent)) if sent.object() == lease("a", version))
            );
        }
        assert!(matches!(mine.next().await, Some(Watched::Gone(_))));
        let told = another.next().await;
        assert!(matches!(told, Some(Watched::Seen(sent)) if sent.object() == lease("a", 5)));
    }

    #[tokio::test]
    async fn what_is_broken_ends_the_watch_where_it_concerns_somebody() {
        let hub = hub();
        let known = Known::default();
        let _mine = hub.watch("a", known.clone());
        let broken = Heard::broken("a", "5");
        assert!(locked(&hub.members).tell(&broken, false).is_err());
        known.set(&ResourceVersion::new("5"));
        assert!(locked(&hub.members).tell(&broken, true).is_err());
        assert!(locked(&hub.members).tell(&broken, false).is_ok(), "an echo");
        let anothers = Heard::broken("b", "5");
        assert!(locked(&hub.members).tell(&anothers, false).is_ok());
    }

    #[test]
    fn only_a_plain_version_goes_into_a_query() {
        let of = |version: Value| {
            version_in(&Heard::of(
                &json!({"metadata": {"resourceVersion": version}}),
            ))
        };
        assert_eq!(of(json!("12")), Some("12".to_owned()));
        for bad in [
            json!(""),
            json!("1&watch=false"),
            json!(12),
            json!("1 2"),
            Value::Null,
        ] {
            assert_eq!(of(bad), None);
        }
    }
}

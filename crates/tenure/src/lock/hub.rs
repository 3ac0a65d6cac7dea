//! One watch on all the Leases of a namespace, for the elections of a set. Each is told what a watch
//! of its own would tell it: a hint, never the ground for leading (L15).
//!
//! A watch that the server ends in order is resumed where it stopped, and nobody is told. After
//! anything else it begins with the present state again, and everybody is told, so that everybody
//! reads.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{Stream, StreamExt, stream::BoxStream};
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
    by_name: BTreeMap<Arc<str>, Vec<Inbox>>,
}

/// What one election of a set has still to hear of its Lease, and what it knows. Clones share it.
///
/// No channel of a library's: all that there is of it would be allocated a thousand times, in five pieces.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Letters>>);

#[derive(Default)]
struct Letters {
    /// The newest state that the election has taken in. The watch's echo of it, one for each
    /// renewal, wakes nobody.
    known: Option<ResourceVersion>,
    events: VecDeque<Watched>,
    reader: Option<Waker>,
}

impl Inbox {
    /// This state has been taken in.
    pub(crate) fn knows(&self, newest: &ResourceVersion) {
        let mut letters = locked(&self.0);
        if letters.known.as_ref() != Some(newest) {
            letters.known = Some(newest.clone());
        }
    }

    fn is_echo(&self, version: Option<&str>) -> bool {
        let letters = locked(&self.0);
        version.is_some() && letters.known.as_ref().map(ResourceVersion::as_str) == version
    }

    /// Whoever lags too far behind begins anew, as after a cut: the read that comes of it shows what
    /// was missed.
    fn put(&self, what: Watched) {
        let mut letters = locked(&self.0);
        if letters.events.len() < KEPT {
            letters.events.push_back(what);
        } else {
            letters.events.clear();
            letters.events.push_back(CUT);
            if !matches!(what, Watched::Closed { .. }) {
                letters.events.push_back(Watched::Opened);
            }
        }
        let reader = letters.reader.take();
        drop(letters);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Watched> {
        let mut letters = locked(&self.0);
        if let Some(event) = letters.events.pop_front() {
            if letters.events.is_empty() {
                letters.events = VecDeque::new();
            }
            return Poll::Ready(event);
        }
        match &mut letters.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

const CUT: Watched = Watched::Closed {
    error: None,
    forbidden: false,
};

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
    pub(crate) fn watch(self: &Arc<Self>, name: &str, inbox: Inbox) -> BoxStream<'static, Watched> {
        let name = Arc::from(name);
        locked(&self.members).join(&name, &inbox);
        let hub = Arc::clone(self);
        Member { hub, name, inbox }.boxed()
    }
}

/// One who listens.
struct Member {
    hub: Arc<Hub>,
    name: Arc<str>,
    inbox: Inbox,
}

impl Stream for Member {
    type Item = Watched;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Watched>> {
        self.inbox.poll(context).map(Some)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        locked(&self.hub.members).leave(&self.name, &self.inbox);
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Members {
    fn join(&mut self, name: &Arc<str>, inbox: &Inbox) {
        if self.open {
            inbox.put(Watched::Opened);
        }
        let listening = self.by_name.entry(Arc::clone(name)).or_default();
        listening.push(inbox.clone());
    }

    fn leave(&mut self, name: &str, inbox: &Inbox) {
        if let Some(listening) = self.by_name.get_mut(name) {
            listening.retain(|another| !another.is(inbox));
            if listening.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    /// Tell everybody that the watch has begun anew, or has ended.
    fn tell_all(&mut self, open: bool) {
        self.open = open;
        for inbox in self.by_name.values().flatten() {
            inbox.put(if open { Watched::Opened } else { CUT });
        }
    }

    /// Tell whom it concerns.
    ///
    /// # Errors
    /// It concerns somebody, and is broken.
    fn tell(&self, heard: &Heard, gone: bool) -> Result<(), End> {
        let name = heard.name.as_deref();
        let Some(listening) = name.and_then(|name| self.by_name.get(name)) else {
            return Ok(());
        };
        let version = heard.resource_version.as_deref();
        let news = |inbox: &&Inbox| gone || !inbox.is_echo(version);
        if !listening.iter().any(|inbox| news(&inbox)) {
            return Ok(());
        }
        let sent = heard.whole()?;
        let what = if gone { Watched::Gone } else { Watched::Seen };
        for inbox in listening.iter().filter(news) {
            inbox.put(what(sent.clone()));
        }
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
        hub.watch(name, Inbox::default())
    }

    #[tokio::test]
    async fn who_lags_behind_begins_anew_and_keeps_nobody_else_waiting() {
        let hub = hub();
        let slow_inbox = Inbox::default();
        let (mut slow, mut quick) = (hub.watch("a", slow_inbox.clone()), listen(&hub, "a"));
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
        // It is told to read, and then hears of the newest, in order.
        assert!(matches!(
            slow.next().await,
            Some(Watched::Closed { error: None, .. })
        ));
        assert!(matches!(slow.next().await, Some(Watched::Opened)));
        let kept = locked(&slow_inbox.0).events.len();
        assert!((1..KEPT).contains(&kept), "{kept}");
        for version in many - u32::try_from(kept).unwrap()..many {
            let told = slow.next().await;
            assert!(
                matches!(told, Some(Watched::Seen(sent)) if sent.object() == lease("a", version))
            );
        }
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
        locked(&hub.members).tell_all(false);
        assert!(matches!(slow.next().await, Some(Watched::Closed { .. })));
        assert!(matches!(slow.next().await, Some(Watched::Opened)));
        let last = loop {
            match slow.next().await {
                Some(Watched::Seen(_)) => {}
                last => break last,
            }
        };
        assert!(matches!(last, Some(Watched::Closed { .. })), "{last:?}");
    }

    #[tokio::test]
    async fn who_lags_behind_at_the_end_of_the_watch_does_not_hear_that_it_is_open() {
        let hub = hub();
        locked(&hub.members).tell_all(true);
        let inbox = Inbox::default();
        let mut slow = hub.watch("a", inbox.clone());
        while locked(&inbox.0).events.len() < KEPT {
            tell(&hub, &lease("a", 1), false);
        }
        locked(&hub.members).tell_all(false);
        assert!(matches!(slow.next().await, Some(Watched::Closed { .. })));
        assert!(futures::poll!(slow.next()).is_pending());
    }

    #[tokio::test]
    async fn the_echo_of_what_is_known_wakes_nobody_and_everything_else_does() {
        let hub = hub();
        let known = Inbox::default();
        let (mut mine, mut another) = (hub.watch("a", known.clone()), listen(&hub, "a"));
        known.knows(&ResourceVersion::new("5"));
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
        let known = Inbox::default();
        let _mine = hub.watch("a", known.clone());
        let broken = Heard::broken("a", "5");
        assert!(locked(&hub.members).tell(&broken, false).is_err());
        known.knows(&ResourceVersion::new("5"));
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

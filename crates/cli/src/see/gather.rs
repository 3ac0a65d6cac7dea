//! Everything that is looked at, with what could not be.

use futures::{StreamExt as _, future::join3, stream};
use serde_json::Value;

use super::{
    api::{Api, Refusal, collection},
    judge::{Judgement, Moment, judge},
    kind::Kind,
    lock::{Lock, NODE_LEASES},
    pods::Pod,
};
use crate::failure::Failure;

/// Which locks are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// All namespaces where none is given.
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<Kind>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) locks: Vec<(Lock, Judgement)>,
    /// What could not be looked at, a line each.
    pub(crate) missing: Vec<String>,
    pub(crate) moment: Moment,
    /// None where they could not be listed.
    pub(crate) pods: Option<Vec<Pod>>,
    /// The kinds of lock that could not be looked at: a line of `missing`, and why.
    pub(crate) unseen: Vec<(String, Refusal)>,
    /// That are all that were asked for.
    pub(crate) blind: bool,
}

/// How many ConfigMaps are read at a time.
const AT_A_TIME: usize = 16;

impl Wanted {
    fn is_for(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
    }

    /// Which objects of that kind are asked for, as a query.
    pub(crate) fn selector(&self, kind: Kind) -> String {
        match (&self.name, &self.namespace) {
            (Some(name), _) => format!("fieldSelector=metadata.name%3D{name}"),
            // Each node renews one, and none of them is an election.
            (None, None) if kind == Kind::Lease => {
                format!("fieldSelector=metadata.namespace%21%3D{NODE_LEASES}")
            }
            _ => String::new(),
        }
    }

    /// What helps where one kind of lock could be seen and another could not.
    pub(crate) fn say_which(&self) -> String {
        match (&self.name, self.kind) {
            (Some(name), None) => format!(
                "`tenure doctor` says what is missing, and lease/{name} or the like looks at one kind \
                 alone"
            ),
            _ => "`tenure doctor` says what is missing".to_owned(),
        }
    }

    /// In words, for what is not there.
    pub(crate) fn told(&self) -> String {
        let kind = self.kind.map_or("lock", Kind::name);
        let name = self
            .name
            .as_deref()
            .map(|name| format!(" {name}"))
            .unwrap_or_default();
        format!("{kind}{name} in {}", self.place())
    }

    pub(crate) fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("the namespace {namespace}"),
            None => "any namespace".to_owned(),
        }
    }
}

/// Looks at everything that is wanted.
pub(crate) async fn gather(api: &Api, wanted: &Wanted) -> Found {
    let mut found = Found::default();
    let namespace = wanted.namespace.as_deref();
    let path = collection("", "v1", "pods", namespace);
    let pods = api.list(&path, "", false);
    let (leases, (config_maps, leader_locks), pods) = join3(
        objects(api, Kind::Lease, wanted),
        async {
            (
                objects(api, Kind::ConfigMap, wanted).await,
                objects(api, Kind::LeaderLock, wanted).await,
            )
        },
        pods,
    )
    .await;
    let place = wanted.place();
    let mut asked = 0_usize;
    let mut locks = Vec::new();
    for (kind, answer) in [
        (Kind::Lease, leases),
        (Kind::ConfigMap, config_maps),
        (Kind::LeaderLock, leader_locks),
    ] {
        if !wanted.is_for(kind) {
            continue;
        }
        asked += 1;
        let verb = if wanted.name.is_some() && namespace.is_some() {
            "get"
        } else {
            "list"
        };
        match answer {
            Ok((objects, unseen)) => {
                found.missing.extend(unseen);
                // Nodes' Leases are shown to whoever asks for them.
                let named = wanted.name.is_some() || namespace == Some(NODE_LEASES);
                let read = objects
                    .iter()
                    .filter_map(|object| Lock::read(kind, object, named));
                locks.extend(read);
            }
            // LeaderLocks need a definition that many clusters do not have.
            Err(Refusal::NotFound) => asked -= usize::from(verb == "list"),
            Err(refusal) => {
                let line = lacking(kind.plural(), verb, &place, &refusal);
                found.missing.push(line.clone());
                found.unseen.push((line, refusal));
            }
        }
    }
    found.blind = !found.unseen.is_empty() && found.unseen.len() == asked;
    match pods {
        Ok(pods) => found.pods = Some(pods.iter().filter_map(Pod::read).collect()),
        Err(refusal) => found
            .missing
            .push(lacking("pods", "list", &place, &refusal)),
    }
    found.moment = api.moment();
    locks.sort_by(|a, b| (&a.namespace, &a.name, a.kind).cmp(&(&b.namespace, &b.name, b.kind)));
    found.locks = locks
        .into_iter()
        .map(|lock| {
            let judgement = judge(&lock, found.pods.as_deref(), found.moment);
            (lock, judgement)
        })
        .collect();
    found
}

/// As [`gather`]; where nothing could be seen, that is a failure.
pub(crate) async fn gather_some(api: &Api, wanted: &Wanted) -> Result<Found, Failure> {
    let found = gather(api, wanted).await;
    match found.unseen.first().filter(|_| found.blind) {
        Some((_, refusal)) => Err(refusal.failure(format!(
            "no lock can be seen: {}; `tenure doctor` says what is missing",
            refusal.told()
        ))),
        None => Ok(found),
    }
}

/// What to say of a kind that cannot be looked at.
pub(crate) fn lacking(plural: &str, verb: &str, place: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Forbidden(_) => {
            format!(
                "{plural} are not shown: this user lacks the right to {verb} {plural} in {place}"
            )
        }
        other => format!("{plural} are not shown: {}", other.told()),
    }
}

type Objects = (Vec<Value>, Option<String>);

/// The objects of that kind that may be locks, and a word about those that could not be seen.
async fn objects(api: &Api, kind: Kind, wanted: &Wanted) -> Result<Objects, Refusal> {
    if !wanted.is_for(kind) {
        return Ok((Vec::new(), None));
    }
    let namespace = wanted.namespace.as_deref();
    let path = collection(kind.group(), "v1", kind.plural(), namespace);
    if let (Some(name), Some(_)) = (&wanted.name, namespace) {
        let object = api.get(&format!("{path}/{name}")).await?;
        let read = Lock::read(kind, &object, false).is_some();
        // Whoever says which kind it is gets to see it, whatever it is.
        let shown = read || kind != Kind::ConfigMap || wanted.kind.is_some();
        return Ok((shown.then_some(object).into_iter().collect(), None));
    }
    let selector = wanted.selector(kind);
    if kind != Kind::ConfigMap {
        return Ok((api.list(&path, &selector, false).await?, None));
    }
    // What ConfigMaps hold may be much, and is nobody's business here.
    let all = api.list(&path, &selector, true).await?;
    let (mut locks, mut unseen) = (Vec::new(), None);
    let candidates: Vec<Value> = all
        .into_iter()
        .filter(|meta| Lock::read(kind, meta, false).is_some())
        .collect();
    let mut read = stream::iter(candidates)
        .map(|meta| async move {
            let text = |pointer: &str| meta.pointer(pointer).and_then(Value::as_str);
            let (name, place) = (text("/metadata/name")?, text("/metadata/namespace")?);
            let path = collection("", "v1", "configmaps", Some(place));
            let whole = api.get(&format!("{path}/{name}")).await;
            Some((meta, whole))
        })
        .buffered(AT_A_TIME);
    while let Some(read) = read.next().await {
        match read {
            Some((_, Ok(whole))) => locks.push(whole),
            None | Some((_, Err(Refusal::NotFound))) => {}
            Some((meta, Err(refusal))) => {
                let told = match refusal {
                    Refusal::Forbidden(_) => "this user lacks the right to get them".to_owned(),
                    other => other.told(),
                };
                unseen = Some(format!(
                    "whether ConfigMaps have data in them is not seen: {told}"
                ));
                locks.push(meta);
            }
        }
    }
    locks.retain(|lock| {
        Lock::read(kind, lock, wanted.name.is_some() && wanted.kind.is_some()).is_some()
    });
    Ok((locks, unseen))
}

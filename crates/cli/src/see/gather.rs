//! Everything that is looked at, with what could not be.

use futures::future::join3;
use serde_json::Value;

use super::{
    api::{Api, Refusal, collection},
    judge::{Judgement, Moment, judge},
    lock::{Kind, Lock, NODE_LEASES},
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
    /// Why nothing at all could be seen.
    pub(crate) blind: Option<String>,
}

impl Wanted {
    fn is_for(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
    }

    /// In words, for what is not there.
    pub(crate) fn told(&self) -> String {
        let kind = self.kind.map_or("lock", Kind::name);
        let name = self
            .name
            .as_deref()
            .map(|name| format!(" {name}"))
            .unwrap_or_default();
        match &self.namespace {
            Some(namespace) => format!("{kind}{name} in the namespace {namespace}"),
            None => format!("{kind}{name} in any namespace"),
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
    let place = namespace.map_or("any namespace".to_owned(), |name| {
        format!("the namespace {name}")
    });
    let mut refused = 0_usize;
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
                refused += 1;
                found
                    .missing
                    .push(lacking(kind.plural(), verb, &place, &refusal));
                found.blind.get_or_insert_with(|| refusal.told());
            }
        }
    }
    if refused < asked || refused == 0 {
        found.blind = None;
    }
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
    match &found.blind {
        Some(told) => Err(Failure::failed(format!(
            "no lock can be seen: {told}; `tenure doctor` says what is missing"
        ))),
        None => Ok(found),
    }
}

fn lacking(plural: &str, verb: &str, place: &str, refusal: &Refusal) -> String {
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
    let selector = match &wanted.name {
        Some(name) => format!("fieldSelector=metadata.name%3D{name}"),
        None => String::new(),
    };
    // Each node renews one, and none of them is an election.
    let selector = match (&wanted.name, namespace, kind) {
        (None, None, Kind::Lease) => format!("fieldSelector=metadata.namespace%21%3D{NODE_LEASES}"),
        _ => selector,
    };
    if kind != Kind::ConfigMap {
        return Ok((api.list(&path, &selector, false).await?, None));
    }
    // What ConfigMaps hold may be much, and is nobody's business here.
    let all = api.list(&path, &selector, true).await?;
    let mut locks = Vec::new();
    let mut unseen = None;
    for meta in all {
        if Lock::read(kind, &meta, false).is_none() {
            continue;
        }
        let text = |pointer: &str| meta.pointer(pointer).and_then(Value::as_str);
        let (Some(name), Some(place)) = (text("/metadata/name"), text("/metadata/namespace"))
        else {
            continue;
        };
        let path = collection("", "v1", "configmaps", Some(place));
        match api.get(&format!("{path}/{name}")).await {
            Ok(whole) => locks.push(whole),
            Err(Refusal::NotFound) => {}
            Err(refusal) => {
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

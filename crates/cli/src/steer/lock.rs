//! The lock as a person finds it: read with tolerance, changed by exactly the state that was read.

use http::Method;
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    names,
    see::{
        api::{Api, Refusal, collection},
        kind::Kind,
        lock::{Hold, Lock},
        pods::Pod,
        text::harmless,
    },
};

/// Where it is.
pub(super) struct Place {
    pub(super) api: Api,
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) lock: Lock,
    object: Value,
}

/// What a Pod that is gone leaves open.
const GONE: &str =
    "on a node that is lost, or after a forced deletion, its processes may still run";

/// What became of a change.
pub(super) enum Changed {
    Done,
    /// Somebody was faster.
    Conflict,
    /// It is deleted when these finalizers are gone; until then it is there.
    HeldBack(String),
}

impl Place {
    /// What stands there now; none if nothing does.
    pub(super) async fn look(&self) -> Result<Option<Found>, Failure> {
        match self.api.get(&self.path("")).await {
            // Whatever it is: it was named.
            Ok(object) => {
                Ok(Lock::read(self.kind, &object, true).map(|lock| Found { lock, object }))
            }
            Err(Refusal::NotFound) => Ok(None),
            Err(refusal) => Err(self.refused("read", &refusal)),
        }
    }

    /// Merge this in, over exactly what was found.
    pub(super) async fn patch(
        &self,
        base: &Found,
        mut patch: Value,
        dry_run: bool,
    ) -> Result<Changed, Failure> {
        let metadata = &base.object["metadata"];
        patch["metadata"]["uid"] = metadata["uid"].clone();
        patch["metadata"]["resourceVersion"] = metadata["resourceVersion"].clone();
        self.change(Method::PATCH, &patch, dry_run).await
    }

    /// Delete exactly what was found (F5).
    pub(super) async fn delete(&self, base: &Found, dry_run: bool) -> Result<Changed, Failure> {
        let options = base.delete_options();
        self.change(Method::DELETE, &options, dry_run).await
    }

    /// The holder's Pod, as far as it can be told, and what may still run of it.
    pub(super) async fn holders_pod(&self, found: &Found) -> Option<String> {
        let (name, uid) = found.pod()?;
        if names::subdomain("Pod", name).is_err() {
            return Some("its identity does not begin with the name of a Pod".to_owned());
        }
        let path = collection("", "v1", "pods", Some(&self.namespace));
        let answer = self.api.get(&format!("{path}/{name}")).await;
        let told = match answer.as_ref().map(Pod::read) {
            Ok(Some(pod)) if uid.is_some_and(|uid| uid != pod.uid) => {
                format!("is gone, and another has its name; {GONE}")
            }
            Ok(Some(pod)) if pod.being_deleted => {
                "is there, and being deleted: its processes may still run".to_owned()
            }
            Ok(Some(pod)) if pod.has_ended() => {
                format!("has ended (phase {})", harmless(&pod.phase))
            }
            Ok(Some(pod)) => format!(
                "is there, phase {}: its processes may still run",
                harmless(&pod.phase)
            ),
            Ok(None) => "cannot be understood".to_owned(),
            Err(Refusal::NotFound) if uid.is_none() => {
                return Some(format!(
                    "there is no Pod {name:?}: it is gone, or the holder was none; {GONE}"
                ));
            }
            Err(Refusal::NotFound) => format!("is gone; {GONE}"),
            Err(refusal) => format!("cannot be read ({})", refusal.told()),
        };
        Some(format!("the Pod {name:?} of that name {told}"))
    }

    /// Whether the name of a successor may be misspelt: where Pods can be read, and none has it as its name or
    /// uid. It may be an identity all the same (L22): who stands by is written nowhere.
    pub(super) async fn doubt_about(&self, to: &str) -> Option<String> {
        names::subdomain("Pod", to).ok()?;
        let path = collection("", "v1", "pods", Some(&self.namespace));
        let Err(Refusal::NotFound) = self.api.get(&format!("{path}/{to}")).await else {
            return None;
        };
        let is_like_a_uid = to.len() == 36 && to.matches('-').count() == 4;
        if is_like_a_uid {
            let all = self.api.list(&path, "", true).await.ok()?;
            let is_one = |pod: &Value| pod["metadata"]["uid"] == to;
            if all.iter().any(is_one) {
                return None;
            }
        }
        Some(format!(
            "there is no Pod {to:?} in the namespace {}: unless a candidate stands as {to:?}, whoever is \
             first leads next",
            self.namespace
        ))
    }

    pub(super) fn shown(&self) -> String {
        format!("{} {}/{}", self.kind.name(), self.namespace, self.name)
    }

    async fn change(
        &self,
        method: Method,
        body: &Value,
        dry_run: bool,
    ) -> Result<Changed, Failure> {
        let query = if dry_run { "?dryRun=All" } else { "" };
        match self.api.send(method.clone(), &self.path(query), body).await {
            Ok(object) if method == Method::DELETE && is_there(&object) => {
                let finalizers = object["metadata"]["finalizers"].as_array();
                let names = finalizers.into_iter().flatten().filter_map(Value::as_str);
                let names: Vec<String> = names.map(harmless).collect();
                Ok(Changed::HeldBack(names.join(", ")))
            }
            Ok(_) => Ok(Changed::Done),
            Err(Refusal::Conflict(_)) => Ok(Changed::Conflict),
            Err(refusal) => Err(self.refused("change", &refusal)),
        }
    }

    fn path(&self, query: &str) -> String {
        let kind = self.kind;
        let path = collection(kind.group(), "v1", kind.plural(), Some(&self.namespace));
        format!("{path}/{}{query}", self.name)
    }

    fn refused(&self, what: &str, refusal: &Refusal) -> Failure {
        let help = match refusal {
            Refusal::Forbidden(_) => "`tenure rbac --steer` prints the rights that it takes",
            Refusal::NotFound => "it is gone meanwhile",
            Refusal::Silent(..) if what == "change" => {
                "whether it was changed is not known: look with `tenure status`, and try again"
            }
            Refusal::Silent(..) => "nothing was changed; `tenure doctor` says what is wrong",
            Refusal::Conflict(_) | Refusal::Told(_) => "nothing was changed",
        };
        refusal.failure(format!(
            "cannot {what} the {}: {}; {help}",
            self.shown(),
            refusal.told()
        ))
    }
}

/// A delete answers with the object itself where it only begins with it.
fn is_there(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

impl Found {
    /// What a delete of exactly this state says (F5).
    pub(super) fn delete_options(&self) -> Value {
        let metadata = &self.object["metadata"];
        json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
        })
    }

    /// The holder for people.
    pub(super) fn holder(&self) -> Option<String> {
        self.lock.holder().map(harmless)
    }

    /// How a request names the holder (L25, F12); none where it is no tenure and does not listen.
    pub(super) fn asked_as(&self) -> Option<&str> {
        match &self.lock.hold {
            Hold::Renewed(renewed) => {
                let listens = renewed.by_tenure && renewed.transitions.is_some();
                renewed.holder.as_deref().filter(|_| listens)
            }
            Hold::ForLife(life) => life.term.as_deref(),
        }
    }

    pub(super) fn transitions(&self) -> Option<i64> {
        self.lock.renewed()?.transitions
    }

    /// Whether that names the holder: its identity, or its Pod by name or uid (L22).
    pub(super) fn is_held_by(&self, name: &str) -> bool {
        let pod = self.pod();
        self.lock.holder() == Some(name)
            || pod.is_some_and(|(pod, uid)| pod == name || uid == Some(name))
    }

    /// Whether another holds it, or the same in another term.
    pub(super) fn is_another_term_than(&self, other: &Self) -> bool {
        self.lock.uid != other.lock.uid
            || self.lock.holder() != other.lock.holder()
            || self.transitions() != other.transitions()
            || self.asked_as() != other.asked_as()
    }

    /// The name of the Pod that the holder says it is, and its uid where it says that, too.
    fn pod(&self) -> Option<(&str, Option<&str>)> {
        match &self.lock.hold {
            Hold::Renewed(renewed) => Some((renewed.host()?, renewed.pod_uid())),
            Hold::ForLife(life) => {
                let owner = life.owner.as_ref()?;
                Some((&owner.name, Some(&owner.uid)))
            }
        }
    }
}

//! What is talked about, one file for each area.

mod crds;
mod creates;
mod deletes;
mod discovery;
mod kinds;
mod kubectl;
mod leases;
mod lists;
mod metadata;
mod namespaces;
mod owners;
mod patches;
mod pods;
mod rights;
mod updates;
mod watches;

use serde_json::{Value, json};

use super::Area;

macro_rules! area {
    ($name:ident) => {
        Area {
            name: stringify!($name),
            kubectl: false,
            talk: |talk| Box::pin($name::talk(talk)),
        }
    };
    ($name:ident, kubectl) => {
        Area {
            name: stringify!($name),
            kubectl: true,
            talk: |talk| Box::pin($name::talk(talk)),
        }
    };
}

/// All areas, those that take longest first.
pub const AREAS: &[Area] = &[
    area!(kubectl, kubectl),
    area!(watches),
    area!(lists),
    area!(crds),
    area!(namespaces),
    area!(owners),
    area!(kinds),
    area!(creates),
    area!(deletes),
    area!(discovery),
    area!(leases),
    area!(metadata),
    area!(patches),
    area!(pods),
    area!(rights),
    area!(updates),
];

/// A Lease as the library writes one.
pub fn lease(name: &str, holder: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2001-02-03T04:05:06.000007Z", "renewTime": "2001-02-03T04:05:06.000007Z",
        },
    })
}

pub fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]}})
}

pub fn lock(name: &str) -> Value {
    json!({"apiVersion": "coralogix.com/v1", "kind": "LeaderLock", "metadata": {"name": name}})
}

/// `object` with a change.
pub fn with(object: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = object.clone();
    change(&mut object);
    object
}

/// An owner reference to an object.
pub fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
    })
}

pub const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

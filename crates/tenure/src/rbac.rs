//! The rights that a candidate needs, and no others.
//!
//! | right | for | narrowed to the lock's name |
//! |---|---|---|
//! | `get` | quorum reads of the lock | yes |
//! | `create` | making the lock; the authorizer does not know the name yet | no, it cannot be |
//! | `update` | renewals, takeovers and releases, which are replaces (rules L5, F3) | yes |
//! | `watch` | being woken at once (L15); it asks for the one name, so it can be narrowed | yes, but for [sets](Rights::set) |
//! | `delete` | leader for life: giving the lock up, removing a dead owner's (F8 to F10) | yes |
//! | `create` on events | opt-in: Kubernetes Events of the terms ([`Rights::events`]) | no, it cannot be |
//! | `get`, `patch`, `list` on pods | opt-in: labels on the own Pod ([`Rights::label_pod`]) | no |
//! | `get` on pods | leader for life: the own Pod and the owner's (F2, F8, F9); its name is not known beforehand | no |
//!
//! `list` and `patch` of locks, `deletecollection` and anything on `pods/finalizers` are never asked for
//! (L5, F1). A candidate without `watch` works, and notices changes later.
//!
//! ```
//! use tenure::{Kind, rbac::Rights};
//!
//! let yaml = Rights::new(Kind::Lease, "shop", "worker").name("nightly").yaml();
//! assert!(yaml.contains("resourceNames"));
//! ```

use std::fmt::Write as _;

use serde_json::{Value, json};

pub use self::{missing::MissingRight, role::role_name};
use crate::{
    builder::Kind,
    call::{self, Api},
};

mod missing;
mod role;

/// What a service account must be allowed to do to stand for election, as manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Rights {
    kind: Kind,
    names: Vec<String>,
    namespace: String,
    account: String,
    account_namespace: String,
    read_pods: bool,
    set: bool,
    events: bool,
    label_pod: bool,
}

/// A `Role` and its `RoleBinding` for candidates that run as `service_account`. Without a `name`
/// the rights hold for all locks of that kind in the namespace. See [`Rights`] for more choices.
pub fn rbac_manifests(
    kind: Kind,
    name: Option<&str>,
    namespace: &str,
    service_account: &str,
) -> Vec<Value> {
    let rights = Rights::new(kind, namespace, service_account);
    match name {
        Some(name) => rights.name(name).manifests(),
        None => rights.manifests(),
    }
}

impl Rights {
    /// The rights on all locks of this kind in `namespace`, for `service_account` of that
    /// namespace (or of another: `other:worker`). Leader for life includes `get` on pods.
    pub fn new(kind: Kind, namespace: &str, service_account: &str) -> Self {
        let (account_namespace, account) = service_account
            .split_once(':')
            .unwrap_or((namespace, service_account));
        Self {
            kind,
            names: Vec::new(),
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            account_namespace: account_namespace.to_owned(),
            read_pods: kind != Kind::Lease,
            set: false,
            events: false,
            label_pod: false,
        }
    }

    /// Narrow the rights to the lock of this name, as far as Kubernetes can; called again, to the
    /// locks of these names.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// For a [`LeaderElectionSet`](crate::LeaderElectionSet): its one watch is on all the Leases of
    /// the namespace, which cannot be narrowed to names. The other rights stay as narrow as they
    /// are. For Leases only; without effect on other kinds.
    #[must_use]
    pub fn set(mut self) -> Self {
        self.set = self.kind == Kind::Lease;
        self
    }

    /// Whether Pods may be read too: always for leader for life; for a Lease only where the
    /// leader's certain death is to be noticed before its lease has run out. Default for a Lease:
    /// false.
    #[must_use]
    pub fn read_pods(mut self, read: bool) -> Self {
        self.read_pods = read || self.kind != Kind::Lease;
        self
    }

    /// For [`Builder::events`](crate::Builder::events): Events may be created in the lock's namespace.
    #[must_use]
    pub fn events(mut self) -> Self {
        self.events = true;
        self
    }

    /// For [`Builder::label_pod`](crate::Builder::label_pod): Pods may be read, patched and listed.
    ///
    /// Pods' names are not known beforehand, so this holds for all Pods of the namespace. Who does not
    /// want a candidate to patch the Pods of others can take `list` away: then a leader does not remove
    /// the role that a dead one's Pod has still.
    #[must_use]
    pub fn label_pod(mut self) -> Self {
        self.label_pod = true;
        self
    }

    /// A `Role` and a `RoleBinding`, in this order.
    pub fn manifests(&self) -> Vec<Value> {
        let name = self.role_name();
        let metadata = json!({
            "name": name,
            "namespace": self.namespace,
            "labels": {"app.kubernetes.io/managed-by": "tenure"},
        });
        vec![
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": metadata,
                "rules": self.rules(),
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Role",
                    "name": name,
                },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": self.account,
                    "namespace": self.account_namespace,
                }],
            }),
        ]
    }

    /// The manifests as YAML, with comments on why each right is needed.
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        for comment in self.comments() {
            let _ = writeln!(text, "# {comment}");
        }
        for manifest in self.manifests() {
            text.push_str("---\n");
            text.push_str(&to_yaml(&manifest));
        }
        text
    }

    fn role_name(&self) -> String {
        let what = if self.set { "leases" } else { word(self.kind) };
        let account = (&*self.account_namespace, &*self.account);
        role_name(what, &self.names, &self.namespace, account)
    }

    fn rules(&self) -> Vec<Value> {
        let api = api(self.kind);
        let mut verbs = vec!["get", "watch", "update"];
        let narrow = !self.names.is_empty();
        let wide_watch = self.set && narrow;
        if wide_watch {
            verbs.retain(|verb| *verb != "watch");
        }
        if self.kind != Kind::Lease {
            verbs.push("delete");
        }
        let mut narrowed = json!({"apiGroups": [api.group], "resources": [api.plural]});
        let mut rules = Vec::new();
        if narrow {
            narrowed["resourceNames"] = json!(self.names);
            let wide = if wide_watch {
                json!(["create", "watch"])
            } else {
                json!(["create"])
            };
            rules.push(json!({
                "apiGroups": [api.group],
                "resources": [api.plural],
                "verbs": wide,
            }));
        } else {
            verbs.insert(0, "create");
        }
        narrowed["verbs"] = json!(verbs);
        rules.insert(0, narrowed);
        if self.label_pod {
            let verbs = ["get", "list", "patch"];
            rules.push(json!({"apiGroups": [""], "resources": ["pods"], "verbs": verbs}));
        } else if self.read_pods {
            rules.push(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}));
        }
        if self.events {
            rules.push(json!({
                "apiGroups": [call::EVENTS.group],
                "resources": [call::EVENTS.plural],
                "verbs": ["create"],
            }));
        }
        rules
    }

    fn comments(&self) -> Vec<&'static str> {
        let mut comments = vec![
            "get, update: reads, renewals and takeovers of the lock. watch: being told at once when",
            "it changes; without it everything works, a few seconds later.",
        ];
        if self.set {
            comments
                .push("A set has one watch on all the Leases of the namespace; a watch on several");
            comments.push("names does not exist, so this right cannot be narrowed.");
        }
        if !self.names.is_empty() {
            comments
                .push("create cannot be narrowed to a name: no object has one before it is made.");
        }
        if self.kind != Kind::Lease {
            comments
                .push("delete: giving the lock up, and removing that of an owner that is gone.");
        }
        if self.read_pods {
            comments.push("pods: is the owner of the lock gone? Its name is not known beforehand.");
        }
        if self.label_pod {
            comments.push("pods, patch: the labels tenure.dev/candidate and tenure.dev/role on the own Pod. list: a");
            comments.push("leader takes the role from Pods whose process could not give it up; without list it does");
            comments.push("not, and everything else works.");
        }
        if self.events {
            comments.push("events: who began to lead, who stopped, and why.");
        }
        comments
    }
}

/// The word for a kind of lock on command lines.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Lease => "lease",
        Kind::ConfigMap => "configmap",
        Kind::LeaderLock => "leaderlock",
    }
}

fn api(kind: Kind) -> Api {
    match kind {
        Kind::Lease => call::LEASES,
        Kind::ConfigMap => call::CONFIG_MAPS,
        Kind::LeaderLock => call::LEADER_LOCKS,
    }
}

/// One YAML document. JSON is YAML too, where the writer should ever fail.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut text = serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value:#}"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

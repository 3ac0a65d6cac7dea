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

use kube::core::Status;
use serde_json::{Value, json};

use crate::{
    builder::Kind,
    call::{self, Api},
};

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

/// A right that a call turned out to lack, as the server put it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingRight {
    /// Who asked, such as `system:serviceaccount:shop:worker`.
    pub user: String,
    /// What for, such as `update`.
    pub verb: String,
    /// On which kind of object, such as `leases`.
    pub resource: String,
    /// The kind's group; empty for the core group.
    pub group: String,
    /// In which namespace; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// On which object, where the server says.
    pub name: Option<String>,
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
        let word = word(self.kind);
        match self.names.as_slice() {
            _ if self.set => format!("tenure-{word}-set"),
            [] => format!("tenure-{word}"),
            [name, ..] => format!("tenure-{word}-{name}"),
        }
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

impl MissingRight {
    /// What a refusal says is missing; `None` if it was refused for another reason, such as a quota
    /// or a namespace that is being deleted.
    pub fn of(status: &Status) -> Option<Self> {
        let (_, told) = status.message.split_once("User \"")?;
        let (user, told) = told.split_once("\" cannot ")?;
        let (verb, told) = told.split_once(" resource \"")?;
        let (resource, told) = told.split_once("\" in API group \"")?;
        let (group, told) = told.split_once('"')?;
        let namespace = told
            .strip_prefix(" in the namespace \"")
            .and_then(|told| told.split_once('"'))
            .map(|(namespace, _)| namespace.to_owned());
        let name = status.details.as_ref().map(|details| details.name.clone());
        Some(Self {
            user: user.to_owned(),
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            group: group.to_owned(),
            namespace,
            name: name.filter(|name| !name.is_empty()),
        })
    }

    /// What is missing and the command that grants it, for people. `name` is that of the object
    /// that was asked for, where the server does not say (it never does for a create).
    pub fn advice(&self, name: Option<&str>) -> String {
        let name = self.name.as_deref().or(name);
        let mut text = format!("The right to {} {} ", self.verb, self.resource);
        match &self.namespace {
            Some(namespace) => {
                let _ = write!(text, "in the namespace {namespace}");
            }
            None => text.push_str("in the whole cluster"),
        }
        let _ = write!(
            text,
            " is missing for {}; grant it with `{}`",
            self.user,
            self.command(name)
        );
        text
    }

    fn command(&self, name: Option<&str>) -> String {
        let account = self
            .user
            .strip_prefix("system:serviceaccount:")
            .and_then(|account| account.split_once(':'));
        let kind = [Kind::Lease, Kind::ConfigMap, Kind::LeaderLock]
            .into_iter()
            .find(|kind| {
                let api = api(*kind);
                api.group == self.group && api.plural == self.resource
            });
        match (kind, &self.namespace, account) {
            (Some(kind), Some(namespace), Some(account)) => {
                tenure_command(kind, name, namespace, account)
            }
            _ => self.kubectl_command(),
        }
    }

    /// For what is no lock, or no service account.
    fn kubectl_command(&self) -> String {
        let resource = if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        };
        let (scope, namespace) = match &self.namespace {
            Some(namespace) => ("", format!(" --namespace {}", quoted(namespace))),
            None => ("cluster", String::new()),
        };
        let role = quoted(&format!(
            "tenure-{}-{}",
            self.verb,
            self.resource.replace('/', "-")
        ));
        let subject = match self.user.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("--serviceaccount={}", quoted(account)),
            None => format!("--user={}", quoted(&self.user)),
        };
        let (verb, resource) = (quoted(&self.verb), quoted(&resource));
        format!(
            "kubectl create {scope}role {role} --verb={verb} --resource={resource}{namespace} && \
             kubectl create {scope}rolebinding {role} --{scope}role={role} {subject}{namespace}"
        )
    }
}

fn tenure_command(
    kind: Kind,
    name: Option<&str>,
    namespace: &str,
    (account_namespace, account): (&str, &str),
) -> String {
    let name = name
        .map(|name| format!(" {}", quoted(name)))
        .unwrap_or_default();
    let account = if account_namespace == namespace {
        quoted(account)
    } else {
        quoted(&format!("{account_namespace}:{account}"))
    };
    format!(
        "tenure rbac --lock {}{name} --namespace {} --service-account {account} | kubectl apply -f -",
        word(kind),
        quoted(namespace)
    )
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

/// What a server said, safe to be pasted into a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(message: &str, name: &str) -> Status {
        serde_json::from_value(json!({
            "status": "Failure", "reason": "Forbidden", "code": 403, "message": message,
            "details": {"name": name},
        }))
        .unwrap()
    }

    #[test]
    fn a_missing_right_is_read_from_what_the_server_says() {
        let right = MissingRight::of(&forbidden(
            "configmaps is forbidden: User \"system:serviceaccount:a:b\" cannot create resource \
             \"configmaps\" in API group \"\" in the namespace \"shop\": RBAC: role not found",
            "",
        ))
        .unwrap();
        assert_eq!(
            (&*right.user, &*right.verb),
            ("system:serviceaccount:a:b", "create")
        );
        assert_eq!((&*right.resource, &*right.group), ("configmaps", ""));
        assert_eq!(
            (right.namespace.as_deref(), right.name.as_deref()),
            (Some("shop"), None)
        );
        let advice = right.advice(Some("jobs"));
        let command = "`tenure rbac --lock configmap jobs --namespace shop --service-account a:b | \
                       kubectl apply -f -`";
        assert!(advice.ends_with(command), "{advice}");
    }

    #[test]
    fn what_is_no_lock_or_no_service_account_is_granted_with_kubectl() {
        let pods = MissingRight::of(&forbidden(
            "pods \"x\" is forbidden: User \"jane doe\" cannot get resource \"pods\" in API group \
             \"\" in the namespace \"shop\"",
            "x",
        ))
        .unwrap();
        let advice = pods.advice(None);
        let command = "`kubectl create role tenure-get-pods --verb=get --resource=pods --namespace shop \
                       && kubectl create rolebinding tenure-get-pods --role=tenure-get-pods \
                       --user='jane doe' --namespace shop`";
        assert!(advice.ends_with(command), "{advice}");
        let crd = MissingRight::of(&forbidden(
            "x is forbidden: User \"u\" cannot create resource \"customresourcedefinitions\" in API \
             group \"apiextensions.k8s.io\" at the cluster scope",
            "",
        ))
        .unwrap();
        assert_eq!(crd.namespace, None);
        assert!(
            crd.advice(None)
                .contains("kubectl create clusterrolebinding")
        );
    }

    #[test]
    fn other_refusals_name_no_right() {
        for message in [
            "",
            "unable to create new content in namespace x because it is being terminated",
            "exceeded quota: User \"x",
            "User \"x\" cannot",
        ] {
            assert_eq!(
                MissingRight::of(&forbidden(message, "x")),
                None,
                "{message}"
            );
        }
    }

    #[test]
    fn nothing_that_a_server_says_reaches_a_shell_unquoted() {
        assert_eq!(quoted("a-b.c:d"), "a-b.c:d");
        assert_eq!(quoted("$(rm -rf x)"), "'$(rm -rf x)'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
        assert_eq!(quoted(""), "''");
    }
}

//! What a refusal says is missing, and how to grant it.

use std::fmt::Write as _;

use kube::core::Status;

use super::{api, word};
use crate::builder::Kind;

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

/// What a server said, safe to be pasted into a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

//! `tenure rbac --steer`: the rights of whoever steers, verb by verb.

use std::fmt::Write as _;

use tenure::rbac::role_name;

use crate::see::kind::Kind;

/// A Role and its RoleBinding for a service account, as YAML. All names were checked to be names of
/// Kubernetes, which need no quotes but those that they have here.
pub(crate) fn yaml(kind: Kind, names: &[String], namespace: &str, account: &str) -> String {
    let (group, plural) = (kind.group(), kind.plural());
    let (asks, breaks) = match kind {
        Kind::Lease => ("step-down, hand-over, pause, resume", "patch"),
        Kind::ConfigMap | Kind::LeaderLock => ("step-down", "delete"),
    };
    let (home, account) = account.split_once(':').unwrap_or((namespace, account));
    let named = match names {
        [] => String::new(),
        names => format!("  resourceNames: {}\n", serde_json::json!(names)),
    };
    let mut rules = String::new();
    let mut rule = |why: &str, group: &str, plural: &str, named: &str, verbs: &[&str]| {
        let _ = write!(
            rules,
            "# {why}\n- apiGroups: [\"{group}\"]\n  resources: [\"{plural}\"]\n{named}  verbs: {}\n",
            serde_json::json!(verbs)
        );
    };
    rule(asks, group, plural, &named, &["get", "patch"]);
    rule("release --force", group, plural, &named, &["get", breaks]);
    rule(
        "release --force: whether the holder's Pod is there",
        "",
        "pods",
        "",
        &["get"],
    );
    let what = format!("steer-{}", kind.flag());
    let role = role_name(&what, names, namespace, (home, account));
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: \"{role}\"\n  \
         namespace: \"{namespace}\"\nrules:\n{rules}---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  \
         name: \"{role}\"\n  namespace: \"{namespace}\"\nroleRef:\n  \
         apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: \"{role}\"\nsubjects:\n\
         - kind: ServiceAccount\n  name: \"{account}\"\n  namespace: \"{home}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_called_by_the_kind_the_lock_and_the_account() {
        let yaml = |kind, account| yaml(kind, &["ops".to_owned()], "shop", account);
        assert!(yaml(Kind::Lease, "eve").contains("name: \"tenure-steer-lease-ops-eve\"\n"));
        for kind in [Kind::Lease, Kind::ConfigMap, Kind::LeaderLock] {
            for account in ["eve", "far:eve", "a-b"] {
                let yaml = yaml(kind, account);
                let name = yaml
                    .split('"')
                    .find(|word| word.starts_with("tenure-"))
                    .unwrap();
                assert!(
                    crate::names::subdomain("role", name).is_ok() && name.len() <= 63,
                    "{name}"
                );
            }
        }
    }
}

//! `tenure rbac --steer`: the rights of whoever steers, verb by verb.

use std::fmt::Write as _;

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
    let role = role_name(kind, names, (namespace, home), account);
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: \"{role}\"\n  \
         namespace: \"{namespace}\"\nrules:\n{rules}---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  \
         name: \"{role}\"\n  namespace: \"{namespace}\"\nroleRef:\n  \
         apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: \"{role}\"\nsubjects:\n\
         - kind: ServiceAccount\n  name: \"{account}\"\n  namespace: \"{home}\"\n"
    )
}

/// How long a name may be that stands in a label, too.
const LONGEST_NAME: usize = 63;
const HASH_LENGTH: usize = 8;

/// Of its own for each kind, locks and account, so that none replaces another. What the words alone do not
/// tell apart, or cannot hold, is told by a hash of all of them.
fn role_name(
    kind: Kind,
    names: &[String],
    (namespace, home): (&str, &str),
    account: &str,
) -> String {
    let mut words: Vec<&str> = names.iter().map(String::as_str).take(1).collect();
    if home != namespace {
        words.push(home);
    }
    words.push(account);
    let plain =
        names.len() < 2 && home == namespace && !words.iter().any(|word| word.contains('-'));
    let name = format!("tenure-steer-{}-{}", kind.flag(), words.join("-"));
    if plain && name.len() <= LONGEST_NAME {
        return name;
    }
    let all = format!("{} {} {home}:{account}", kind.flag(), names.join(","));
    // All of it is ASCII.
    let kept = &name[..name.len().min(LONGEST_NAME - HASH_LENGTH - 1)];
    let kept = kept.trim_end_matches(['-', '.']);
    format!("{kept}-{:08x}", hash(&all))
}

/// FNV-1a: the same in every version of this program.
fn hash(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn name(kind: Kind, names: &[&str], account: &str) -> String {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let (home, account) = account.split_once(':').unwrap_or(("shop", account));
        role_name(kind, &names, ("shop", home), account)
    }

    #[test]
    fn the_rights_of_one_do_not_replace_those_of_another() {
        let long = "a".repeat(200);
        let other = format!("{long}b");
        let lease = Kind::Lease;
        let all = [
            name(lease, &[], "eve"),
            name(lease, &["ops"], "eve"),
            name(lease, &[], "ops:eve"),
            name(lease, &["nightly"], "report-worker"),
            name(lease, &["nightly-report"], "worker"),
            name(lease, &["a", "b"], "c"),
            name(lease, &["a", "c"], "c"),
            name(lease, &["a"], "b-c"),
            name(Kind::ConfigMap, &["nightly"], "eve"),
            name(Kind::LeaderLock, &["nightly"], "eve"),
            name(lease, &[&long], "eve"),
            name(lease, &[&other], "eve"),
        ];
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        for one in &all {
            assert!(
                crate::names::subdomain("role", one).is_ok() && one.len() <= 63,
                "{one}"
            );
        }
        assert_eq!(all[1], "tenure-steer-lease-ops-eve");
        assert_eq!(all[11], name(lease, &[&other], "eve"), "each time the same");
    }
}

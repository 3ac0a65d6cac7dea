//! Names of Roles, of which none is another's.

/// How long a name may be that stands in a label, too.
const LONGEST: usize = 63;
const HASH_LENGTH: usize = 8;

/// The name of a Role in `namespace` by which `account`, of the namespace `home`, may do `what` with these
/// `locks`, or with all of them: of its own for each of these, so that none replaces another. What the words
/// alone do not tell apart, or cannot hold, is told by a hash of all of them.
#[doc(hidden)]
pub fn role_name(
    what: &str,
    locks: &[String],
    namespace: &str,
    (home, account): (&str, &str),
) -> String {
    let mut words: Vec<&str> = locks.iter().map(String::as_str).take(1).collect();
    if home != namespace {
        words.push(home);
    }
    words.push(account);
    let plain =
        locks.len() < 2 && home == namespace && !words.iter().any(|word| word.contains('-'));
    let name = format!("tenure-{what}-{}", words.join("-"));
    if plain && name.len() <= LONGEST {
        return name;
    }
    let all = format!("{what} {} {home}:{account}", locks.join(","));
    // Names of Kubernetes are ASCII; what is none may be cut anywhere.
    let kept: String = name.chars().take(LONGEST - HASH_LENGTH - 1).collect();
    let kept = kept.trim_end_matches(['-', '.']);
    format!("{kept}-{:08x}", hash(&all))
}

/// FNV-1a: the same in every version.
fn hash(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn name(what: &str, locks: &[&str], account: &str) -> String {
        let locks: Vec<String> = locks.iter().map(|&lock| lock.to_owned()).collect();
        let account = account.split_once(':').unwrap_or(("shop", account));
        role_name(what, &locks, "shop", account)
    }

    #[test]
    fn the_rights_of_one_do_not_replace_those_of_another() {
        let long = "a".repeat(200);
        let other = format!("{long}b");
        let all = [
            name("lease", &[], "eve"),
            name("lease", &["ops"], "eve"),
            name("lease", &[], "ops:eve"),
            name("lease", &["nightly"], "report-worker"),
            name("lease", &["nightly-report"], "worker"),
            name("lease", &["a", "b"], "c"),
            name("lease", &["a", "c"], "c"),
            name("lease", &["a"], "b-c"),
            name("leases", &["a"], "c"),
            name("config-map", &["nightly"], "eve"),
            name("leader-lock", &["nightly"], "eve"),
            name("lease", &[&long], "eve"),
            name("lease", &[&other], "eve"),
        ];
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        for one in &all {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(one.len() <= LONGEST && one.chars().all(plain), "{one}");
            assert!(!one.ends_with('-'), "{one}");
        }
        assert_eq!(all[1], "tenure-lease-ops-eve");
        assert_eq!(
            all[12],
            name("lease", &[&other], "eve"),
            "each time the same"
        );
    }

    #[test]
    fn whatever_is_no_name_makes_one_all_the_same() {
        let odd = "\u{e4}".repeat(100);
        assert!(role_name("lease", &[odd], "shop", ("", "")).chars().count() <= LONGEST);
    }
}

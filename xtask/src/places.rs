//! Where things are.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The directories that chores work in.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// What outlives a clone; none where there is no home directory.
    pub(crate) cache: Option<PathBuf>,
}

impl Places {
    pub(crate) fn find() -> Self {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) if !target.is_empty() => root.join(target),
            _ => root.join("target"),
        };
        let cache = cache(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"));
        Self {
            root,
            target,
            cache,
        }
    }

    /// The Go module of the control plane.
    pub(crate) fn control_plane(&self) -> PathBuf {
        self.root.join("testing/control-plane")
    }

    /// The integration tests that want a real control plane, by name: `crates/*/tests/real_*.rs`,
    /// and whichever else asks the harness for one.
    pub(crate) fn real_tests(&self) -> BTreeSet<String> {
        self.tests()
            .iter()
            .filter_map(|path| real_test(path))
            .collect()
    }

    /// Whether any integration test asks the harness for the cluster that was given.
    pub(crate) fn has_tests_for_a_given_cluster(&self) -> bool {
        self.tests()
            .iter()
            .any(|path| mentions(path, "from_env_kubeconfig"))
    }

    /// What lies in `crates/*/tests`.
    fn tests(&self) -> Vec<PathBuf> {
        let packages = entries(&self.root.join("crates"));
        packages
            .iter()
            .flat_map(|package| entries(&package.join("tests")))
            .collect()
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn mentions(path: &Path, word: &str) -> bool {
    if path.is_dir() {
        return entries(path).iter().any(|path| mentions(path, word));
    }
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(word))
}

/// The name of the test, if it is one and wants a real server.
fn real_test(path: &Path) -> Option<String> {
    let is_test = path.extension().is_some_and(|extension| extension == "rs")
        || path.join("main.rs").is_file();
    let name = path.file_stem()?.to_str()?;
    let is_real = name.starts_with("real_") || mentions(path, "real_if_any(");
    (is_test && is_real).then(|| name.to_owned())
}

/// By the XDG rules: a relative path counts as none.
fn cache(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    xdg.and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".cache")))
        .map(|cache| cache.join("tenure"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_xdg_says_else_below_home_else_nowhere() {
        let at = |xdg: Option<&str>, home: Option<&str>| {
            cache(xdg.map(Into::into), home.map(Into::into))
        };
        assert_eq!(at(Some("/x"), Some("/h")), Some("/x/tenure".into()));
        assert_eq!(at(Some(""), Some("/h")), Some("/h/.cache/tenure".into()));
        assert_eq!(
            at(Some("relative"), Some("/h")),
            Some("/h/.cache/tenure".into())
        );
        assert_eq!(at(None, Some("")), None);
        assert_eq!(at(None, None), None);
    }

    #[test]
    fn tests_on_a_real_server_go_by_their_names_or_by_what_they_ask_for() {
        let dir = tempfile::tempdir().unwrap();
        let tests = dir.path().join("crates/a/tests");
        std::fs::create_dir_all(tests.join("real_folder")).unwrap();
        std::fs::create_dir_all(tests.join("real_helpers")).unwrap();
        for (file, content) in [
            ("real_b.rs", ""),
            ("real_a.rs", ""),
            ("lease.rs", "no real server"),
            ("both.rs", "TestServer::shared_real_if_any()"),
            ("real_notes.md", "real_if_any()"),
            ("real_folder/main.rs", ""),
            ("real_helpers/mod.rs", "real_if_any()"),
        ] {
            std::fs::write(tests.join(file), content).unwrap();
        }
        let places = Places {
            root: dir.path().into(),
            target: dir.path().join("target"),
            cache: None,
        };
        let names: Vec<_> = places.real_tests().into_iter().collect();
        assert_eq!(names, ["both", "real_a", "real_b", "real_folder"]);
        assert!(!places.has_tests_for_a_given_cluster());
        std::fs::write(
            tests.join("real_folder/b.rs"),
            "TestServer::from_env_kubeconfig()",
        )
        .unwrap();
        assert!(places.has_tests_for_a_given_cluster());
    }
}

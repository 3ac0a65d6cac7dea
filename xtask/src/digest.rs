//! A name for a build: the hash of everything that shapes it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Hashes the Go module in `dir` together with `toolchain`, which says what compiles it.
///
/// Tests, Markdown and the `bin` folder shape no program, so they do not count.
pub(crate) fn of_go_module(dir: &Path, toolchain: &str) -> Result<String> {
    let mut files = Vec::new();
    collect(dir, Path::new(""), &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    part(&mut hash, toolchain.as_bytes());
    for file in files {
        let name = file
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        part(&mut hash, name.collect::<Vec<_>>().join("/").as_bytes());
        let path = dir.join(&file);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        part(&mut hash, &content);
    }
    Ok(hash
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
}

/// With its length before it: no two lists of parts are hashed alike.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn collect(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let dir = root.join(below);
    let unreadable = || format!("cannot list {}", dir.display());
    for entry in fs::read_dir(&dir).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().with_context(unreadable)?;
        if kind.is_dir() && path != Path::new("bin") {
            collect(root, &path, files)?;
        } else if kind.is_file() && shapes_the_program(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn shapes_the_program(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !(name.starts_with('.') || name.ends_with("_test.go") || name.ends_with(".md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn digest(files: &[(&str, &str)]) -> String {
        of_go_module(module(files).path(), "go1.26 linux amd64").unwrap()
    }

    const MODULE: [(&str, &str); 3] = [
        ("go.mod", "module m"),
        ("main.go", "package main"),
        ("internal/a/a.go", "package a"),
    ];

    #[test]
    fn equal_sources_have_one_name_wherever_they_lie() {
        assert_eq!(digest(&MODULE), digest(&MODULE));
        assert_eq!(digest(&MODULE).len(), 64);
    }

    #[test]
    fn whatever_shapes_the_program_changes_its_name() {
        let name = digest(&MODULE);
        for i in 0..MODULE.len() {
            let mut other = MODULE;
            other[i].1 = "something else";
            assert_ne!(digest(&other), name, "{}", MODULE[i].0);
            assert_ne!(digest(&MODULE[..i]), name);
        }
        let mut renamed = MODULE;
        renamed[1].0 = "other.go";
        assert_ne!(digest(&renamed), name);
        let dir = module(&MODULE);
        assert_ne!(
            of_go_module(dir.path(), "go1.27 linux amd64").unwrap(),
            name
        );
    }

    #[test]
    fn content_does_not_slip_from_one_file_into_the_next() {
        assert_ne!(
            digest(&[("a", "xb"), ("b", "y")]),
            digest(&[("a", "x"), ("b", "by")])
        );
    }

    #[test]
    fn tests_words_and_built_programs_do_not_count() {
        let mut more = MODULE.to_vec();
        more.extend([
            ("main_test.go", "package main"),
            ("README.md", "words"),
            ("bin/program", "built"),
            (".hidden", "x"),
        ]);
        assert_eq!(digest(&more), digest(&MODULE));
        let mut inner = MODULE.to_vec();
        inner.push(("internal/bin/a.go", "package bin"));
        assert_ne!(digest(&inner), digest(&MODULE));
    }
}

//! The control plane's program: built once for each state of its sources, and kept.
//!
//! It lies in the target directory and, for the next clone, in the user's cache, in a folder named
//! by a hash of its sources. Delete either at will.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::clock::{Since, in_words};
use crate::digest;
use crate::go::{self, Go};
use crate::places::Places;
use crate::process::{command, output, shown};
use crate::report::{Report, Verdict};

const PROGRAM: &str = "tenure-control-plane";
const PROGRESS: Duration = Duration::from_secs(20);

/// Builds it, or finds it. `None` where that failed.
pub(crate) fn step(report: &mut Report, places: &Places) -> Option<PathBuf> {
    let mut program = None;
    report.step("control plane, build", || {
        let go = go::find(places)?.map_err(|why| anyhow!(why))?;
        let (path, verdict) = get(places, &go)?;
        program = Some(path);
        Ok(verdict)
    });
    program
}

/// `go vet` and the module's own tests.
pub(crate) fn check(places: &Places) -> Result<Verdict> {
    let go = go::find(places)?.map_err(|why| anyhow!(why))?;
    let module = places.control_plane();
    for arguments in [["vet", "./..."], ["test", "./..."]] {
        crate::process::run(&mut go.command(&arguments, &module))?;
    }
    Ok(Verdict::Passed)
}

fn get(places: &Places, go: &Go) -> Result<(PathBuf, Verdict)> {
    let module = places.control_plane();
    let hash = digest::of_go_module(&module, &go.toolchain)?;
    let below = Path::new("control-plane").join(hash).join(PROGRAM);
    let near = places.target.join(&below);
    let far = places.cache.as_ref().map(|cache| cache.join(&below));
    if near.is_file() {
        return Ok((near, Verdict::PassedWith("built before".into())));
    }
    if let Some(far) = far.as_deref().filter(|far| far.is_file()) {
        place(far, &near)?;
        let note = format!("taken from {}", far.display());
        return Ok((near, Verdict::PassedWith(note)));
    }
    let building = near.with_extension(format!("building-{}", std::process::id()));
    make_parent(&near)?;
    let built = build(&module, go, &building);
    let placed = built.and_then(|()| {
        fs::rename(&building, &near).with_context(|| format!("cannot make {}", near.display()))
    });
    if placed.is_err() {
        let _ = fs::remove_file(&building);
    }
    placed?;
    // A cache that cannot be written only makes the next clone slower.
    if let Some(error) = far.and_then(|far| place(&near, &far).err()) {
        eprintln!("    not kept for other clones: {error:#}");
    }
    Ok((near, Verdict::Passed))
}

fn build(module: &Path, go: &Go, program: &Path) -> Result<()> {
    eprintln!("    a cold build compiles all of Kubernetes: over 10 minutes on two cores");
    let list = ["list", "-deps", "."];
    let packages = output(&mut go.command(&list, module))?.lines().count();
    let mut build = command("sh", &["build.sh"], module);
    // -v names each package once it is compiled. The rest of the flags lies in build.sh.
    build
        .arg(program)
        .env("GOFLAGS", go.flags_and("-v"))
        .stderr(Stdio::piped());
    let mut child = build
        .spawn()
        .with_context(|| format!("cannot start {}", shown(&build)))?;
    let stderr = child
        .stderr
        .take()
        .context("the build has no standard error")?;
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    follow(&lines, packages);
    let _ = reader.join();
    let status = child.wait().context("the build cannot be waited for")?;
    if !status.success() {
        bail!("{} ended with {status}", shown(&build));
    }
    Ok(())
}

/// Counts the packages and says so every now and then, until the build's output ends.
fn follow(lines: &mpsc::Receiver<String>, packages: usize) {
    let since = Since::now();
    let mut told = Duration::ZERO;
    let mut compiled = 0;
    loop {
        let wait = (told + PROGRESS).saturating_sub(since.elapsed());
        match lines.recv_timeout(wait) {
            Ok(line) if is_package(&line) => compiled += 1,
            Ok(line) => eprintln!("    {line}"),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if since.elapsed() >= told + PROGRESS {
            told = since.elapsed();
            eprintln!("    {}", progress(compiled, packages, told));
        }
    }
}

/// An import path alone on its line, as `go build -v` prints it; not a compiler's complaint.
fn is_package(line: &str) -> bool {
    !line.is_empty()
        && line
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '~'))
}

fn progress(compiled: usize, packages: usize, elapsed: Duration) -> String {
    let elapsed = in_words(elapsed);
    if compiled == 0 {
        return format!("{elapsed}: nothing compiled yet (fetching, or linking what was)");
    }
    format!("{elapsed}: {compiled} of at most {packages} packages compiled")
}

/// Puts a copy (a link where it can be one) there, all at once.
fn place(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    let part = to.with_extension(format!("part-{}", std::process::id()));
    let placed = fs::hard_link(from, &part)
        .or_else(|_| fs::copy(from, &part).map(drop))
        .and_then(|()| fs::rename(&part, to));
    if placed.is_err() {
        let _ = fs::remove_file(&part);
    }
    placed.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_told_from_a_complaint() {
        for package in [
            "fmt",
            "k8s.io/api/core/v1",
            "go.etcd.io/etcd/server/v3",
            "a.b/c-d_e",
        ] {
            assert!(is_package(package), "{package}");
        }
        for other in [
            "",
            "go: downloading k8s.io/api v0.37.2",
            "./main.go:3:1: undefined: x",
            "# a",
        ] {
            assert!(!is_package(other), "{other}");
        }
    }

    #[test]
    fn progress_says_how_far_it_is() {
        let minutes = Duration::from_secs(140);
        assert_eq!(
            progress(412, 2700, minutes),
            "2 min 20 s: 412 of at most 2700 packages compiled"
        );
        assert!(progress(0, 2700, minutes).contains("nothing compiled yet"));
    }

    #[test]
    fn what_was_built_is_found_again_here_and_in_another_clone() {
        let dir = tempfile::tempdir().unwrap();
        let places = |clone: &str| Places {
            root: dir.path().join(clone),
            target: dir.path().join(clone).join("target"),
            cache: Some(dir.path().join("cache")),
        };
        // A build.sh that "compiles" proves when it is run, and what with.
        let module = places("a").control_plane();
        fs::create_dir_all(&module).unwrap();
        fs::write(
            module.join("build.sh"),
            "echo built >> runs; printf program > \"$1\"\n",
        )
        .unwrap();
        fs::write(module.join("go.mod"), "module m\n").unwrap();
        fs::write(module.join("main.go"), "package main\nfunc main() {}\n").unwrap();
        let Ok(Ok(go)) = go::find(&places("a")) else {
            println!("left out: {}", go::NO_GO);
            return;
        };
        let (program, verdict) = get(&places("a"), &go).unwrap();
        assert_eq!(verdict, Verdict::Passed);
        assert_eq!(fs::read(&program).unwrap(), b"program");
        assert_eq!(fs::read(module.join("runs")).unwrap(), b"built\n");
        fs::remove_file(module.join("runs")).unwrap();

        let (again, verdict) = get(&places("a"), &go).unwrap();
        assert_eq!(
            (again, verdict),
            (program, Verdict::PassedWith("built before".into()))
        );

        let other = places("b").control_plane();
        fs::create_dir_all(&other).unwrap();
        for file in ["build.sh", "go.mod", "main.go"] {
            fs::copy(module.join(file), other.join(file)).unwrap();
        }
        let (program, verdict) = get(&places("b"), &go).unwrap();
        assert!(
            program.starts_with(dir.path().join("b/target")),
            "{}",
            program.display()
        );
        assert!(matches!(verdict, Verdict::PassedWith(note) if note.starts_with("taken from")));
        assert!(!other.join("runs").exists());

        fs::write(
            other.join("main.go"),
            "package main\nfunc main() { println() }\n",
        )
        .unwrap();
        assert_eq!(get(&places("b"), &go).unwrap().1, Verdict::Passed);
    }
}

//! A cgroup (version 2) below one's own, which the kernel kills as one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Makes a new one below that of this process.
pub(crate) fn make() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let parent = place(&mounts, &own).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "this process is in no cgroup of version 2 that can be seen",
        )
    })?;
    let name = format!(
        "tenure-run-{}-{:08x}",
        std::process::id(),
        rand::random::<u32>()
    );
    let path = parent.join(name);
    fs::create_dir(&path)?;
    // Older than Linux 5.14, it is not there.
    if path.join("cgroup.kill").exists() {
        Ok(path)
    } else {
        remove(&path);
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "cgroups cannot be killed as one here (Linux 5.14 can)",
        ))
    }
}

/// Moves this process in.
pub(crate) fn enter(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), "0")
}

/// Kills everything in it.
pub(crate) fn kill(path: &Path) {
    let _ = fs::write(path.join("cgroup.kill"), "1");
}

/// Whether nothing lives in it. One that cannot be read is none any more.
pub(crate) fn is_empty(path: &Path) -> bool {
    match fs::read_to_string(path.join("cgroup.events")) {
        Ok(events) => events.lines().any(|line| line == "populated 0"),
        Err(_) => true,
    }
}

/// Removes it, with what the command may have made in it.
pub(crate) fn remove(path: &Path) {
    if let Ok(entries) = fs::read_dir(path) {
        let below = entries.flatten().map(|entry| entry.path());
        below
            .filter(|path| path.is_dir())
            .for_each(|path| remove(&path));
    }
    let _ = fs::remove_dir(path);
}

/// Where one's own cgroup is, from /proc/self/mountinfo and /proc/self/cgroup.
fn place(mounts: &str, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        // `..` is how a process outside of the cgroup namespace is shown.
        let inside = !below.components().any(|part| part.as_os_str() == "..");
        inside.then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw\n";

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let found = place(UNIFIED, "0::/system.slice/a.service\n");
        let path = "/sys/fs/cgroup/system.slice/a.service";
        assert_eq!(found, Some(PathBuf::from(path)));
        let hybrid = format!("1 0 0:1 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n{UNIFIED}");
        let found = place(&hybrid, "8:pids:/x\n0::/\n");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/")));
        let rooted = "30 25 0:26 /pod/a /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let found = place(rooted, "0::/pod/a/b\n");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/b")));
    }

    #[test]
    fn where_there_is_none_none_is_found() {
        assert_eq!(place("", "0::/\n"), None);
        assert_eq!(place(UNIFIED, "8:pids:/\n"), None);
        assert_eq!(place(UNIFIED, "0::/../other\n"), None);
        let rooted = "30 25 0:26 /pod /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(place(rooted, "0::/elsewhere\n"), None);
    }
}

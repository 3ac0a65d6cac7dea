//! A PID namespace, whose init takes everything in it along when it dies.

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, io};

    use nix::sched::{CloneFlags, unshare};
    use rustix::{
        mount::{MountFlags, MountPropagationFlags, mount, mount_change},
        process::{Signal, set_parent_process_death_signal},
    };

    /// In the guard: its next child begins a new PID namespace. With `as_user` in a user namespace
    /// of its own, in which the user and the group are who they were.
    pub(crate) fn enter(as_user: bool) -> io::Result<()> {
        if as_user {
            let (uid, gid) = (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            );
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)?;
            // Without it the kernel takes no groups from those who have no rights.
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
            fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        } else {
            unshare(CloneFlags::CLONE_NEWPID)?;
        }
        Ok(())
    }

    /// In the init: it dies with its guard, and /proc shows the new namespace where that is allowed.
    pub(crate) fn settle() -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Where these are not allowed, /proc goes on to show the processes of outside.
        if unshare(CloneFlags::CLONE_NEWNS).is_ok() {
            let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
            if mount_change("/", down).is_ok() {
                let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                let _ = mount("proc", "/proc", "proc", flags, None);
            }
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;

    pub(crate) fn enter(_as_user: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn settle() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{enter, settle};
#[cfg(target_os = "linux")]
pub(crate) use linux::{enter, settle};

//! The processes of this machine, as /proc shows them.

use std::fs;

use rustix::process::{Pid, Signal};

#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub command_line: String,
}

/// All that have not ended.
pub fn alive() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?);
            let command_line = fs::read(entry.path().join("cmdline")).ok()?;
            (state != "Z" && state != "X").then_some(Process {
                pid,
                parent: parent.parse().ok()?,
                command_line: String::from_utf8_lossy(&command_line).replace('\0', " "),
            })
        })
        .collect()
}

/// What runs behind one tenure.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub guard: i32,
    pub init: i32,
    /// The command's first process.
    pub first: i32,
}

/// The chain below tenure, once its command runs.
pub fn chain(tenure: i32) -> Option<Chain> {
    let all = alive();
    let child = |parent: i32, part: &str| {
        let mut children = all.iter().filter(|process| process.parent == parent);
        children
            .find(|process| process.command_line.contains(part))
            .map(|process| process.pid)
    };
    let guard = child(tenure, "__guard")?;
    let init = child(guard, "__init")?;
    let first = child(init, "--nocapture")?;
    Some(Chain { guard, init, first })
}

/// Who is alive and has this in its command line or its environment.
pub fn with(mark: &str) -> Vec<Process> {
    let mut found = alive();
    found.retain(|process| {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        process.command_line.contains(mark) || String::from_utf8_lossy(&environment).contains(mark)
    });
    let own = i32::try_from(std::process::id()).unwrap();
    found.retain(|process| process.pid != own);
    found
}

/// Sends it, if there is anybody to send it to.
pub fn send(pid: i32, signal: Signal) {
    let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal);
}

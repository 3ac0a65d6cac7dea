//! `tenure run` where things are not as its tests would have them: slow commands, hooks that leave
//! something behind, scripts without an interpreter, terminals, `nohup`.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    process::{Command, Stdio},
};

use common::{
    Running,
    running::{run, sh},
    terminal, text,
};
use rustix::process::Signal;
use tenure_harness::{PodOptions, TestServer};

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

/// What it ends with, and what it says.
async fn outcome(mut command: Command, input: &'static [u8]) -> (i32, String, String) {
    let ended = tokio::task::spawn_blocking(move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // Whoever ends without reading it has no need of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    });
    let output = tokio::time::timeout(common::LIMIT, ended).await;
    let output = output.unwrap().unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_signal_only_a_command_that_is_slow_to_start_is_told_when_it_can_hear() {
    let server = server().await;
    for containment in ["auto", "process-group"] {
        let flags = ["--signal-only", "USR1", "--containment", containment];
        let script = "\
            sleep 0.5; trap 'cat $TENURE_STATE_FILE' USR1; trap 'exit 4' TERM; \
            while :; do sleep 0.02; done";
        let mut one = Running::start(&mut sh(&server, &flags, script));
        let told = one.line().expect("it lives");
        assert!(told.starts_with("leading "), "{told}");
        one.signal(Signal::TERM);
        assert_eq!(one.wait().code(), Some(4));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_signal_only_the_file_is_where_it_is_said_to_be() {
    let server = server().await;
    let directory = tempfile::tempdir().unwrap();
    let odd = directory.path().join(OsStr::from_bytes(b"o\xffdd"));
    std::fs::create_dir(&odd).unwrap();
    let script = "cat \"$TENURE_STATE_FILE\" | tr -d '0-9'; exit 3";
    let mut command = sh(&server, &["--signal-only", "WINCH"], script);
    command.env("TMPDIR", &odd);
    let (code, told, error) = outcome(command, b"").await;
    assert_eq!(code, 3, "{error}");
    assert!(
        ["standby\n", "leading  \n"].contains(&told.as_str()),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_is_to_read_is_not_for_hooks() {
    let server = server().await;
    let flags = ["--on-start", "cat", "--on-stop", "cat"];
    let (code, told, error) = outcome(run(&server, &flags, &["cat"]), b"for the command\n").await;
    assert_eq!((code, told.as_str()), (0, "for the command\n"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_hook_that_leaves_something_behind_is_told_of() {
    let server = server().await;
    let flags = ["--hook-timeout", "200ms", "--on-start"];
    for (hook, why) in [
        ("sleep 60 & exit 0", "left something behind"),
        ("sleep 60", "was killed before it ended"),
        ("exit 9", "ended with 9"),
    ] {
        let flags = [&flags[..], &[hook]].concat();
        let (code, told, error) = outcome(sh(&server, &flags, "echo never"), b"").await;
        assert_eq!((code, told.as_str()), (125, ""), "{error}");
        let last = error.lines().last().unwrap();
        assert!(last.contains("--on-start") && last.contains(why), "{error}");
        assert!(last.contains("the command was not started"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_whose_interpreter_is_missing_is_told_from_one_that_is_missing() {
    let server = server().await;
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let command = run(&server, &[], &[script.to_str().unwrap()]);
    let (code, _, told) = outcome(command, b"").await;
    assert_eq!(code, 127);
    assert!(told.contains("has no interpreter here"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_rights_is_told_so_without_being_asked() {
    let server = server().await;
    server.embedded_server().unwrap().deny("create", "leases");
    let (code, _, told) = outcome(sh(&server, &["-w", "1s"], "echo never"), b"").await;
    assert_eq!(code, 124);
    let mut lines = told.lines();
    let warned = lines.next().unwrap();
    assert!(warned.contains("cannot stand for election"), "{told}");
    assert!(warned.contains("forbidden"), "{told}");
    assert!(lines.next().unwrap().contains("gave up the lock"), "{told}");
    assert_eq!(lines.next(), None, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_terminal_it_is_shown_who_is_waited_for_and_how_to_kill() {
    let server = server().await;
    let one = Running::start(&mut sh(
        &server,
        &["--identity", "one"],
        "echo up; sleep 60",
    ));
    assert_eq!(one.line().unwrap(), "up");
    let script = "trap '' TERM; echo up; while :; do sleep 0.02; done";
    let mut command = sh(&server, &["--stop-timeout", "1h"], script);
    let mut shown = terminal::attach(&mut command);
    let mut two = Running::start(&mut command);
    shown.until("waiting for the lock \"nightly\": one leads");
    one.signal(Signal::TERM);
    assert_eq!(two.line().unwrap(), "up");
    two.signal(Signal::INT);
    shown.until("a second Ctrl-C kills it");
    two.signal(Signal::INT);
    assert_eq!(two.wait().code(), Some(137));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nohup_asks_for_holds_for_all_that_stand() {
    let server = server().await;
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    for verb in [&["campaign"][..], &["sidecar", "--http", "127.0.0.1:0"]] {
        let inner = common::tenure(verb);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\" nightly"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.args(["--kubeconfig", kubeconfig]);
        command.env("HOME", "/nonexistent");
        let mut one = Running::start(&mut command);
        one.line().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", one.pid())).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        assert!(
            ignored
                .unwrap()
                .ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']),
            "{status}"
        );
        one.signal(Signal::HUP);
        one.signal(Signal::TERM);
        assert_eq!(one.wait().code(), Some(0));
    }
}

/// In a PID namespace whose /proc is another's, numbers there are not those of the processes here.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_proc_shows_other_processes_none_of_them_is_taken_for_ones_own() {
    const ENTER: [&str; 3] = ["--pid", "--fork", "--kill-child"];
    let allowed = Command::new("unshare").args(ENTER).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        println!("left out: no new PID namespace is allowed here");
        return;
    }
    let server = server().await;
    for (containment, code) in [("auto", 0), ("process-group", 125)] {
        let flags = ["--containment", containment, "--stop-timeout", "200ms"];
        let script = "setsid sleep 400.375 & echo up";
        let inner = sh(&server, &flags, script);
        let mut command = Command::new("unshare");
        command.args(ENTER).arg(inner.get_program());
        command.args(inner.get_args()).env("HOME", "/nonexistent");
        let (ended, told, error) = outcome(command, b"").await;
        assert_eq!(ended, code, "{error}");
        if code == 0 {
            assert_eq!(told, "up\n");
        } else {
            assert!(error.contains("mount it anew"), "{error}");
        }
        let mut left = Command::new("pgrep");
        let left = left.args(["-f", "^sleep 400.375"]).output().unwrap();
        assert_eq!(text(&left.stdout), "");
    }
}

/// The guard is the one child of tenure.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_guard_is_done_without_where_leadership_has_no_end_too() {
    let server = server().await;
    let pod = PodOptions::default();
    server.create_pod("default", "a", &pod).await.unwrap();
    let flags = ["--lock", "config-map", "--pod", "a"];
    let mut one = Running::start(&mut sh(&server, &flags, "echo up; exec sleep 60"));
    assert_eq!(one.line().unwrap(), "up");
    let children = format!("/proc/{0}/task/{0}/children", one.pid());
    let guard = std::fs::read_to_string(children).unwrap();
    let guard = rustix::process::Pid::from_raw(guard.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(guard, Signal::STOP).unwrap();
    assert_eq!(one.line().unwrap(), "up", "behind another guard");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(143));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_that_is_no_text_is_named() {
    let server = server().await;
    let mut command = sh(&server, &[], "true");
    command.env("TENURE_WAIT", OsStr::from_bytes(b"\xff"));
    let (code, _, told) = outcome(command, b"").await;
    assert_eq!(code, 125);
    assert!(
        told.contains("UTF-8") && told.contains("TENURE_WAIT"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_waits_no_longer_where_the_server_does_not_answer() {
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = common::kubeconfig_of(&silent);
    let path = file.path().to_str().unwrap();
    let flags = ["run", "nightly", "-w", "200ms", "--kubeconfig", path];
    let mut command = common::tenure(&flags);
    command.args(["--", "echo", "never"]);
    let (code, told, error) = outcome(command, b"").await;
    assert_eq!((code, told.as_str()), (124, ""), "{error}");
    assert!(error.contains("the API server has not answered"), "{error}");
}

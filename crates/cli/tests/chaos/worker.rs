//! What the candidates run: processes that do not want to end, and leave a mark every few
//! milliseconds while they live.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Where marks go; set for workers alone.
const DIRECTORY: &str = "TENURE_TEST_MARKS";
/// `first`, `child` or `session`: what to be.
const ROLE: &str = "TENURE_TEST_ROLE";

const PAUSE: Duration = Duration::from_millis(5);

/// The test at the end of this file, which becomes the worker.
const TEST: &str = "chaos::worker::a_worker_and_its_children_leave_marks";

/// A command line that becomes a worker, which writes into that directory.
pub fn command_line(marks: &Path) -> Vec<String> {
    let this = std::env::current_exe().unwrap();
    [
        "env",
        &format!("{DIRECTORY}={}", marks.display()),
        &format!("{ROLE}=first"),
        this.to_str().unwrap(),
        "--exact",
        TEST,
        "--nocapture",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Works, for ever, in a process that was started to be a worker.
#[allow(clippy::zombie_processes, reason = "it never ends by itself")]
fn serve_if_asked() {
    let (Some(marks), Ok(role)) = (std::env::var_os(DIRECTORY), std::env::var(ROLE)) else {
        return;
    };
    if role == "session" {
        rustix::process::setsid().unwrap();
    }
    if role == "first" {
        for role in ["child", "session"] {
            let this = std::env::current_exe().unwrap();
            let mut child = Command::new(this);
            child.args(std::env::args_os().skip(1)).env(ROLE, role);
            child.stdout(Stdio::null()).spawn().unwrap();
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // TERM is heard, and nothing is done about it.
        let kind = tokio::signal::unix::SignalKind::terminate();
        let _term = tokio::signal::unix::signal(kind).unwrap();
        leave_marks(Path::new(&marks), &role);
    });
}

fn leave_marks(directory: &Path, role: &str) {
    let var = |name| std::env::var(name).unwrap_or_else(|_| "none".to_owned());
    let (identity, token) = (var("TENURE_IDENTITY"), var("TENURE_TOKEN"));
    let nonce = rand::random::<u64>();
    let name = format!("{identity}.{token}.{role}.{nonce:016x}");
    let mut file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(name))
        .unwrap();
    loop {
        file.write_all(&tenure::now().as_nanos().to_le_bytes())
            .unwrap();
        std::thread::sleep(PAUSE);
    }
}

/// The marks of one process.
#[derive(Clone, Debug)]
pub struct Marks {
    pub identity: String,
    pub token: String,
    pub first: u64,
    pub last: u64,
    pub count: usize,
}

/// All that was marked so far.
pub fn read(directory: &Path) -> Vec<Marks> {
    let files = fs::read_dir(directory).unwrap().flatten();
    files
        .filter_map(|file| {
            let name = file.file_name().into_string().unwrap();
            let mut parts = name.split('.');
            let (identity, token) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            let bytes = fs::read(file.path()).ok()?;
            let mut marks = bytes
                .chunks_exact(8)
                .map(|mark| u64::from_le_bytes(mark.try_into().unwrap()));
            let first = marks.next()?;
            Some(Marks {
                identity,
                token,
                first,
                last: marks.next_back().unwrap_or(first),
                count: bytes.len() / 8,
            })
        })
        .collect()
}

/// From the first to the last mark under each token, in order.
pub fn reigns(marks: &[Marks]) -> Vec<Marks> {
    let mut reigns: Vec<Marks> = Vec::new();
    for one in marks {
        let same = |reign: &&mut Marks| reign.identity == one.identity && reign.token == one.token;
        match reigns.iter_mut().find(same) {
            Some(reign) => {
                reign.first = reign.first.min(one.first);
                reign.last = reign.last.max(one.last);
                reign.count += one.count;
            }
            None => reigns.push(one.clone()),
        }
    }
    reigns.sort_by_key(|reign| reign.first);
    reigns
}

/// Also what the candidates run.
#[test]
fn a_worker_and_its_children_leave_marks() {
    serve_if_asked();
    let directory = tempfile::tempdir().unwrap();
    let line = command_line(directory.path());
    let mut child = Command::new(&line[0])
        .args(&line[1..])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    let all_work = || {
        let marks = read(directory.path());
        marks.len() == 3 && marks.iter().all(|marks| marks.count >= 10)
    };
    while !all_work() && tokio::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let marks = read(directory.path());
    for process in super::processes::with(directory.path().to_str().unwrap()) {
        super::processes::send(process.pid, rustix::process::Signal::KILL);
    }
    child.wait().unwrap();
    assert_eq!(marks.len(), 3);
    assert!(marks.iter().all(|marks| marks.count >= 10), "{marks:?}");
    assert_eq!(reigns(&marks).len(), 1);
}

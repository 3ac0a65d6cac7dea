//! Whether `tenure sidecar` answers as its OpenAPI document says, to whatever it is asked:
//! schemathesis asks a real one over the embedded API server.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::clock::{Since, in_words};
use crate::places::Places;
use crate::process::{command, run, shown};
use crate::report::{Report, Verdict};
use crate::rust::cargo;
use crate::schemathesis;

#[derive(Debug, Default, Args)]
pub(crate) struct SidecarApiArgs {
    /// Install schemathesis if it is not there, into a virtual environment of Python's
    #[arg(long)]
    pub(crate) install: bool,
    /// Ask this `tenure`, rather than build one
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
}

/// The document, which a sidecar serves as it lies there.
const DOCUMENT: &str = "crates/cli/src/sidecar/openapi.json";
/// What is asked, and how much of it.
const CONFIG: &str = "testing/sidecar-api/schemathesis.toml";

const OPEN: &str = "sidecar API";
const WITH_TOKEN: &str = "sidecar API, with a token";

/// An answer holds for 30 ms only, and who has stepped down stands again at once: most requests
/// would else be asked of one that does not lead, or wait.
const FLAGS: [&str; 6] = [
    "--http",
    "127.0.0.1:0",
    "--grace",
    "40ms",
    "--cooldown",
    "0s",
];
const TOKEN: &str = "a-token-that-nobody-has-to-guess";

/// The longest that a program may take until it answers, and schemathesis for all of its questions.
const START_LIMIT: Duration = Duration::from_secs(60);
const ASK_LIMIT: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(50);

/// Both a sidecar that answers everybody of this machine and one that wants a token.
pub(crate) fn steps(report: &mut Report, places: &Places, args: &SidecarApiArgs) {
    let tool = schemathesis::get(report, places, args.install);
    let Some(tool) = tool else {
        // Where installing has failed these are not reached.
        report.left_out(OPEN, schemathesis::MISSING);
        report.left_out(WITH_TOKEN, schemathesis::MISSING);
        return;
    };
    let mut program = None;
    report.step(OPEN, || {
        let built = match &args.program {
            Some(file) => std::path::absolute(file)?,
            None => build(places)?,
        };
        program = Some(built.clone());
        let place = places.target.join("sidecar-api/open");
        ask(places, &place, &tool, &built, None)
    });
    report.step(WITH_TOKEN, || {
        let program = program.context("there is no program")?;
        let place = places.target.join("sidecar-api/with-token");
        ask(places, &place, &tool, &program, Some(TOKEN))
    });
}

/// The program as the tests have it: with other features everything would be built once more, and
/// what lies there may be the one that is broken on purpose.
fn build(places: &Places) -> Result<PathBuf> {
    let build = ["test", "--workspace", "--locked", "--no-run"];
    run(cargo(places, &build).args(["--test", "sidecar"]))?;
    let name = format!("tenure{}", std::env::consts::EXE_SUFFIX);
    Ok(places.target.join("debug").join(name))
}

/// Starts an API server and a sidecar, everything in `place`, and has the sidecar asked.
fn ask(
    places: &Places,
    place: &Path,
    tool: &Path,
    tenure: &Path,
    token: Option<&str>,
) -> Result<Verdict> {
    // What an earlier run has left would be taken for this one's.
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    let document = place.join("openapi.json");
    let text = fs::read_to_string(places.root.join(DOCUMENT)).context("where is the document?")?;
    fs::write(&document, documented(&text, token.is_some())?)?;

    let kubeconfig = place.join("kubeconfig");
    let mut server = ours(tenure, place);
    server
        .args(["dev-server", "--kubeconfig-out"])
        .arg(&kubeconfig);
    let mut server = Running::start(server, &place.join("dev-server.log"))?;
    server.until(START_LIMIT, |_| kubeconfig.exists().then_some(()))?;

    let mut sidecar = ours(tenure, place);
    sidecar.args(["sidecar", "nightly", "--kubeconfig"]);
    sidecar.arg(&kubeconfig).args(FLAGS);
    if let Some(token) = token {
        let file = place.join("token");
        fs::write(&file, token)?;
        sidecar.arg("--token-file").arg(file);
    }
    let mut sidecar = Running::start(sidecar, &place.join("sidecar.log"))?;
    let address = sidecar.until(START_LIMIT, address_in)?;
    sidecar.until(START_LIMIT, |_| is_ready(address).then_some(()))?;

    let mut asking = command(tool, &["--config-file"], place);
    asking.arg(places.root.join(CONFIG)).arg("run");
    asking.arg(&document).arg("--no-color");
    asking.args(["--url", &format!("http://{address}")]);
    if let Some(token) = token {
        asking.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    // A proxy does not reach this machine's loopback.
    asking.env("NO_PROXY", "*").env("no_proxy", "*");
    let mut asking = Running::start(asking, &place.join("schemathesis.txt"))?;
    let ended = asking.ended(ASK_LIMIT);
    let said = asking.said();
    let held = ended.and_then(|()| {
        sidecar.still_runs()?;
        server.still_runs()?;
        cases(&said).context("schemathesis does not say how much it has asked")
    });
    match held {
        Ok(cases) => Ok(Verdict::PassedWith(cases)),
        Err(error) => {
            eprintln!("{said}");
            let place = place.display();
            Err(error.context(format!("all that was said is in {place}")))
        }
    }
}

/// The document by which is asked. It says that a token may be needed, since it is one for all
/// sidecars; of one that wants a token everything else has to be refused.
fn documented(text: &str, with_token: bool) -> Result<String> {
    let mut document: Value = serde_json::from_str(text).context("the document is no JSON")?;
    let wanted = json!({"token": []});
    let security = document.get_mut("security").context("no security in it")?;
    if *security != json!([{}, wanted]) {
        bail!("the document's security is not a token that may be left out: {security}");
    }
    if with_token {
        *security = json!([wanted]);
    }
    Ok(document.to_string())
}

/// `tenure`, which knows of nothing but its arguments.
fn ours(tenure: &Path, place: &Path) -> Command {
    let mut command = command(tenure, &[], place);
    command.env_clear();
    command
}

/// The address in `listening on http://ADDRESS`.
fn address_in(said: &str) -> Option<SocketAddr> {
    let line = said
        .lines()
        .find(|line| line.starts_with("listening on "))?;
    // The line may still be on its way.
    let whole = said.contains(&format!("{line}\n"));
    let address = line.strip_prefix("listening on http://")?;
    address.parse().ok().filter(|_| whole)
}

/// Whether the sidecar has seen the lock: before, it is right to say 503.
fn is_ready(address: SocketAddr) -> bool {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, START_LIMIT)?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    answer().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// The line of the summary that counts: `764 generated, 764 passed`. None where nothing was asked.
fn cases(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    lines.find(|line| *line == "Test cases:")?;
    let line = lines.next()?;
    let (count, _) = line.split_once(" generated")?;
    let asked = count.parse::<u64>().is_ok_and(|count| count > 0);
    asked.then(|| line.to_owned())
}

/// A program that is ended with this. What it says goes into a file.
#[derive(Debug)]
struct Running {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = shown(&command);
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            child,
            name,
            log: log.to_owned(),
        })
    }

    /// Looks at what it has said until something is found.
    fn until<T>(&mut self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let since = Since::now();
        loop {
            if let Some(found) = find(&self.said()) {
                return Ok(found);
            }
            self.still_runs()?;
            if since.elapsed() > limit {
                bail!(
                    "{} is not there after {}: {}",
                    self.name,
                    in_words(limit),
                    self.said()
                );
            }
            thread::sleep(PAUSE);
        }
    }

    fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}: {}", self.name, self.said()),
        }
    }

    /// Waits until it has ended as it should.
    fn ended(&mut self, limit: Duration) -> Result<()> {
        let since = Since::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} ended with {status}", self.name),
                None if since.elapsed() > limit => {
                    bail!("{} takes longer than {}", self.name, in_words(limit))
                }
                None => thread::sleep(PAUSE),
            }
        }
    }

    fn said(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_once_its_line_is_whole() {
        let address = "127.0.0.1:4040".parse().unwrap();
        let said = "listening on http://127.0.0.1:4040\nprobes on http://127.0.0.1:1\n";
        assert_eq!(address_in(said), Some(address));
        for other in ["", "listening on http://127.0.0.1:40", "error: x\n"] {
            assert_eq!(address_in(other), None, "{other}");
        }
    }

    #[test]
    fn a_run_that_asked_nothing_says_no_count() {
        let said = |line: &str| format!("Tested: 11\n\nTest cases:\n  {line}\n\nSeed: 1\n");
        let all = cases(&said("764 generated, 764 passed, 18 skipped"));
        assert_eq!(all.unwrap(), "764 generated, 764 passed, 18 skipped");
        assert_eq!(cases(&said("0 generated")), None);
        assert_eq!(cases("Test cases:\n"), None);
        assert_eq!(cases("No test cases were generated"), None);
    }

    #[test]
    fn where_a_token_is_wanted_the_document_says_so() {
        let text = r#"{"paths": {}, "security": [{}, {"token": []}]}"#;
        let security = |with_token| -> Value {
            let document = documented(text, with_token).unwrap();
            serde_json::from_str::<Value>(&document).unwrap()["security"].take()
        };
        assert_eq!(security(false), json!([{}, {"token": []}]));
        assert_eq!(security(true), json!([{"token": []}]));
        for other in [r#"{"security": []}"#, "{}", "no JSON"] {
            assert!(documented(other, true).is_err(), "{other}");
        }
    }

    #[test]
    fn the_document_and_what_is_asked_by_it_are_there() {
        let root = Places::find().root;
        let text = fs::read_to_string(root.join(DOCUMENT)).unwrap();
        assert!(documented(&text, true).is_ok());
        let config = fs::read_to_string(root.join(CONFIG)).unwrap();
        assert!(config.parse::<toml::Table>().unwrap().contains_key("seed"));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_waited_for_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let start = |script: &str| {
            let script = ["-c", script];
            Running::start(command("sh", &script, dir.path()), &log).unwrap()
        };
        let mut running = start("echo here; exec sleep 600");
        let here = |said: &str| said.contains("here").then_some(());
        running.until(START_LIMIT, here).unwrap();
        running.still_runs().unwrap();
        let late = running.ended(Duration::ZERO).unwrap_err();
        assert!(late.to_string().contains("takes longer"), "{late}");
        let process = PathBuf::from(format!("/proc/{}", running.child.id()));
        drop(running);
        assert!(!process.exists());
        start("exit 0").ended(START_LIMIT).unwrap();
        let failed = start("echo why; exit 3").until(START_LIMIT, |_| None::<()>);
        let told = failed.unwrap_err().to_string();
        assert!(told.contains("exit status: 3: why"), "{told}");
        assert!(start("exit 3").ended(START_LIMIT).is_err());
    }
}

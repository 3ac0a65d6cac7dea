//! What the command line means: every value checked, nothing tried yet.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::error::ErrorKind;
use tenure::{Kind, rbac::Rights};

use crate::{
    args::{CampaignArgs, Command, CommandLine, DemoArgs, DevServerArgs, Lock, RbacArgs},
    cluster::ClusterChoice,
    config,
    console::{self, Quiet},
    failure::Failure,
    names,
    standing::{self, StandOptions},
    steer::args as steer,
};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Task {
    Demo(DemoOptions),
    DemoCandidate,
    Campaign(Box<CampaignOptions>),
    #[cfg(unix)]
    Run(Box<crate::run::RunOptions>),
    Sidecar(Box<crate::sidecar::SidecarOptions>),
    Steer(Box<crate::steer::Order>),
    /// The YAML.
    SteerRights(String),
    See(Box<crate::see::SeeTask>),
    Rbac(Rights),
    /// Install it there, or print it.
    Crd(Option<ClusterChoice>),
    DevServer(DevServerOptions),
}

#[derive(Debug)]
pub(crate) struct DemoOptions {
    pub(crate) lock: Kind,
    pub(crate) candidates: usize,
    pub(crate) real_timings: bool,
    pub(crate) lead_for: Duration,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) verbose: bool,
    /// None for the embedded server.
    pub(crate) cluster: Option<ClusterChoice>,
    pub(crate) namespace: Option<String>,
}

#[derive(Debug)]
pub(crate) struct CampaignOptions {
    pub(crate) stand: StandOptions,
    pub(crate) json: bool,
}

#[derive(Debug)]
pub(crate) struct DevServerOptions {
    pub(crate) port: u16,
    pub(crate) kubeconfig_out: Option<PathBuf>,
    pub(crate) with_crd: bool,
}

/// The most candidates of a demo: each is a process and a lane.
const MOST_CANDIDATES: usize = 20;

/// The exit code of a command line that makes no sense.
pub(crate) const MISUSED: u8 = 2;

/// Reads the command line. What is asked for by `--help` and `--version` is printed here; an
/// error too, in one line.
pub(crate) fn parse(args: Vec<OsString>) -> Result<CommandLine, ExitCode> {
    let misused = misused(&args);
    read(args).map_err(|error| {
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // Whoever says nothing wants to know what can be said.
            let _ = error.print();
            ExitCode::from(misused)
        } else if let Some(line) = complaint(&error) {
            console::note(&format!("tenure: {line}"));
            ExitCode::from(misused)
        } else {
            // A reader of the help that goes away early has read enough.
            let _ = error.print();
            ExitCode::SUCCESS
        }
    })
}

/// The same without printing anything.
pub(crate) fn read(args: Vec<OsString>) -> Result<CommandLine, clap::Error> {
    config::read(args)
}

/// The exit code if this command line makes no sense. Those of `tenure run` are the command's, so
/// it has one that few commands use.
pub(crate) fn misused(args: &[OsString]) -> u8 {
    match config::verb_in(args) {
        #[cfg(unix)]
        Some(command) if command == "run" => crate::run::FAILED,
        _ => MISUSED,
    }
}

/// What is logged where nothing is asked for.
pub(crate) fn quiet(command_line: &CommandLine) -> Quiet {
    match command_line.command {
        #[cfg(unix)]
        Command::Run(_) => Quiet::Warnings,
        Command::Sidecar(_) => Quiet::Warnings,
        _ => Quiet::Beside,
    }
}

/// What is wrong, in one line; none where help or the version was asked for.
pub(crate) fn complaint(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Some("say what to do; see --help".to_owned())
        }
        _ => Some(one_line(&error.to_string())),
    }
}

/// Works out what the command line means.
pub(crate) fn check(command_line: CommandLine) -> Result<Task, Failure> {
    let verbose = command_line.verbose > 0;
    Ok(match command_line.command {
        Command::Demo(args) => Task::Demo(demo(args, verbose)?),
        Command::DemoCandidate => Task::DemoCandidate,
        Command::Campaign(args) => Task::Campaign(Box::new(campaign(args)?)),
        #[cfg(unix)]
        Command::Run(args) => {
            let options = crate::run::check(*args)
                .map_err(|failure| failure.with_code(crate::run::FAILED))?;
            Task::Run(Box::new(options))
        }
        Command::Sidecar(args) => Task::Sidecar(Box::new(crate::sidecar::args::check(*args)?)),
        Command::StepDown(args) => Task::Steer(Box::new(steer::step_down(args)?)),
        Command::HandOver(args) => Task::Steer(Box::new(steer::hand_over(args)?)),
        Command::Pause(args) => Task::Steer(Box::new(steer::pause(args)?)),
        Command::Resume(args) => Task::Steer(Box::new(steer::resume(args)?)),
        Command::Release(args) => Task::Steer(Box::new(steer::release(args)?)),
        Command::Rbac(args) if args.steer => {
            rights(&args)?;
            let (names, namespace) = (&args.names, &args.namespace);
            let account = &args.service_account;
            Task::SteerRights(crate::steer::rights(
                args.lock.into(),
                names,
                namespace,
                account,
            ))
        }
        Command::See(command) => Task::See(Box::new(crate::see::check(command)?)),
        Command::Rbac(args) => Task::Rbac(rights(&args)?),
        Command::Crd(args) => Task::Crd(args.install.then_some(ClusterChoice {
            kubeconfig: args.kubeconfig,
            context: args.context,
        })),
        Command::DevServer(args) => Task::DevServer(dev_server(args)?),
    })
}

fn demo(args: DemoArgs, verbose: bool) -> Result<DemoOptions, Failure> {
    if !(2..=MOST_CANDIDATES).contains(&args.candidates) {
        return Err(Failure::usage(format!(
            "--candidates {} makes no demo: give 2 to {MOST_CANDIDATES}, one to lead and at least \
             one to take over",
            args.candidates
        )));
    }
    if args.real_timings && args.lock != Lock::Lease {
        return Err(Failure::usage(
            "--real-timings is for --lock lease: a lock for life has no lease to run out",
        ));
    }
    if let Some(namespace) = &args.namespace {
        names::namespace(namespace)?;
    }
    if let Some(svg) = &args.svg {
        writable("--svg", svg)?;
    }
    let context = args.context;
    Ok(DemoOptions {
        lock: args.lock.into(),
        candidates: args.candidates,
        real_timings: args.real_timings,
        lead_for: args.lead_for,
        svg: args.svg,
        json: args.json,
        verbose,
        cluster: args.kubeconfig.map(|kubeconfig| ClusterChoice {
            kubeconfig: Some(kubeconfig),
            context,
        }),
        namespace: args.namespace,
    })
}

fn campaign(args: CampaignArgs) -> Result<CampaignOptions, Failure> {
    Ok(CampaignOptions {
        stand: StandOptions {
            keep_lock: args.keep_lock,
            ..standing::check(args.stand)?
        },
        json: args.json,
    })
}

fn rights(args: &RbacArgs) -> Result<Rights, Failure> {
    names::namespace(&args.namespace)?;
    let account = &args.service_account;
    match account.split_once(':') {
        Some((namespace, account)) => {
            names::namespace(namespace)?;
            names::subdomain("service account", account)?;
        }
        None => names::subdomain("service account", account)?,
    }
    let mut rights = Rights::new(args.lock.into(), &args.namespace, account);
    for name in &args.names {
        names::subdomain("lock", name)?;
        rights = rights.name(name);
    }
    if args.set && args.lock != Lock::Lease {
        return Err(Failure::usage(
            "a set is of Leases: leave --set out, or take --lock lease",
        ));
    }
    let elsewhere = account
        .split_once(':')
        .is_some_and(|(namespace, _)| namespace != args.namespace);
    if args.label_pod && elsewhere {
        return Err(Failure::usage(
            "--label-pod is for candidates whose Pods are beside the lock: name a service account of \
             the lock's namespace, or leave --label-pod out",
        ));
    }
    if args.events {
        rights = rights.events();
    }
    if args.label_pod {
        rights = rights.label_pod();
    }
    Ok(if args.set { rights.set() } else { rights })
}

fn dev_server(args: DevServerArgs) -> Result<DevServerOptions, Failure> {
    if let Some(file) = &args.kubeconfig_out {
        writable("--kubeconfig-out", file)?;
    }
    Ok(DevServerOptions {
        port: args.port,
        kubeconfig_out: args.kubeconfig_out,
        with_crd: args.with_crd,
    })
}

/// Refuses a file that could not be written at the end, when all is done.
fn writable(flag: &str, file: &Path) -> Result<(), Failure> {
    if file.is_dir() || file.file_name().is_none() {
        return Err(Failure::usage(format!(
            "{flag} {} is a directory; name a file in it",
            file.display()
        )));
    }
    let directory = directory_of(file);
    if directory.is_dir() {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "{flag} {}: there is no directory {}; make it first, or name another file",
            file.display(),
            directory.display()
        )))
    }
}

/// Where a file is to be: the present directory where its name says nothing else.
pub(crate) fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl From<Lock> for Kind {
    fn from(lock: Lock) -> Self {
        match lock {
            Lock::Lease => Self::Lease,
            Lock::ConfigMap => Self::ConfigMap,
            Lock::LeaderLock => Self::LeaderLock,
        }
    }
}

/// What clap says, without the usage that `--help` shows anyway.
fn one_line(message: &str) -> String {
    format!("{}; see --help", first_words(message))
}

/// What clap says, in one line.
pub(crate) fn first_words(message: &str) -> String {
    let mut line = String::new();
    let told = message
        .lines()
        .map(str::trim)
        .take_while(|told| !told.starts_with("Usage:"))
        .filter(|told| !told.is_empty() && !told.starts_with("For more information"));
    for told in told {
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        line.push_str(told.strip_prefix("error: ").unwrap_or(told));
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn task(line: &str) -> Result<Task, Failure> {
        let words = std::iter::once("tenure").chain(line.split_whitespace());
        check(CommandLine::try_parse_from(words).unwrap())
    }

    fn refusal(line: &str) -> String {
        let failure = task(line).unwrap_err();
        assert_eq!(failure.exit_code(), 2, "{line}");
        failure.message(false)
    }

    #[test]
    fn a_demo_needs_somebody_to_take_over_and_lanes_that_can_be_read() {
        for bad in ["0", "1", "21", "100"] {
            let told = refusal(&format!("demo --candidates {bad}"));
            assert!(told.contains("2 to 20"), "{told}");
        }
        assert!(task("demo --candidates 2").is_ok());
        assert!(task("demo --candidates 20 --lock leader-lock").is_ok());
    }

    #[test]
    fn a_picture_in_a_missing_directory_is_refused_before_anything_starts() {
        let told = refusal("demo --svg /no/such/directory/demo.svg");
        assert!(told.contains("no directory /no/such/directory"), "{told}");
        assert!(refusal("demo --svg /").contains("is a directory"));
        assert!(task("demo --svg demo.svg").is_ok());
    }

    #[test]
    fn l3_timings_that_break_the_rule_are_refused_by_its_name() {
        let told = refusal("campaign a --lease-duration 10s --renew-deadline 10s");
        assert!(told.contains("rule L3"), "{told}");
        assert!(refusal("campaign a --lease-duration 0s").contains("longer than zero"));
        assert!(refusal("campaign a --clock-error 0.9").contains("0 to 0.5"));
        assert!(task("campaign a --lease-duration 30s --grace 1s").is_ok());
    }

    #[test]
    fn settings_of_the_other_kind_of_lock_are_refused() {
        assert!(refusal("campaign a --retry-first 1s").contains("--retry-period"));
        for flag in [
            "--lease-duration 5s",
            "--renew-deadline 5s",
            "--retry-period 5s",
            "--clock-error 0.1",
            "--wait-when-absent",
            "--cooldown 5s",
            "--trust-remote-clock 1m",
            "--identity me",
        ] {
            let told = refusal(&format!("campaign --lock config-map a {flag}"));
            assert!(told.contains("--lock lease"), "{told}");
        }
        assert!(
            refusal("campaign --lock config-map a --retry-first 9s --retry-most 2s")
                .contains("first retry")
        );
        assert!(task("campaign --lock config-map a --retry-most 100ms").is_ok());
        assert!(task("campaign --lock config-map a --retry-first 60s").is_ok());
        assert!(refusal("demo --lock config-map --real-timings").contains("no lease"));
    }

    #[test]
    fn names_that_kubernetes_refuses_are_refused_here() {
        assert!(refusal("campaign Nightly_1").contains("name of a lock"));
        assert!(refusal("campaign a -n Shop").contains("namespace"));
        assert!(refusal("campaign a --pod A").contains("name of a Pod"));
        assert!(refusal("rbac -n shop --service-account a:B").contains("service account"));
        assert!(refusal("rbac -n shop --service-account b X").contains("name of a lock"));
        assert!(refusal("rbac -n shop --service-account b a X").contains("name of a lock"));
        let life = refusal("rbac --set --lock config-map -n shop --service-account b");
        assert!(life.contains("leave --set out"), "{life}");
    }

    #[test]
    fn what_clap_refuses_is_told_in_one_line() {
        let error = CommandLine::try_parse_from(["tenure", "campaign"]).unwrap_err();
        assert_eq!(
            one_line(&error.to_string()),
            "the following required arguments were not provided: <NAME>; see --help"
        );
        let error = CommandLine::try_parse_from(["tenure", "demo", "--lock", "leese"]).unwrap_err();
        let line = one_line(&error.to_string());
        assert!(line.contains("leese") && line.contains("lease"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}

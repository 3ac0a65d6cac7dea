//! What the steering verbs are given, as it is typed, and what it means.

use std::time::Duration;

use clap::Args;

use crate::{
    args::{ClusterArgs, Lock, duration},
    cluster::ClusterChoice,
    failure::Failure,
    names,
    see::kind::Kind,
};

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Name of the lock, or KIND/NAME
    name: String,

    /// Kind of lock, where NAME does not say it [default: lease]
    #[arg(long, value_enum)]
    lock: Option<Lock>,

    /// Namespace of the lock [default: $NAMESPACE, $POD_NAMESPACE, the Pod's own, or the context's]
    #[arg(long, short)]
    namespace: Option<String>,

    /// Let the server check it, and change nothing; the change is printed
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Wait until it has happened, and say who leads then
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1,
        default_missing_value = "30s", require_equals = true)]
    wait: Option<Duration>,

    /// Ask even where the holder is no tenure, and will not listen
    #[arg(long)]
    anyway: bool,
}

#[derive(Debug, Args)]
#[command(after_help = STEP_DOWN_EXAMPLES)]
pub(crate) struct StepDownArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = HAND_OVER_EXAMPLES)]
pub(crate) struct HandOverArgs {
    #[command(flatten)]
    place: PlaceArgs,

    /// Who is to lead next: a Pod's name or uid, or a candidate's identity
    #[arg(long, value_name = "POD")]
    to: String,

    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    place: PlaceArgs,

    /// Why, for people; a pause that is there keeps its own
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,

    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = RELEASE_EXAMPLES)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    place: PlaceArgs,

    /// Take the lock from its holder, dead or alive: it is not asked
    #[arg(long, required = true)]
    force: bool,

    /// Do not ask on the terminal
    #[arg(long)]
    yes: bool,
}

/// One order to a lock.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) verb: Verb,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) dry_run: bool,
    /// Where the holder does not listen.
    pub(crate) anyway: bool,
    pub(crate) wait: Option<Duration>,
    pub(crate) cluster: ClusterChoice,
}

impl Order {
    pub(crate) fn pauses(&self) -> bool {
        matches!(self.verb, Verb::Pause { .. })
    }
}

#[derive(Debug)]
pub(crate) enum Verb {
    StepDown { to: Option<String> },
    Pause { reason: String },
    Resume,
    Release { yes: bool },
}

/// Longer names are no identities, and longer reasons are not shown.
const LONGEST: usize = 1024;

pub(crate) fn step_down(args: StepDownArgs) -> Result<Order, Failure> {
    order(args.place, Some(args.wait), Verb::StepDown { to: None })
}

pub(crate) fn hand_over(args: HandOverArgs) -> Result<Order, Failure> {
    if args.place.kind()? != Kind::Lease {
        return Err(Failure::usage(
            "hand-over is for --lock lease: a lock for life is deleted when it is given up, and can \
             name nobody; use step-down",
        ));
    }
    plain("--to", &args.to)?;
    if args.to.trim().is_empty() {
        return Err(Failure::usage(
            "--to is empty: give a Pod's name, or leave it to step-down",
        ));
    }
    let to = Some(args.to);
    order(args.place, Some(args.wait), Verb::StepDown { to })
}

pub(crate) fn pause(args: PauseArgs) -> Result<Order, Failure> {
    lease_only("pause", &args.place)?;
    plain("--reason", &args.reason)?;
    let reason = args.reason;
    order(args.place, Some(args.wait), Verb::Pause { reason })
}

pub(crate) fn resume(args: ResumeArgs) -> Result<Order, Failure> {
    lease_only("resume", &args.place)?;
    order(args.place, None, Verb::Resume)
}

pub(crate) fn release(args: ReleaseArgs) -> Result<Order, Failure> {
    order(args.place, None, Verb::Release { yes: args.yes })
}

fn order(place: PlaceArgs, wait: Option<WaitArgs>, verb: Verb) -> Result<Order, Failure> {
    let (kind, name) = place.lock()?;
    let name = name.to_owned();
    if let Some(namespace) = &place.namespace {
        names::namespace(namespace)?;
    }
    Ok(Order {
        verb,
        kind,
        name,
        namespace: place.namespace,
        dry_run: place.dry_run,
        anyway: wait.as_ref().is_some_and(|wait| wait.anyway),
        wait: wait.and_then(|wait| wait.wait),
        cluster: place.cluster.into(),
    })
}

impl PlaceArgs {
    /// Which lock is meant.
    fn lock(&self) -> Result<(Kind, &str), Failure> {
        let (said, name) = Kind::split(&self.name)?;
        let flagged = self.lock.map(Kind::from);
        if let (Some(said), Some(flagged)) = (said, flagged)
            && said != flagged
        {
            return Err(Failure::usage(format!(
                "{:?} is a {}, and --lock says {}; leave one of them out",
                self.name,
                said.name(),
                flagged.flag()
            )));
        }
        names::subdomain("lock", name)?;
        Ok((said.or(flagged).unwrap_or(Kind::Lease), name))
    }

    fn kind(&self) -> Result<Kind, Failure> {
        self.lock().map(|(kind, _)| kind)
    }
}

fn lease_only(verb: &str, place: &PlaceArgs) -> Result<(), Failure> {
    if place.kind()? == Kind::Lease {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{verb} is for --lock lease: a lock for life that is free is no object, and nothing can be \
         written on it"
    )))
}

const STEP_DOWN_EXAMPLES: &str = "\
Examples:
  tenure step-down nightly --wait                 and say who leads then
  tenure step-down nightly -n shop --dry-run      what would be asked
  tenure step-down configmap/nightly --wait=2m    as `tenure status -o name` prints it";

const HAND_OVER_EXAMPLES: &str = "\
Examples:
  tenure hand-over nightly --to worker-x2x9 --wait
  tenure hand-over nightly -n shop --to worker-x2x9 --dry-run";

const PAUSE_EXAMPLES: &str = "\
Examples:
  tenure pause nightly --reason \"moving house\" --wait
  tenure pause nightly --dry-run                  what would be written
  tenure resume nightly                           the way back";

const RESUME_EXAMPLES: &str = "\
Examples:
  tenure resume nightly
  tenure resume nightly -n shop --dry-run";

const RELEASE_EXAMPLES: &str = "\
Examples:
  tenure release --force nightly                  say what is known, and ask
  tenure release --force nightly --dry-run        what would be written or deleted
  tenure release --force --lock config-map nightly --yes";

fn plain(what: &str, text: &str) -> Result<(), Failure> {
    if text.len() <= LONGEST && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{what} is longer than {LONGEST} bytes or has control characters in it"
    )))
}

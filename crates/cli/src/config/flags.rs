//! The flags that can be configured: each has a variable and a key, unless it is said each time.

#[cfg(unix)]
use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Command, CommandFactory as _, builder::BoolishValueParser};

use crate::args::CommandLine;

/// The variable that names the file, and its flag.
const FILE_VARIABLE: &str = "TENURE_CONFIG";
pub(super) const FILE_FLAG: &str = "config";

/// What tenure gives to its children, and therefore never reads.
pub(crate) const GIVEN: [&str; 6] = [
    "TENURE_LOCK",
    "TENURE_IDENTITY",
    "TENURE_TERM",
    "TENURE_TOKEN",
    "TENURE_STATE_FILE",
    "TENURE_HOOK",
];

/// Verbs that are for trying things and for printing: only what holds for all verbs is configured.
const UNCONFIGURED_VERBS: [&str; 8] = [
    "demo",
    "demo-candidate",
    "dev-server",
    "crd",
    "completions",
    "man",
    "timeline",
    "help",
];

/// What is said each time, by whoever means it.
pub(super) const SAID_EACH_TIME: [&str; 16] = [
    "help",
    "version",
    "force",
    "yes",
    "anyway",
    "dry-run",
    "to",
    "reason",
    "install",
    "set",
    "steer",
    "is-leader",
    "all-namespaces",
    "record",
    "svg",
    "for",
];

/// The variables that configure tenure, and those that it gives to its children. What a child that is a
/// tenure itself should do is not its parent's to say, and what it is, is said anew.
#[cfg(unix)]
pub(crate) fn variables() -> BTreeSet<String> {
    let command = pages();
    let of_verbs = command.get_subcommands().flat_map(Command::get_arguments);
    command
        .get_arguments()
        .chain(of_verbs)
        .filter_map(|arg| arg.get_env()?.to_str().map(ToOwned::to_owned))
        .chain(GIVEN.map(ToOwned::to_owned))
        .collect()
}

/// The command line as it can be typed, with a variable for each flag.
pub(crate) fn command() -> Command {
    with_variables(|arg| {
        // Set but empty is unset, as manifests write it.
        let is_empty = |variable| std::env::var_os(variable).is_some_and(|value| value.is_empty());
        if arg.get_env().is_some_and(is_empty) {
            arg.env(None::<&'static str>)
        } else {
            arg
        }
    })
}

/// The same for pages that are read elsewhere: whatever the environment is here.
pub(crate) fn pages() -> Command {
    with_variables(|arg| arg.hide_env_values(true))
}

fn with_variables(and: impl Fn(Arg) -> Arg) -> Command {
    let with = |arg: Arg| {
        let variable = arg.get_long().and_then(variable_of);
        let arg = match variable {
            Some(variable) => and(arg.env(variable)),
            None => return arg,
        };
        if is_switch(&arg) {
            arg.value_parser(BoolishValueParser::new())
        } else {
            arg
        }
    };
    CommandLine::command()
        .mut_args(&with)
        .mut_subcommands(|verb| {
            if is_configured(&verb) {
                verb.mut_args(&with)
            } else {
                verb
            }
        })
}

/// Whether it is on or off.
pub(super) fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// The first variable for this verb whose value is no text.
pub(super) fn garbled(verb: Option<&str>) -> Option<String> {
    let command = pages();
    let verb = verb.and_then(|verb| command.find_subcommand(verb));
    let own = verb.into_iter().flat_map(Command::get_arguments);
    own.chain(command.get_arguments()).find_map(|arg| {
        let variable = arg.get_env()?.to_str()?;
        let value = std::env::var_os(variable)?;
        value.to_str().is_none().then(|| variable.to_owned())
    })
}

/// The variable of the flag `--long`.
pub(super) fn variable_of(long: &str) -> Option<String> {
    if SAID_EACH_TIME.contains(&long) {
        return None;
    }
    let name = match long {
        FILE_FLAG => FILE_VARIABLE.to_owned(),
        "lock" => "TENURE_LOCK_KIND".to_owned(),
        "identity" => "TENURE_STAND_AS".to_owned(),
        long => format!("TENURE_{}", long.replace('-', "_").to_uppercase()),
    };
    (!GIVEN.contains(&name.as_str())).then_some(name)
}

pub(super) fn is_configured(verb: &Command) -> bool {
    !UNCONFIGURED_VERBS.contains(&verb.get_name())
}

pub(super) fn is_key(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|long| {
        long != FILE_FLAG && !SAID_EACH_TIME.contains(&long) && variable_of(long).is_some()
    })
}

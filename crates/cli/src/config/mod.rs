//! Settings from the command line, the environment and a file, in that order.
//!
//! Nobody lists them: each long flag has a variable and a key of its own name, unless it is one of those
//! that are said each time. What stands in the file is put into the command line as if it had been typed,
//! where neither the command line nor the environment says anything about it, and nothing against it.

mod file;

use std::{collections::BTreeSet, ffi::OsString};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _,
    builder::BoolishValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use self::file::{Entry, Settings, Value};
use crate::args::CommandLine;

/// The variable that names the file, and its flag.
const FILE_VARIABLE: &str = "TENURE_CONFIG";
const FILE_FLAG: &str = "config";

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
const SAID_EACH_TIME: [&str; 16] = [
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

/// Reads the command line, with what the environment and the file say.
pub(crate) fn read(typed: Vec<OsString>) -> Result<CommandLine, clap::Error> {
    CommandLine::from_arg_matches(&matches(typed)?)
}

fn matches(typed: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let command = crate::see::as_called(&typed, command());
    let first = Given::of(&command, &typed);
    let (command, typed, settings) = match first {
        // Help, or nothing that makes sense: the second reading says so.
        None => (command, typed, None),
        Some(given) => {
            let settings = given.settings(&command)?;
            let typed = settings.as_ref().map_or(Ok(typed.clone()), |settings| {
                given.with(&command, typed.clone(), settings)
            })?;
            (given.without_losers(command), typed, settings)
        }
    };
    let verb = verb_at(&command, &typed)
        .and_then(|at| typed.get(at))
        .and_then(|verb| verb.to_str())
        .map(ToOwned::to_owned);
    let explain = |error: clap::Error| explained(error, verb.as_deref(), settings.as_ref());
    command.try_get_matches_from(typed).map_err(explain)
}

/// The position of the verb: flags before it, and what belongs to them, are passed over.
pub(crate) fn verb_in(typed: &[OsString]) -> Option<&OsString> {
    verb_at(&CommandLine::command(), typed).and_then(|at| typed.get(at))
}

/// Where the flags that `told` names were set, as far as they were not typed.
pub(crate) fn origin(typed: &[OsString], told: &str) -> Option<String> {
    let command = command();
    let given = Given::of(&command, typed)?;
    let settings = given.settings(&command).ok().flatten();
    let verb = command.find_subcommand(&given.verb)?;
    let flags: BTreeSet<&str> = told
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter_map(|word| word.strip_prefix("--"))
        .collect();
    let places = flags.into_iter().filter_map(|long| {
        let mut own = verb.get_arguments();
        let arg = own.find(|arg| arg.get_long() == Some(long))?;
        let place = match given.source(arg) {
            Some(ValueSource::CommandLine) => return None,
            Some(ValueSource::EnvVariable) => arg.get_env()?.to_str()?.to_owned(),
            _ => {
                let settings = settings.as_ref()?;
                settings.place(settings.find(&given.verb, long)?)
            }
        };
        Some(format!("--{long} by {place}"))
    });
    let places: Vec<_> = places.collect();
    (!places.is_empty()).then(|| places.join(", "))
}

/// The variables that configure tenure, and those that it gives to its children. What a child that is a
/// tenure itself should do is not its parent's to say, and what it is, is said anew.
#[cfg(unix)]
pub(crate) fn variables() -> BTreeSet<String> {
    let command = command();
    let of_verbs = command.get_subcommands().flat_map(Command::get_arguments);
    command
        .get_arguments()
        .chain(of_verbs)
        .filter_map(|arg| arg.get_env()?.to_str().map(ToOwned::to_owned))
        .chain(GIVEN.map(ToOwned::to_owned))
        .collect()
}

/// The command line as it can be typed, with a variable for each flag.
fn command() -> Command {
    CommandLine::command()
        .mut_args(with_variable)
        .mut_subcommands(|verb| {
            if is_configured(&verb) {
                verb.mut_args(with_variable)
            } else {
                verb
            }
        })
}

fn with_variable(arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else {
        return arg;
    };
    let variable: Option<OsString> = match arg.get_env() {
        Some(variable) => Some(variable.to_owned()),
        None => variable_of(long).map(Into::into),
    };
    let Some(variable) = variable else { return arg };
    // Set but empty is unset, as manifests write it.
    let is_empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
    let arg = if is_empty {
        arg.env(None::<&'static str>)
    } else {
        arg.env(variable)
    };
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        _ => arg,
    }
}

/// The variable of the flag `--long`.
fn variable_of(long: &str) -> Option<String> {
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

fn is_configured(verb: &Command) -> bool {
    !UNCONFIGURED_VERBS.contains(&verb.get_name())
}

fn is_key(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|long| {
        long != FILE_FLAG && !SAID_EACH_TIME.contains(&long) && variable_of(long).is_some()
    })
}

/// What a first reading of the command line shows.
struct Given {
    verb: String,
    /// In the command line, where the verb stands.
    at: usize,
    matches: ArgMatches,
}

impl Given {
    /// `None` where there is no verb to configure.
    fn of(command: &Command, typed: &[OsString]) -> Option<Self> {
        let at = verb_at(command, typed)?;
        let lenient = command.clone().ignore_errors(true);
        let matches = lenient.try_get_matches_from(typed).ok()?;
        let (verb, matches) = matches.subcommand()?;
        command.find_subcommand(verb)?;
        Some(Self {
            verb: verb.to_owned(),
            at,
            matches: matches.clone(),
        })
    }

    /// The file, if there is to be one: all of it must make sense.
    fn settings(&self, command: &Command) -> Result<Option<Settings>, clap::Error> {
        let path = self
            .matches
            .try_get_one::<std::path::PathBuf>(FILE_FLAG)
            .ok()
            .flatten();
        let Some(path) = path else { return Ok(None) };
        let settings = Settings::read(path).map_err(refused)?;
        for entry in &settings.entries {
            check(command, &settings, entry).map_err(refused)?;
        }
        Ok(Some(settings))
    }

    /// The command line with what the file says, after the verb.
    fn with(
        &self,
        command: &Command,
        mut typed: Vec<OsString>,
        settings: &Settings,
    ) -> Result<Vec<OsString>, clap::Error> {
        let verb = self.verb(command)?;
        let mut words = Vec::new();
        let globals = command.get_arguments().map(|arg| (arg, true));
        let own = verb.get_arguments().map(|arg| (arg, is_configured(verb)));
        for (arg, configured) in own.chain(globals) {
            let long = arg.get_long().unwrap_or_default();
            let entry = settings.find(&self.verb, long);
            let Some(entry) = entry.filter(|_| configured && is_key(arg)) else {
                continue;
            };
            if self.is_given(arg) || self.is_against(verb, arg) {
                continue;
            }
            match (&entry.value, arg.get_action()) {
                (Value::Bool(true), _) => words.push(format!("--{long}").into()),
                (Value::Text(text), ArgAction::Count) => {
                    let times = text.parse::<u8>().unwrap_or_default();
                    words.extend((0..times).map(|_| OsString::from(format!("--{long}"))));
                }
                (Value::Text(text), _) => words.push(format!("--{long}={text}").into()),
                (Value::Bool(false) | Value::Section | Value::Other(_), _) => {}
            }
        }
        let at = (self.at + 1).min(typed.len());
        typed.splice(at..at, words);
        Ok(typed)
    }

    /// Without the variables that something on the command line stands against.
    fn without_losers(&self, command: Command) -> Command {
        let Ok(verb) = self.verb(&command) else {
            return command;
        };
        let losers: Vec<String> = verb
            .get_arguments()
            .filter(|arg| self.source(arg) == Some(ValueSource::EnvVariable))
            .filter(|arg| self.is_against(verb, arg))
            .map(|arg| arg.get_id().to_string())
            .collect();
        command.mut_subcommand(&self.verb, |verb| {
            losers.iter().fold(verb, |verb, id| {
                verb.mut_arg(id, |arg| arg.env(None::<&'static str>))
            })
        })
    }

    fn verb<'a>(&self, command: &'a Command) -> Result<&'a Command, clap::Error> {
        command
            .find_subcommand(&self.verb)
            .ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))
    }

    fn source(&self, arg: &Arg) -> Option<ValueSource> {
        let id = arg.get_id().as_str();
        // Ids that are no argument's are none of ours.
        self.matches.try_contains_id(id).ok()?;
        self.matches.value_source(id)
    }

    fn is_given(&self, arg: &Arg) -> bool {
        matches!(
            self.source(arg),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    }

    /// Whether something that has more say conflicts with it.
    fn is_against(&self, verb: &Command, arg: &Arg) -> bool {
        let from_env = self.source(arg) == Some(ValueSource::EnvVariable);
        let has_more_say = |other: &Arg| match self.source(other) {
            Some(ValueSource::CommandLine) => true,
            Some(ValueSource::EnvVariable) => !from_env,
            _ => false,
        };
        let conflict = |a: &Arg, b: &Arg| {
            let against = verb.get_arg_conflicts_with(a);
            against.iter().any(|other| other.get_id() == b.get_id())
        };
        verb.get_arguments().any(|other| {
            other.get_id() != arg.get_id()
                && has_more_say(other)
                && (conflict(arg, other) || conflict(other, arg))
        })
    }
}

/// Whether an entry of the file makes sense: its key is known, and its value one that the flag takes.
fn check(command: &Command, settings: &Settings, entry: &Entry) -> Result<(), String> {
    let at = settings.place(entry);
    let key = &entry.key;
    let verbs = || {
        command
            .get_subcommands()
            .filter(|verb| is_configured(verb) && !verb.is_hide_set())
    };
    if let (Value::Section, None) = (&entry.value, &entry.verb) {
        if verbs().any(|verb| verb.get_name() == key) {
            return Ok(());
        }
        let names: Vec<_> = verbs().map(Command::get_name).collect();
        return Err(format!(
            "{at}: {key:?} is no verb that can be configured; these are: {}",
            names.join(", ")
        ));
    }
    let own: Vec<&Arg> = match &entry.verb {
        Some(name) => verbs()
            .filter(|verb| verb.get_name() == name)
            .flat_map(Command::get_arguments)
            .collect(),
        None => verbs().flat_map(Command::get_arguments).collect(),
    };
    let known: Vec<&Arg> = own.into_iter().chain(command.get_arguments()).collect();
    if SAID_EACH_TIME.contains(&key.as_str()) || key == FILE_FLAG {
        return Err(format!(
            "{at}: {key:?} cannot be set here: it is said each time, as --{key}"
        ));
    }
    let mut of_key = known
        .iter()
        .filter(|arg| is_key(arg) && arg.get_long() == Some(key))
        .peekable();
    if of_key.peek().is_none() {
        let keys: BTreeSet<_> = known
            .iter()
            .filter(|arg| is_key(arg))
            .filter_map(|arg| arg.get_long())
            .collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let place = match &entry.verb {
            Some(verb) => format!(" of {verb}"),
            None => String::new(),
        };
        return Err(format!(
            "{at}: there is no setting {key:?}{place}; these are: {}",
            keys.join(", ")
        ));
    }
    // A key at the top is for all verbs that have it; it must suit one of them at least.
    let mut told = None;
    for arg in of_key {
        match takes(arg, &entry.value) {
            Ok(()) => return Ok(()),
            Err(why) => told = Some(why),
        }
    }
    Err(format!("{at}: {}", told.unwrap_or_default()))
}

/// Whether the flag takes the value; else why not.
fn takes(arg: &Arg, value: &Value) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Bool(_)) => Ok(()),
        (ArgAction::SetTrue, other) => Err(format!("{long} is true or false, not {other}")),
        (ArgAction::Count, Value::Text(text)) if matches!(text.parse::<u8>(), Ok(0..=3)) => Ok(()),
        (ArgAction::Count, other) => Err(format!("{long} is a number from 0 to 3, not {other}")),
        (_, Value::Text(text)) => {
            let alone = Arg::new("value")
                .long(long.to_owned())
                .value_names(arg.get_value_names().unwrap_or_default().to_vec())
                .value_parser(arg.get_value_parser().clone());
            let words = ["tenure".to_owned(), format!("--{long}={text}")];
            match Command::new("tenure")
                .arg(alone)
                .try_get_matches_from(words)
            {
                Ok(_) => Ok(()),
                Err(error) => Err(crate::tasks::first_words(&error.to_string())),
            }
        }
        (_, other) => Err(format!(
            "{long} is text or a number, not {other}; put text into quotes"
        )),
    }
}

/// Says where a value comes from that was not typed.
fn explained(error: clap::Error, verb: Option<&str>, settings: Option<&Settings>) -> clap::Error {
    let mut flags = Vec::new();
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        match error.get(kind) {
            Some(ContextValue::String(flag)) => flags.push(flag.clone()),
            Some(ContextValue::Strings(more)) => flags.extend(more.iter().cloned()),
            _ => {}
        }
    }
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        _ => None,
    };
    for flag in flags {
        let long: String = flag
            .trim_start_matches('-')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        let variable = variable_of(&long).filter(|variable| {
            let set = std::env::var(variable).ok();
            set.is_some() && (value.is_none() || set.as_deref() == value)
        });
        let place = match (variable, settings.zip(verb)) {
            (Some(variable), _) => variable,
            (None, Some((settings, verb))) => match settings.find(verb, &long) {
                Some(entry) => settings.place(entry),
                None => continue,
            },
            (None, None) => continue,
        };
        let told = crate::tasks::first_words(&error.to_string());
        return refused(format!("{told} (--{long} by {place})"));
    }
    error
}

fn refused(told: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, told)
}

fn verb_at(command: &Command, typed: &[OsString]) -> Option<usize> {
    let takes_next = |word: &str| {
        word.strip_prefix("--").is_some_and(|long| {
            command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(long) && arg.get_action().takes_values())
        })
    };
    let mut at = 1;
    while let Some(word) = typed.get(at) {
        match word.to_str() {
            Some("--") => return None,
            Some(word) if takes_next(word) => at += 2,
            _ if word.as_encoded_bytes().starts_with(b"-") => at += 1,
            _ => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests;

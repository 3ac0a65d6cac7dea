//! Settings from the command line, the environment and a file, in that order.
//!
//! Nobody lists them: each long flag has a variable and a key of its own name, unless it is one of those
//! that are said each time. What stands in the file is put into the command line as if it had been typed,
//! where neither the command line nor the environment says anything about it, and nothing against it.
//!
//! | file | what it is about |
//! |---|---|
//! | `flags.rs` | which flags have a variable and a key |
//! | `switches.rs` | flags that are on or off |
//! | `file.rs`, `check.rs` | the file, and whether it makes sense |

mod check;
mod file;
mod flags;
mod switches;

use std::{collections::BTreeSet, ffi::OsString};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

#[cfg(unix)]
pub(crate) use self::flags::variables;
pub(crate) use self::flags::{command, pages};
use self::{
    file::{Settings, Value},
    flags::{FILE_FLAG, is_configured, is_key, variable_of},
    switches::Off,
};
use crate::args::CommandLine;

/// Reads the command line, with what the environment and the file say.
pub(crate) fn read(typed: Vec<OsString>) -> Result<CommandLine, clap::Error> {
    CommandLine::from_arg_matches(&matches(typed)?)
}

fn matches(typed: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let command = crate::see::as_called(&typed, command());
    let (command, typed, off) = settled(command, typed);
    let first = Given::of(&command, &typed, off);
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

fn settled(command: Command, typed: Vec<OsString>) -> (Command, Vec<OsString>, Off) {
    match verb_at(&command, &typed) {
        Some(at) => switches::settle(command, typed, at),
        None => (command, typed, Off::default()),
    }
}

/// The position of the verb: flags before it, and what belongs to them, are passed over.
pub(crate) fn verb_in(typed: &[OsString]) -> Option<&OsString> {
    verb_at(&CommandLine::command(), typed).and_then(|at| typed.get(at))
}

/// Where the flags that `told` names were set, as far as they were not typed.
pub(crate) fn origin(typed: &[OsString], told: &str) -> Option<String> {
    let (command, typed, off) = settled(command(), typed.to_vec());
    let given = Given::of(&command, &typed, off)?;
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

/// What a first reading of the command line shows.
struct Given {
    verb: String,
    /// In the command line, where the verb stands.
    at: usize,
    matches: ArgMatches,
    off: Off,
}

impl Given {
    /// `None` where there is no verb to configure.
    fn of(command: &Command, typed: &[OsString], off: Off) -> Option<Self> {
        let at = verb_at(command, typed)?;
        let lenient = command.clone().ignore_errors(true);
        let matches = lenient.try_get_matches_from(typed).ok()?;
        let (verb, matches) = matches.subcommand()?;
        command.find_subcommand(verb)?;
        Some(Self {
            verb: verb.to_owned(),
            at,
            matches: matches.clone(),
            off,
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
            check::check(command, &settings, entry).map_err(refused)?;
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
            if self.is_given(arg) || self.off.contains(arg) || self.is_against(verb, arg) {
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

/// Says where a value comes from that was not typed, and what else helps.
fn explained(error: clap::Error, verb: Option<&str>, settings: Option<&Settings>) -> clap::Error {
    let told = |what: &str| {
        let told = crate::tasks::first_words(&error.to_string());
        refused(format!("{told} ({what})"))
    };
    if error.kind() == ErrorKind::InvalidUtf8 {
        return match flags::garbled(verb) {
            Some(variable) => told(&variable),
            None => error,
        };
    }
    let unexpected = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => word,
        _ => "-",
    };
    if verb == Some("run") && !unexpected.starts_with('-') {
        return told("put `--` before COMMAND");
    }
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
        return told(&format!("--{long} by {place}"));
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

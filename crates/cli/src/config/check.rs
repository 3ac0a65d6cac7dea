//! What stands in the file: whether it makes sense.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Command};

use super::{
    file::{Entry, Settings, Value},
    flags::{FILE_FLAG, SAID_EACH_TIME, is_configured, is_key},
};

/// Whether an entry of the file makes sense: its key is known, and its value one that the flag takes.
pub(super) fn check(command: &Command, settings: &Settings, entry: &Entry) -> Result<(), String> {
    let at = settings.place(entry);
    let key = &entry.key;
    let verbs = || {
        command
            .get_subcommands()
            .filter(|verb| is_configured(verb) && !verb.is_hide_set())
    };
    let is_verb = || verbs().any(|verb| verb.get_name() == key);
    // A section in which all is commented out is nothing.
    if entry.value == Value::NOTHING && entry.verb.is_none() && is_verb() {
        return Ok(());
    }
    if let (Value::Section, None) = (&entry.value, &entry.verb) {
        if is_verb() {
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

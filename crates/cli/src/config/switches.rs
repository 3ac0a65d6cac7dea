//! Flags without a value, said with one: `--events=false` takes back what the environment or the file
//! says. Whatever is off is taken out before anything else is looked at: it is against nothing.

use std::{collections::BTreeSet, ffi::OsStr, ffi::OsString};

use clap::{
    Arg, Command,
    builder::{BoolishValueParser, TypedValueParser as _},
};

use super::flags::{is_configured, is_key, is_switch};

/// The flags of this verb that are off, whatever has less say.
#[derive(Debug, Default)]
pub(super) struct Off(BTreeSet<String>);

impl Off {
    pub(super) fn contains(&self, arg: &Arg) -> bool {
        arg.get_long().is_some_and(|long| self.0.contains(long))
    }
}

/// One word about such a flag.
struct Said<'a> {
    at: usize,
    long: &'a str,
    on: bool,
    with_value: bool,
}

/// The command and the words, in which nothing is said with a value any more, nor is anything off.
/// `at` is where the verb stands.
pub(super) fn settle(
    command: Command,
    mut typed: Vec<OsString>,
    at: usize,
) -> (Command, Vec<OsString>, Off) {
    let verb = typed.get(at).and_then(|verb| command.find_subcommand(verb));
    let Some(verb) = verb.filter(|verb| is_configured(verb)) else {
        return (command, typed, Off::default());
    };
    let said = said(verb, &typed, at);
    // The last word about a flag counts, once one of them has a value; else all of them stay.
    let with_value = |long: &str| said.iter().any(|said| said.long == long && said.with_value);
    let mut off = BTreeSet::new();
    let (mut on, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for said in said.iter().filter(|said| with_value(said.long)) {
        let long = said.long.to_owned();
        let (set, other) = if said.on {
            (&mut on, &mut off)
        } else {
            (&mut off, &mut on)
        };
        other.remove(&long);
        set.insert(long);
        gone.insert(said.at);
    }
    let typed_on = |long: &str| said.iter().any(|said| said.long == long);
    let by_variable = switches(verb).filter(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.and_then(|value| boolish(&value)) == Some(false)
    });
    for arg in by_variable {
        let long = arg.get_long().unwrap_or_default();
        if !typed_on(long) {
            off.insert(long.to_owned());
        }
    }
    let mut index = 0;
    typed.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    let on = on.iter().map(|long| OsString::from(format!("--{long}")));
    let behind = at + 1;
    typed.splice(behind..behind, on);
    let off = Off(off);
    let name = verb.get_name().to_owned();
    let command = command.mut_subcommand(name, |verb| {
        verb.mut_args(|arg| {
            if off.contains(&arg) {
                arg.env(None::<&'static str>)
            } else {
                arg
            }
        })
    });
    (command, typed, off)
}

fn said<'a>(verb: &'a Command, typed: &[OsString], at: usize) -> Vec<Said<'a>> {
    let mut said = Vec::new();
    let words = typed.iter().enumerate().skip(at + 1);
    let mut before = "";
    for (at, word) in words.take_while(|(_, word)| *word != "--") {
        let word = word.to_str().unwrap_or_default();
        // What belongs to another flag is left to it.
        if !wants_value(verb, std::mem::replace(&mut before, word)) {
            said.extend(one(verb, at, word));
        }
    }
    said
}

fn one<'a>(verb: &'a Command, at: usize, word: &str) -> Option<Said<'a>> {
    let word = word.strip_prefix("--")?;
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let arg = switches(verb).find(|arg| arg.get_long() == Some(name))?;
    Some(Said {
        at,
        long: arg.get_long()?,
        // What is neither is refused with the rest of the command line.
        on: value.map_or(Some(true), |value| boolish(OsStr::new(value)))?,
        with_value: value.is_some(),
    })
}

fn wants_value(verb: &Command, word: &str) -> bool {
    let Some(name) = word.strip_prefix('-') else {
        return false;
    };
    let long = name.strip_prefix('-');
    verb.get_arguments()
        .filter(|arg| arg.get_action().takes_values())
        .any(|arg| match long {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short() == name.chars().last(),
        })
}

fn switches(verb: &Command) -> impl Iterator<Item = &Arg> {
    verb.get_arguments()
        .filter(|arg| is_switch(arg) && is_key(arg))
}

fn boolish(value: &OsStr) -> Option<bool> {
    let parser = BoolishValueParser::new();
    parser.parse_ref(&Command::new("tenure"), None, value).ok()
}

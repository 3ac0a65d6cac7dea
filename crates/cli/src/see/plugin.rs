//! The program under the names that kubectl calls it by: `kubectl-tenure` for `kubectl tenure`, and
//! `kubectl_complete-tenure` when a shell completes it.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::{Command, CommandFactory as _, ValueHint};

use super::{
    api::Api,
    gather::{Wanted, gather},
};
use crate::{args::CommandLine, cluster::ClusterChoice, console};

const PLUGIN: &str = "kubectl-tenure";
const COMPLETER: &str = "kubectl_complete-tenure";
/// Whoever presses a key does not wait longer for names of locks.
const PATIENCE: Duration = Duration::from_secs(2);
/// kubectl's words for "and no names of files" after the completions, and for "files, too".
const NO_FILES: &str = ":4";
const FILES: &str = ":0";

/// The command line, as it is called by this name.
pub(crate) fn as_called(arguments: &[OsString], command: Command) -> Command {
    if called(arguments) != Some(PLUGIN) {
        return command;
    }
    console::as_plugin();
    as_plugin(command).bin_name("kubectl tenure")
}

/// The completions that kubectl asks for, and what to end with; none if this is no such call.
pub(crate) fn complete(arguments: &[OsString]) -> Option<ExitCode> {
    if called(arguments) != Some(COMPLETER) {
        return None;
    }
    let words: Vec<String> = arguments
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (before, typed) = match words.split_last() {
        Some((typed, before)) => (before, typed.as_str()),
        None => (&[][..], ""),
    };
    let place = find(before);
    let mut text = String::new();
    for (word, about) in place.completions(typed) {
        let _ = match about {
            Some(about) => writeln!(text, "{word}\t{about}"),
            None => writeln!(text, "{word}"),
        };
    }
    if place.wants_lock && !typed.starts_with('-') {
        for name in locks(&place)
            .into_iter()
            .filter(|name| name.starts_with(typed))
        {
            let _ = writeln!(text, "{name}");
        }
    }
    text.push_str(if place.wants_file() { FILES } else { NO_FILES });
    text.push('\n');
    // A shell that has gone away needs no completions.
    let _ = console::print(&text);
    Some(ExitCode::SUCCESS)
}

fn called(arguments: &[OsString]) -> Option<&str> {
    let name = Path::new(arguments.first()?)
        .file_name()
        .and_then(OsStr::to_str)?;
    Some(name.strip_suffix(".exe").unwrap_or(name))
}

/// With examples that can be typed as they stand.
fn as_plugin(command: Command) -> Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let command = match examples {
        Some(text) => command.after_help(
            text.replace("\n  tenure ", "\n  kubectl tenure ")
                .replace("(tenure ", "(kubectl tenure "),
        ),
        None => command,
    };
    command.mut_subcommands(as_plugin)
}

/// Where in the command line the cursor is.
struct Place {
    command: Command,
    /// The flag whose value is typed.
    flag: Option<clap::Arg>,
    /// A lock's name can stand here.
    wants_lock: bool,
    /// How many words stand before it that are neither flags nor verbs.
    words: usize,
    namespace: Option<String>,
    everywhere: bool,
    cluster: ClusterChoice,
}

fn find(words: &[String]) -> Place {
    let mut place = Place {
        command: CommandLine::command(),
        flag: None,
        wants_lock: false,
        words: 0,
        namespace: None,
        everywhere: false,
        cluster: ClusterChoice::default(),
    };
    // So that flags that hold everywhere are there.
    place.command.build();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some((name, value)) = word
            .strip_prefix("--")
            .and_then(|word| word.split_once('='))
        {
            place.note(name, value);
        } else if word.starts_with('-') {
            let name = word.trim_start_matches('-');
            let long = word.starts_with("--");
            let flag = place.command.get_arguments().find(|arg| {
                if long {
                    arg.get_long() == Some(name)
                } else {
                    arg.get_short() == name.chars().last()
                }
            });
            let Some(flag) = flag.cloned() else { continue };
            if flag.get_action().takes_values() {
                let long = flag.get_long().unwrap_or(name).to_owned();
                match words.next() {
                    Some(value) => place.note(&long, value),
                    None => place.flag = Some(flag),
                }
            } else if flag.get_long() == Some("all-namespaces") {
                place.everywhere = true;
            }
        } else if let Some(command) = place.command.find_subcommand(word).cloned() {
            place.command = command;
            place.words = 0;
        } else {
            place.words += 1;
        }
    }
    let takes_lock = place
        .command
        .get_positionals()
        .next()
        .is_some_and(|arg| arg.get_id() == "name");
    place.wants_lock = takes_lock && place.words == 0 && place.flag.is_none();
    place
}

impl Place {
    /// Whether a file is meant here, or a directory.
    fn wants_file(&self) -> bool {
        let arg = match &self.flag {
            Some(flag) => Some(flag),
            None => self.command.get_positionals().nth(self.words),
        };
        let hint = arg.map(clap::Arg::get_value_hint);
        matches!(
            hint,
            Some(ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath)
        )
    }

    fn note(&mut self, flag: &str, value: &str) {
        match flag {
            "namespace" => self.namespace = Some(value.to_owned()),
            "kubeconfig" => self.cluster.kubeconfig = Some(value.into()),
            "context" => self.cluster.context = Some(value.to_owned()),
            _ => {}
        }
    }

    fn completions(&self, typed: &str) -> Vec<(String, Option<String>)> {
        let mut all = Vec::new();
        if let Some(flag) = &self.flag {
            all.extend(values(flag));
        } else if typed.starts_with('-') {
            let shown = self
                .command
                .get_arguments()
                .filter(|arg| !arg.is_hide_set());
            all.extend(shown.filter_map(|arg| {
                let about = arg.get_help().map(ToString::to_string);
                Some((format!("--{}", arg.get_long()?), about))
            }));
        } else {
            let shown = self
                .command
                .get_subcommands()
                .filter(|one| !one.is_hide_set());
            all.extend(shown.map(|one| {
                (
                    one.get_name().to_owned(),
                    one.get_about().map(ToString::to_string),
                )
            }));
            all.extend(
                self.command
                    .get_positionals()
                    .next()
                    .map(values)
                    .unwrap_or_default(),
            );
        }
        all.retain(|(word, _)| word.starts_with(typed));
        all
    }
}

fn values(arg: &clap::Arg) -> Vec<(String, Option<String>)> {
    let possible = arg
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set());
    possible
        .map(|value| {
            (
                value.get_name().to_owned(),
                value.get_help().map(ToString::to_string),
            )
        })
        .collect()
}

/// The locks' names; none where they cannot be seen in time.
fn locks(place: &Place) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let names = runtime.block_on(async {
        let look = async {
            let api = Api::of(&place.cluster).await.ok()?;
            let wanted = Wanted {
                namespace: place.namespace.clone(),
                ..Wanted::default()
            };
            let found = gather(&api, &wanted.at(&api, place.everywhere).ok()?).await;
            let mut names: Vec<String> =
                found.locks.into_iter().map(|(lock, _)| lock.name).collect();
            // Whatever is shown is taken as a word by a shell.
            names.retain(|name| crate::names::subdomain("lock", name).is_ok());
            names.sort();
            names.dedup();
            Some(names)
        };
        tokio::time::timeout(PATIENCE, look).await.ok().flatten()
    });
    runtime.shutdown_background();
    names.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn as_a_plugin_usage_and_examples_are_kubectls() {
        let names = ["/usr/bin/kubectl-tenure", "status", "--help"].map(OsString::from);
        let help = as_called(&names, CommandLine::command())
            .try_get_matches_from(&names)
            .unwrap_err()
            .to_string();
        assert!(help.contains("Usage: kubectl tenure status"), "{help}");
        assert!(help.contains("  kubectl tenure status -A"), "{help}");
        let plain = as_called(&["tenure".into()], CommandLine::command())
            .try_get_matches_from(["tenure", "status", "--help"]);
        assert!(
            plain
                .unwrap_err()
                .to_string()
                .contains("Usage: tenure status")
        );
    }

    #[test]
    fn verbs_flags_and_values_are_completed() {
        let names = |line: &str, typed: &str| -> Vec<String> {
            let all = find(&words(line)).completions(typed);
            all.into_iter().map(|(word, _)| word).collect()
        };
        assert_eq!(names("", "stat"), ["status"]);
        assert!(!names("", "").contains(&"demo-candidate".to_owned()));
        assert_eq!(names("status -o", "j"), ["json"]);
        assert_eq!(
            names("status --output", ""),
            ["wide", "json", "yaml", "name"]
        );
        assert_eq!(names("status", "--is-l"), ["--is-leader"]);
        assert_eq!(names("completions", "z"), ["zsh"]);
    }

    #[test]
    fn files_are_completed_where_one_is_meant() {
        for (line, files) in [
            ("timeline", true),
            ("timeline a.jsonl --svg", true),
            ("timeline a.jsonl", false),
            ("watch --record", true),
            ("status --kubeconfig", true),
            ("status", false),
            ("man", true),
            ("step-down nightly --to", false),
        ] {
            assert_eq!(find(&words(line)).wants_file(), files, "{line}");
        }
    }

    #[test]
    fn a_locks_name_is_completed_where_one_may_stand() {
        let place = find(&words("status -n shop --context=c"));
        assert!(place.wants_lock);
        assert_eq!(place.namespace.as_deref(), Some("shop"));
        assert_eq!(place.cluster.context.as_deref(), Some("c"));
        assert!(!find(&words("status nightly")).wants_lock);
        assert!(!find(&words("status -n")).wants_lock);
        assert!(!find(&words("demo")).wants_lock);
    }
}

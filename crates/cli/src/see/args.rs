//! The command lines of the verbs that look, as they are typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::ClusterArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SeeCommand {
    /// Show locks of every kind: who holds them, since when, and how they are
    Status(StatusArgs),
    /// Say why this one leads, or why nobody does, and what helps
    Explain(ExplainArgs),
    /// Check that this cluster, and this user's rights, are fit for leader election
    Doctor(DoctorArgs),
    /// Who led when, from the Events that leaders have left
    History(HistoryArgs),
    /// Watch locks as they change: lanes in a terminal, lines elsewhere
    #[command(visible_alias = "top")]
    Watch(WatchArgs),
    /// Draw what `tenure watch --record` wrote down
    Timeline(TimelineArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command into a directory
    Man(ManArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table with everything in it
    Wide,
    /// Everything, for programs
    Json,
    /// The same as YAML
    Yaml,
    /// Kind and name only
    Name,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Namespace of the lock [default: $NAMESPACE, $POD_NAMESPACE, the Pod's own, or the context's]
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Name of the lock, or KIND/NAME [default: all]
    pub(crate) name: Option<String>,

    /// Look in all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,

    /// How to show it
    #[arg(long, short, value_enum)]
    pub(crate) output: Option<Format>,

    /// Say only whether this identity, Pod or Pod's uid leads: exit code 0 if so, 3 if not
    #[arg(long, value_name = "ID", requires = "name", conflicts_with_all = ["output", "all_namespaces"])]
    pub(crate) is_leader: Option<String>,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// Name of the lock, or KIND/NAME
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = HISTORY_EXAMPLES)]
pub(crate) struct HistoryArgs {
    /// Name of the lock, or KIND/NAME
    pub(crate) name: String,

    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(crate) struct WatchArgs {
    /// Name of the lock, or KIND/NAME [default: all]
    pub(crate) name: Option<String>,

    /// Look in all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,

    /// Write down what is seen, one JSON object a line, for `tenure timeline`
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// One JSON object a line on standard output, even in a terminal
    #[arg(long)]
    pub(crate) json: bool,

    /// End after that long (such as 30s, 5m)
    #[arg(long = "for", value_name = "TIME", value_parser = crate::args::duration)]
    pub(crate) time: Option<std::time::Duration>,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = TIMELINE_EXAMPLES)]
pub(crate) struct TimelineArgs {
    /// What `tenure watch --record` wrote
    pub(crate) file: PathBuf,

    /// Where to write the picture
    #[arg(long, value_name = "OUT")]
    pub(crate) svg: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// A directory that is there [default: print the program's own page]
    pub(crate) directory: Option<PathBuf>,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  tenure status -A
  tenure status nightly -n shop -o wide
  tenure status lease/nightly -o json
  tenure status nightly --is-leader worker-0 && ./only-there

Words: healthy, held, free, expired, wedged, orphaned, twin, odd-duration, paused, strange;
docs/see.md says what each rests on.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  tenure explain nightly -n shop";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  tenure doctor
  tenure doctor -n shop --context staging";

const HISTORY_EXAMPLES: &str = "\
Examples:
  tenure history nightly -n shop
  tenure history nightly --json | jq .reason";

const WATCH_EXAMPLES: &str = "\
Examples:
  tenure watch
  tenure watch nightly --record nightly.jsonl
  tenure watch -A --json | jq .holder

Keys: q ends, / filters by name, s changes the order, Esc shows all again.";

const TIMELINE_EXAMPLES: &str = "\
Examples:
  tenure watch nightly --record nightly.jsonl
  tenure timeline nightly.jsonl --svg nightly.svg";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(tenure completions bash)
  tenure completions fish > ~/.config/fish/completions/tenure.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  tenure man | man -l -
  tenure man ~/.local/share/man/man1";

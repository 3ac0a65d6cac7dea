use std::{
    path::{Path, PathBuf},
    process::Command as Process,
};

use super::{
    flags::{GIVEN, SAID_EACH_TIME},
    *,
};

/// The words of a command line of this verb that makes sense.
fn line(verb: &str, flags: &[String]) -> Vec<OsString> {
    let mut words = vec!["tenure".to_owned(), verb.to_owned()];
    words.extend(flags.iter().cloned());
    words.push("nightly".to_owned());
    if verb == "run" {
        words.extend(["--".to_owned(), "true".to_owned()]);
    }
    words.into_iter().map(Into::into).collect()
}

fn with_file(verb: &str, text: &str, flags: &[&str]) -> Result<ArgMatches, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut words = vec![format!("--config={}", file.path().display())];
    words.extend(flags.iter().map(|&flag| flag.to_owned()));
    matches(line(verb, &words)).map_err(|error| {
        let told = crate::tasks::first_words(&error.to_string());
        told.replace(file.path().to_str().unwrap(), "FILE")
    })
}

/// What the flag is set to, as it was said.
fn raw(matches: &ArgMatches, id: &str) -> Option<String> {
    let (_, matches) = matches.subcommand().unwrap();
    let mut raw = matches.get_raw(id)?;
    Some(raw.next()?.to_str().unwrap().to_owned())
}

fn configured_flags() -> Vec<(String, Arg)> {
    let command = command();
    let verbs = command.get_subcommands().filter(|verb| is_configured(verb));
    verbs
        .flat_map(|verb| {
            let flags = verb.get_arguments().filter(|arg| arg.get_long().is_some());
            flags.map(|arg| (verb.get_name().to_owned(), arg.clone()))
        })
        .collect()
}

/// Three values that the flag takes, one for each place where it can be said.
fn samples(arg: &Arg) -> [String; 3] {
    let choices = arg.get_possible_values();
    let value_name = arg.get_value_names().and_then(|names| names.first());
    let plain = match value_name.map(clap::builder::Str::as_str) {
        Some("TIME" | "MAX_SKEW") => ["7s", "8s", "9s"],
        Some("SIGNAL") => ["USR1", "USR2", "HUP"],
        Some("SHARE") => ["0.1", "0.2", "0.3"],
        _ => ["one", "two", "three"],
    };
    let mut at = 0;
    plain.map(|plain| {
        let choice = choices.get(at % choices.len().max(1));
        at += 1;
        choice.map_or_else(|| plain.to_owned(), |choice| choice.get_name().to_owned())
    })
}

#[test]
fn each_flag_has_a_variable_and_a_key_unless_it_is_said_each_time() {
    let flags = configured_flags();
    for verb in ["run", "campaign"] {
        assert!(flags.iter().any(|(of, _)| of == verb), "{verb}");
    }
    for (verb, arg) in flags.iter().chain(
        command()
            .get_arguments()
            .map(|arg| ("all".to_owned(), arg.clone()))
            .collect::<Vec<_>>()
            .iter(),
    ) {
        let long = arg.get_long().unwrap();
        let variable = arg.get_env().map(|name| name.to_str().unwrap().to_owned());
        if SAID_EACH_TIME.contains(&long) {
            assert_eq!(variable, None, "--{long} of {verb}");
            continue;
        }
        let variable = variable.unwrap_or_else(|| panic!("--{long} of {verb} has no variable"));
        assert!(variable.starts_with("TENURE_"), "{variable}");
        assert!(
            !GIVEN.contains(&&*variable),
            "{variable} is given to children"
        );
        assert_eq!(
            Some(&variable),
            variable_of(long).as_ref(),
            "one name in every verb"
        );
        assert!(is_key(arg) || long == FILE_FLAG, "--{long} of {verb}");
    }
}

#[test]
fn what_is_not_said_on_the_command_line_is_taken_from_the_file() {
    for (verb, arg) in configured_flags() {
        let long = arg.get_long().unwrap();
        if !["run", "campaign"].contains(&verb.as_str()) || !is_key(&arg) {
            continue;
        }
        let id = arg.get_id().as_str();
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            for (value, expected) in [(true, true), (false, false)] {
                for text in [
                    format!("{long}: {value}"),
                    format!("{verb}:\n  {long}: {value}"),
                ] {
                    let matches = with_file(&verb, &text, &[]).unwrap();
                    let (_, matches) = matches.subcommand().unwrap();
                    assert_eq!(matches.get_flag(id), expected, "{verb} {text}");
                }
            }
            continue;
        }
        let [first, second, third] = samples(&arg);
        let text = format!("{long}: {second}\n{verb}:\n  {long}: {third}\n");
        let set = with_file(&verb, &text, &[]).unwrap();
        assert_eq!(
            raw(&set, id).as_ref(),
            Some(&third),
            "{verb} {text}: the section"
        );
        let set = with_file(&verb, &format!("{long}: {second}"), &[]).unwrap();
        assert_eq!(
            raw(&set, id).as_ref(),
            Some(&second),
            "{verb} {text}: the top"
        );
        let typed = format!("--{long}={first}");
        let set = with_file(&verb, &text, &[&typed]).unwrap();
        assert_eq!(
            raw(&set, id).as_ref(),
            Some(&first),
            "{verb} {text}: the flag"
        );
    }
}

/// The environment is a process' own: this is one with another.
const CHILD: &str = "config::tests::the_child_of_a_test_says_what_is_set";

#[test]
#[ignore = "started by others, with what it is to read in its environment"]
fn the_child_of_a_test_says_what_is_set() {
    let words = std::env::var("LINE").unwrap();
    let id = std::env::var("ID").unwrap();
    let said = match matches(words.split('\n').map(Into::into).collect()) {
        Ok(matches) => raw(&matches, &id).unwrap_or_else(|| "nothing".to_owned()),
        Err(error) => crate::tasks::first_words(&error.to_string()),
    };
    println!("\nSAID {said}");
}

fn said(words: &[OsString], id: &str, variables: &[(&str, &str)]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env("LINE", words.join("\n"))
        .env("ID", id)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let said = output.lines().find_map(|line| line.strip_prefix("SAID "));
    said.unwrap_or_else(|| panic!("{output}")).to_owned()
}

#[test]
fn a_variable_goes_before_the_file_and_behind_the_flag() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = format!("--config={}", file.path().display());
    for (verb, arg) in configured_flags() {
        let (long, id) = (arg.get_long().unwrap(), arg.get_id().as_str());
        if !["run", "campaign"].contains(&verb.as_str()) || !is_key(&arg) {
            continue;
        }
        let variable = variable_of(long).unwrap();
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            std::fs::write(file.path(), format!("{long}: true")).unwrap();
            let words = line(&verb, std::slice::from_ref(&config));
            assert_eq!(
                said(&words, id, &[(&variable, "no")]),
                "false",
                "{verb} --{long}"
            );
            std::fs::write(file.path(), format!("{long}: false")).unwrap();
            assert_eq!(
                said(&words, id, &[(&variable, "1")]),
                "1",
                "{verb} --{long}"
            );
            continue;
        }
        let [first, second, third] = samples(&arg);
        std::fs::write(file.path(), format!("{long}: {third}")).unwrap();
        let words = line(&verb, std::slice::from_ref(&config));
        assert_eq!(
            said(&words, id, &[(&variable, &second)]),
            second,
            "{verb} --{long}"
        );
        assert_eq!(
            said(&words, id, &[(&variable, "")]),
            third,
            "set but empty is unset"
        );
        let words = line(&verb, &[config.clone(), format!("--{long}={first}")]);
        assert_eq!(
            said(&words, id, &[(&variable, &second)]),
            first,
            "{verb} --{long}"
        );
    }
}

#[test]
fn what_is_on_elsewhere_can_be_taken_back_on_the_command_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = format!("--config={}", file.path().display());
    for (verb, arg) in configured_flags() {
        let (long, id) = (arg.get_long().unwrap(), arg.get_id().as_str());
        let here = ["run", "campaign", "sidecar"].contains(&verb.as_str());
        if !here || !is_key(&arg) || !matches!(arg.get_action(), ArgAction::SetTrue) {
            continue;
        }
        std::fs::write(file.path(), format!("{long}: true")).unwrap();
        let words = line(&verb, &[config.clone(), format!("--{long}=false")]);
        let set = matches(words.clone()).unwrap();
        assert!(!set.subcommand().unwrap().1.get_flag(id), "{verb} --{long}");
        let variable = variable_of(long).unwrap();
        let variables = [(variable.as_str(), "true")];
        assert_eq!(said(&words, id, &variables), "false", "{verb} --{long}");
    }
    let on = |flags: &[&str], variables: &[(&str, &str)]| {
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        said(&line("run", &flags), "events", variables)
    };
    let (yes, no) = ([("TENURE_EVENTS", "1")], [("TENURE_EVENTS", "0")]);
    for off in ["--events=no", "--events=0", "--events=OFF"] {
        assert_eq!(on(&[off], &yes), "false", "{off}");
    }
    assert_eq!(on(&["--events=true"], &no), "true");
    assert_eq!(on(&["--events"], &no), "true");
    // The last word counts.
    assert_eq!(on(&["--events", "--events=false"], &no), "false");
    assert_eq!(on(&["--events=false", "--events"], &no), "true");
    // What is no such value, and what is another flag's or the command's, is left as it is.
    let told = on(&["--events=maybe"], &[]);
    assert!(
        told.contains("'maybe'") && told.contains("--events"),
        "{told}"
    );
    let told = on(&["--identity", "--events=false"], &[]);
    assert!(told.contains("'false'"), "{told}");
    let words = ["tenure", "run", "a", "--", "echo", "--events=false"];
    let set = matches(words.iter().map(Into::into).collect()).unwrap();
    let mut command = set.subcommand().unwrap().1.get_raw("command").unwrap();
    assert_eq!(command.next_back().unwrap(), "--events=false");
}

#[test]
fn what_is_off_is_against_nothing() {
    // --signal-only is against --nonblock.
    let off = [
        "--nonblock=false".to_owned(),
        "--signal-only=USR1".to_owned(),
    ];
    let set = matches(line("run", &off)).unwrap();
    assert_eq!(raw(&set, "signal_only").as_deref(), Some("USR1"));
    let env = [("TENURE_SIGNAL_ONLY", "USR1"), ("TENURE_NONBLOCK", "false")];
    assert_eq!(said(&line("run", &[]), "signal_only", &env), "USR1");
    assert_eq!(
        said(&line("run", &off[..1]), "signal_only", &env[..1]),
        "USR1"
    );
}

#[test]
fn the_file_itself_can_be_named_by_a_variable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "run: {wait: 5s}").unwrap();
    let path = file.path().to_str().unwrap();
    let words = line("run", &[]);
    assert_eq!(said(&words, "wait", &[("TENURE_CONFIG", path)]), "5s");
    assert_eq!(said(&words, "wait", &[("TENURE_CONFIG", "")]), "nothing");
    let told = said(&words, "wait", &[("TENURE_CONFIG", "/no/such")]);
    assert!(told.contains("/no/such cannot be read"), "{told}");
}

#[test]
fn whoever_has_less_say_yields_where_two_cannot_be_together() {
    // --signal-only is against --wait.
    let set = with_file("run", "signal-only: USR1", &["--wait=3s"]).unwrap();
    assert_eq!(raw(&set, "signal_only"), None);
    let set = with_file("run", "wait: 3s", &["--signal-only=USR1"]).unwrap();
    assert_eq!(raw(&set, "wait"), None);
    let words = line("run", &["--wait=3s".to_owned()]);
    let env = [("TENURE_SIGNAL_ONLY", "USR1")];
    assert_eq!(said(&words, "signal_only", &env), "nothing");
    assert_eq!(said(&words, "wait", &env), "3s");
    let words = line("run", &[]);
    assert_eq!(said(&words, "signal_only", &env), "USR1");
    // Of one rank they are refused, and it is said who they are.
    let told = with_file("run", "wait: 3s\nsignal-only: USR1", &[]).unwrap_err();
    assert!(
        told.contains("cannot be used with") && told.contains("FILE:"),
        "{told}"
    );
}

#[test]
fn what_makes_no_sense_is_told_with_its_line_and_what_is_allowed() {
    for (text, told) in [
        (
            "lease-dur: 5s",
            "FILE:1: there is no setting \"lease-dur\"; these are: ",
        ),
        (
            "\n\nrun:\n  lease: 5s",
            "FILE:4: there is no setting \"lease\" of run; these are: ",
        ),
        (
            "runn:\n  wait: 5s",
            "FILE:1: \"runn\" is no verb that can be configured; these are: ",
        ),
        ("wait: soon", "FILE:1: invalid value 'soon' for '--wait"),
        (
            "# why\nrun:\n  nonblock: perhaps",
            "FILE:3: nonblock is true or false, not \"perhaps\"",
        ),
        ("nonblock: 1", "nonblock is true or false, not \"1\""),
        (
            "wait: [1, 2]",
            "FILE:1: wait is text or a number, not a list; put text into quotes",
        ),
        ("wait:", "FILE:1: wait is text or a number, not nothing"),
        (
            "on-start: true",
            "on-start is text or a number, not true; put text into quotes",
        ),
        (
            "run:\n  wait:\n    a: 5",
            "FILE:2: wait is text or a number, not a mapping",
        ),
        ("lock: leese", "invalid value 'leese'"),
        ("verbose: 9", "verbose is a number from 0 to 3"),
        ("log-format: xml", "[possible values: text, json]"),
        (
            "release:\n  force: true",
            "FILE:2: \"force\" cannot be set here",
        ),
        ("config: other.yaml", "\"config\" cannot be set here"),
        ("wait: 1s\nwait: 2s", "FILE:2: \"wait\" stands there twice"),
        ("wait: 'x", "FILE:"),
        (
            "wait: 1s\n---\nwait: 2s",
            "FILE:3: a configuration is one document",
        ),
        ("- wait", "a configuration is keys and values"),
        ("just text", "a configuration is keys and values"),
    ] {
        let error = with_file("run", text, &[]).unwrap_err();
        assert!(error.contains(told), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    // A sound file of another verb's harms nobody.
    let text = "# nothing\n---\ncampaign:\n  lease-duration: 20s\n";
    assert_eq!(
        raw(&with_file("run", text, &[]).unwrap(), "lease_duration"),
        None
    );
    assert!(with_file("run", "", &[]).is_ok());
    assert!(with_file("run", "{}", &[]).is_ok());
    assert!(with_file("run", "run:\n  # wait: 5s\ncampaign: null\n", &[]).is_ok());
}

#[test]
fn files_that_are_none_are_refused() {
    let refusal = |path: &Path| {
        let words = line("run", &[format!("--config={}", path.display())]);
        crate::tasks::first_words(&matches(words).unwrap_err().to_string())
    };
    let directory = tempfile::tempdir().unwrap();
    let told = refusal(&directory.path().join("missing.yaml"));
    assert!(
        told.contains("cannot be read") && told.contains("--config"),
        "{told}"
    );
    assert!(refusal(directory.path()).contains("cannot be read"));
    let file = |bytes: &[u8]| -> PathBuf {
        let path = directory.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert!(refusal(&file(b"\xff\xfe")).contains("no text in UTF-8"));
    assert!(refusal(&file(&vec![b'#'; 2 << 20])).contains("larger than"));
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for c in b'b'..b'z' {
        let (c, before) = (char::from(c), char::from(c - 1));
        let six = [format!("*{before}").as_str(); 6].join(",");
        bomb.push_str(&[&c.to_string(), ": &", &c.to_string(), " [", &six, "]\n"].concat());
    }
    let told = refusal(&file(bomb.as_bytes()));
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(refusal(&file("a: ".repeat(10_000).as_bytes())).contains("file:1"));
    let deep = "[".repeat(100_000);
    assert!(!refusal(&file(deep.as_bytes())).is_empty());
}

#[test]
fn the_verb_is_found_behind_flags_and_their_values() {
    let verb = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        verb_in(&words)
            .and_then(|verb| verb.to_str())
            .map(ToOwned::to_owned)
    };
    let run = Some("run".to_owned());
    assert_eq!(verb(&["tenure", "run", "x"]), run);
    assert_eq!(verb(&["tenure", "-v", "--config", "f", "run"]), run);
    assert_eq!(
        verb(&["tenure", "--config=f", "--log-format", "json", "run"]),
        run
    );
    assert_eq!(verb(&["tenure", "--", "run"]), None);
    assert_eq!(verb(&["tenure", "--config"]), None);
    assert_eq!(verb(&["tenure"]), None);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wait: 5s").unwrap();
    let words = [
        "tenure",
        "--config",
        file.path().to_str().unwrap(),
        "-v",
        "run",
        "a",
        "--",
        "x",
    ];
    let set = matches(words.iter().map(Into::into).collect()).unwrap();
    assert_eq!(raw(&set, "wait").as_deref(), Some("5s"));
}

#[test]
fn no_variable_is_one_that_kubernetes_makes_of_a_service_called_tenure() {
    for variable in variables() {
        let made = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
        assert!(
            !made.iter().any(|end| variable.ends_with(end)),
            "{variable}"
        );
        assert!(!variable.starts_with("TENURE_PORT_"), "{variable}");
    }
}

#[test]
fn children_are_kept_from_all_of_it() {
    let variables = variables();
    for variable in GIVEN.iter().copied().chain([
        "TENURE_CONFIG",
        "TENURE_LOG_FORMAT",
        "TENURE_LEASE_DURATION",
        "TENURE_STAND_AS",
        "TENURE_LOCK_KIND",
        "TENURE_EVENTS",
    ]) {
        assert!(variables.contains(variable), "{variable}");
    }
}

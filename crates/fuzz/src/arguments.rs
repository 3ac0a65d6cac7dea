//! Command lines of the program: what makes no sense is refused with the documented exit code and
//! one line that says something; nothing panics.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use crate::choices::Choices;

const WORDS: [&str; 48] = [
    "campaign",
    "demo",
    "rbac",
    "crd",
    "dev-server",
    "demo-candidate",
    "help",
    "--help",
    "--version",
    "-v",
    "-vv",
    "--verbose",
    "--lock",
    "lease",
    "config-map",
    "leader-lock",
    "configmap",
    "nightly",
    "--namespace",
    "-n",
    "shop",
    "--kubeconfig",
    "--context",
    "--identity",
    "--pod",
    "--json",
    "--keep-lock",
    "--lease-duration",
    "--renew-deadline",
    "--retry-period",
    "--clock-error",
    "--wait-when-absent",
    "--retry-first",
    "--retry-most",
    "--call-limit",
    "--grace",
    "--candidates",
    "--real-timings",
    "--svg",
    "--lead-for",
    "--install",
    "--port",
    "--kubeconfig-out",
    "--with-crd",
    "--service-account",
    "--",
    "-",
    "",
];

const VALUES: [&str; 24] = [
    "15s",
    "0",
    "0s",
    "1ms",
    "1e400s",
    "1e19h",
    "584942417355h",
    "-1s",
    "nan",
    "inf",
    "1.5",
    "2147483647s",
    "2147483648s",
    "0.5",
    "0.05",
    "65536",
    "3",
    "18446744073709551616",
    "a:b",
    "A",
    "..",
    "\u{0}",
    "é\n",
    "/",
];

pub(crate) fn run(input: &[u8]) {
    let choices = Choices::new(input);
    let mut line = vec![OsString::from("tenure")];
    while !choices.is_over() && line.len() < 24 {
        line.push(word(&choices));
    }
    let told = tenure_cli::refusal(line.clone().into_iter());
    if let Some((code, text)) = told {
        // `tenure run` leaves 2 to the command that it runs.
        let expected: &[u8] = if line.iter().any(|word| word == "run") {
            &[2, 125]
        } else {
            &[2]
        };
        assert!(expected.contains(&code), "{code}: {line:?}: {text}");
        assert!(
            !text.trim().is_empty(),
            "{line:?} is refused without a word"
        );
        assert!(text.len() < 4_000, "{line:?}: {text}");
        let lines = text.lines().count();
        assert!(lines <= 2, "{line:?} is refused in {lines} lines: {text}");
    }
}

fn word(choices: &Choices) -> OsString {
    match choices.below(8) {
        0..=3 => choices.one_of(&WORDS).into(),
        4 | 5 => choices.one_of(&VALUES).into(),
        6 => {
            let name = choices.one_of(&WORDS);
            let value = choices.one_of(&VALUES);
            format!("{name}={value}").into()
        }
        // Arguments are bytes, and need not be text.
        _ => OsString::from_vec(choices.take(12)),
    }
}

//! Kubeconfigs: the bytes of a file, by the way that the program reads one, up to a client and an
//! election. What cannot be used is refused with a text that names the file and says something.
//!
//! Nothing that a kubeconfig names is run: plugins that bring credentials are taken out before a
//! client is made.

use std::{fmt::Write as _, path::Path};

use tenure::{ContextInfo, LeaderElection, client::election_client, context_info::FixedSources};

use crate::{choices::Choices, world};

pub(crate) fn run(input: &[u8]) {
    let choices = Choices::new(input);
    let bytes = if choices.byte().is_multiple_of(2) {
        choices.take(usize::MAX / 2)
    } else {
        edited(&choices)
    };
    thread_local! {
        static FILE: Option<tempfile::NamedTempFile> = tempfile::NamedTempFile::new().ok();
    }
    FILE.with(|file| {
        let Some(file) = file else {
            panic!("no temporary file can be made");
        };
        if let Err(error) = std::fs::write(file.path(), &bytes) {
            panic!("the temporary file cannot be written: {error}");
        }
        world::tell(story(file.path().to_owned()));
    });
}

async fn story(path: std::path::PathBuf) {
    let mut config = match tenure_cli::config_of(path.clone()).await {
        Ok(config) => config,
        Err(text) => return complains(&text, &path),
    };
    config.auth_info.exec = None;
    config.auth_info.auth_provider = None;
    // Else the machine's own authorities are read, which takes longer than all the rest.
    config.root_cert.get_or_insert_default();
    let client = match election_client(config.clone()) {
        Ok(client) => client,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    // No Pod's name is known, so nothing is asked of anybody.
    match ContextInfo::discover_from(&client, &FixedSources::new(), None).await {
        Ok(context) => {
            let namespace = context.namespace();
            assert!(
                is_label(namespace),
                "{namespace:?} is taken for a namespace"
            );
            let name = context.name_for_identity();
            assert!(!name.is_empty() && !name.contains('_'), "{name:?}");
            let built = LeaderElection::lease_lock("nightly")
                .clock(world::clock(1_000))
                .build(config, context);
            assert!(
                built.is_ok(),
                "a client can be made, and no election: {built:?}"
            );
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("kubeconfig"), "it is not said where: {text}");
        }
    }
}

fn complains(text: &str, path: &Path) {
    let file = path.display().to_string();
    assert!(text.contains(&file), "it is not said where: {text}");
    assert!(text.len() > file.len() + 40, "it is not said what: {text}");
    assert!(text.len() < 16_000, "{} bytes of complaint", text.len());
    assert_eq!(text.lines().count(), 1, "{text}");
}

fn is_label(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

const USUAL: &str = "\
apiVersion: v1
kind: Config
current-context: here
contexts:
- name: here
  context:
    cluster: c
    user: u
    namespace: shop
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:1/base
    certificate-authority-data: LS0tLS1CRUdJTg==
    insecure-skip-tls-verify: false
    tls-server-name: api
    proxy-url: http://127.0.0.1:2
users:
- name: u
  user:
    token: t
    username: n
    password: p
    client-certificate: /nonexistent/crt
    client-key-data: LS0t
    impersonate: i
    impersonate-groups: [a, b]
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: /nonexistent/command
      provideClusterInfo: true
      interactiveMode: Never
preferences: {}
";

const VALUES: [&str; 24] = [
    "",
    "~",
    "[]",
    "{}",
    "-1",
    "1e999",
    "true",
    "'",
    "\"",
    "*a",
    "&a [*a]",
    "!!binary x",
    "http://[::1",
    "https://",
    "ftp://x",
    "unix:///x",
    "A_b",
    "-",
    "|",
    ">",
    "\t",
    "\u{0}",
    "9999999999999999999999",
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFB",
];

/// A usual kubeconfig after a few edits.
fn edited(choices: &Choices) -> Vec<u8> {
    let mut lines: Vec<String> = USUAL.lines().map(str::to_owned).collect();
    for _ in 0..=choices.below(6) {
        let at = choices.below(lines.len());
        let edit = choices.below(8);
        let Some(line) = lines.get_mut(at) else {
            break;
        };
        match edit {
            0 | 1 => {
                if let Some((key, _)) = line.split_once(':') {
                    *line = format!("{key}: {}", choices.one_of(&VALUES));
                }
            }
            2 => {
                lines.remove(at);
            }
            3 => {
                let again = line.clone();
                lines.insert(at, again);
            }
            4 => line.insert_str(0, &" ".repeat(choices.below(5))),
            5 => {
                let text = choices.take(16);
                line.push_str(&String::from_utf8_lossy(&text));
            }
            6 => {
                let nested = "[".repeat(1 << choices.below(14));
                if let Some((key, _)) = line.split_once(':') {
                    *line = format!("{key}: {nested}");
                }
            }
            // Those that stand for very much are stopped by limits, which takes a while.
            _ if choices.below(32) == 31 => lines.insert(at, aliases(choices.below(40))),
            _ => lines.insert(at, aliases(choices.below(3))),
        }
    }
    let text = lines.join("\n");
    match choices.below(8) {
        5 => [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
        6 => utf16(&text, choices.below(2)),
        7 => [text.as_bytes(), b"\n---\n", text.as_bytes()].concat(),
        _ => text.into_bytes(),
    }
}

/// A few lines that stand for many: nine to the power of their number.
fn aliases(levels: usize) -> String {
    let mut text = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a]");
    for level in 1..levels {
        let below = format!("*x{}, ", level - 1).repeat(9);
        let below = below.trim_end_matches(", ");
        let _ = write!(text, "\nx{level}: &x{level} [{below}]");
    }
    text
}

/// As some Windows programs write it; cut short by so many bytes.
fn utf16(text: &str, cut: usize) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.truncate(bytes.len() - cut);
    bytes
}

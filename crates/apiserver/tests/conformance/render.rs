//! Answers as text that is the same each time: one line for each value of an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What is written down of a talk.
pub enum Step {
    Case(String),
    /// Something that the talk found out, in one line.
    Note(String),
    /// A request or a command, in one line.
    Asked(String),
    Answered(String, Value),
    Printed(String),
}

/// Texts that differ from run to run, and what stands for them.
pub type Names = Vec<(String, String)>;

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap()
});
/// Times from 2020 on are the server's; the talks themselves use earlier ones.
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z").unwrap());
/// Where resourceVersions stand in texts. Elsewhere a number is a number.
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(resourceVersion\\*"?[=:] ?\\*"?|esource version: |in the precondition \(|in record \(|"#,
        r"current: |resource version: \d+ \()(\d+)"
    ))
    .unwrap()
});
/// An age, as tables show it.
static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+[smh])+$").unwrap());
/// Managed fields in an object that a message quotes.
static MANAGED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#",?\\*"managedFields\\*":\[.*?\}\]"#).unwrap());
static LAST_AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" +(\d+[smh])+$").unwrap());
static SUFFIX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bgenerated-[a-z0-9]{5}\b").unwrap());

/// Everything that was written down, as text. Names are given out anew for each case.
pub fn text(steps: &[Step], names: &Names) -> String {
    let mut out = String::new();
    for case in steps.chunk_by(|_, next| !matches!(next, Step::Case(_))) {
        let mut lines = Vec::new();
        for step in case {
            match step {
                Step::Case(name) => lines.push(format!("## {name}")),
                Step::Note(text) => lines.push(format!("({text})")),
                Step::Asked(text) => lines.push(text.clone()),
                Step::Answered(text, value) => {
                    if !text.is_empty() {
                        lines.push(format!("-> {text}"));
                    }
                    flatten("", value, &mut lines);
                }
                Step::Printed(text) => lines.extend(
                    text.lines()
                        .map(|line| format!("  | {}", LAST_AGE.replace(line, " AGE"))),
                ),
            }
        }
        out += &normal(&lines.join("\n"), names);
        out += "\n\n";
    }
    // One line end at the end of a file.
    out.truncate(out.trim_end().len());
    out + "\n"
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    let inside = |key: &str| {
        let key = if key.contains('.') {
            format!("[{key}]")
        } else {
            key.to_owned()
        };
        if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            for (key, value) in sorted {
                if key == "managedFields" {
                    continue;
                }
                flatten(&inside(key), value, lines);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{at}]"), item, lines);
            }
        }
        Value::String(text) if AGE.is_match(text) => lines.push(format!("  {path}: AGE")),
        Value::Null if path.is_empty() => {}
        value => lines.push(format!("  {path}: {value}")),
    }
}

fn normal(text: &str, names: &Names) -> String {
    let mut text = text.to_owned();
    for (name, stand_in) in names {
        text = text.replace(name, stand_in);
    }
    let text = MANAGED.replace_all(&text, "").into_owned();
    let mut uids: Vec<String> = Vec::new();
    let text = UID.replace_all(&text, |found: &Captures<'_>| {
        let uid = found[0].to_owned();
        let at = uids
            .iter()
            .position(|known| *known == uid)
            .unwrap_or_else(|| {
                uids.push(uid);
                uids.len() - 1
            });
        format!("u{}", at + 1)
    });
    let text = TIME.replace_all(&text, |found: &Captures<'_>| {
        if found.get(1).is_some() {
            "TIME.MICROS"
        } else {
            "TIME"
        }
    });
    let text = SUFFIX.replace_all(&text, "generated-XXXXX");
    let versions: BTreeSet<u64> = VERSION
        .captures_iter(&text)
        .filter_map(|found| found[2].parse().ok())
        .filter(|version| !is_constant(*version))
        .collect();
    let named = |found: &Captures<'_>| {
        let number: u64 = found[2].parse().unwrap_or_default();
        match versions.iter().position(|known| *known == number) {
            Some(at) => format!("{}r{}", &found[1], at + 1),
            None => found[0].to_owned(),
        }
    };
    // A second time: some texts name two, the first as part of what stands before the second.
    let text = VERSION.replace_all(&text, named).into_owned();
    VERSION.replace_all(&text, named).into_owned()
}

/// resourceVersions that talks make up.
fn is_constant(version: u64) -> bool {
    !(2..=1_000_000_000).contains(&version)
}

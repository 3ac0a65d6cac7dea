//! What goes in and what comes out, as texts in `testdata/lease`.
//!
//! Lines that begin with `> ` go in, indented lines came out, the rest is for the reader. With
//! `TENURE_BLESS=1` what came out is written down instead of compared.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the rules use more of it")]
#[path = "lease_rules/bench.rs"]
mod bench;

use std::{fmt::Write as _, fs, path::Path};

use bench::{Bench, START, absent, foreign, held, released, stored, unknown};
use tenure_core::{
    Command, Elector as _, Event, Notice, Outcome, Paused, StepDown, Uid, Version,
    lease::{LeaseWrite, Observed, Request},
};

#[test]
fn the_transcripts_are_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lease");
    let bless = std::env::var("TENURE_BLESS").is_ok_and(|value| value == "1");
    let mut played = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let written = fs::read_to_string(&path).unwrap();
        let happened = play(&written);
        if bless {
            fs::write(&path, &happened).unwrap();
        }
        let name = path.display();
        assert!(
            bless || happened == written,
            "{name} does not hold; TENURE_BLESS=1 rewrites it. What happens:\n{happened}"
        );
        played += 1;
    }
    assert!(played > 0);
}

struct Player {
    bench: Bench,
    last: Option<LeaseWrite>,
    believed: Option<u64>,
    out: String,
}

fn play(transcript: &str) -> String {
    let mut player = Player {
        bench: Bench::new(),
        last: None,
        believed: None,
        out: String::new(),
    };
    for line in transcript.lines().filter(|line| !line.starts_with("  ")) {
        player.out.push_str(line);
        player.out.push('\n');
        if let Some(input) = line.strip_prefix("> ") {
            player.go(input);
        }
    }
    player.out
}

impl Player {
    fn go(&mut self, input: &str) {
        let words: Vec<&str> = input.split(' ').collect();
        match words.as_slice() {
            ["stand"] => self.bench.command(Command::Stand),
            ["step", "down"] => self.bench.command(Command::StepDown),
            ["work", "ended"] => self.bench.command(Command::WorkEnded { release: true }),
            ["watch", "opened"] => self.bench.give(Event::WatchOpened),
            ["watch", "gone", rv] => self.bench.gone("u", rv.parse().unwrap()),
            ["watch", what @ ..] => {
                let seen = self.object(what);
                self.bench.watch(seen);
            }
            ["answer", what @ ..] => {
                let outcome = self.outcome(what);
                let (id, _) = self.bench.call();
                self.bench.answer(id, outcome);
            }
            ["sleep"] => {
                let due = self.bench.due();
                self.bench.now = self.bench.now.max(due);
                let _ = writeln!(self.out, "  at {}", seconds(self.bench.now));
                self.bench.give(Event::Tick);
            }
            ["at", millis] => {
                self.bench.now = millis.parse().unwrap();
            }
            _ => panic!("what is {input:?}?"),
        }
        self.came_out();
    }

    fn outcome(&self, words: &[&str]) -> Outcome<Observed> {
        match words {
            ["absent"] => absent(),
            ["nothing"] => unknown(),
            ["conflict"] => Outcome::Conflict,
            ["exists"] => Outcome::AlreadyExists,
            ["forbidden"] => Outcome::Refused("forbidden".into()),
            what => Outcome::Done(self.object(what)),
        }
    }

    /// Any of the following, then `asked by eve`, `asked to b by eve` or `paused by eve`: `mine @7`,
    /// `mine @7 for 99` (edited), `held by b for 15 @7` (by a process of ours),
    /// `foreign b for 15 @7`, `released @7`.
    fn object(&self, words: &[&str]) -> Observed {
        let rv = |text: &str| text.trim_start_matches('@').parse::<u64>().unwrap();
        let mine = |at: &str| stored(self.last.as_ref().expect("a write"), "u", rv(at));
        match words {
            [rest @ .., "asked", "to", to, "by", who] => {
                let mut asked = self.object(rest);
                asked.step_down = Some(Box::new(self.request(Some(to), who)));
                asked
            }
            [rest @ .., "asked", "by", who] => {
                let mut asked = self.object(rest);
                asked.step_down = Some(Box::new(self.request(None, who)));
                asked
            }
            [rest @ .., "paused", "by", who] => {
                let mut paused = self.object(rest);
                let by = (*who).into();
                let reason = "maintenance".into();
                paused.paused = Some(Box::new(Paused { by, reason }));
                paused
            }
            ["mine", at] => mine(at),
            ["mine", at, "for", duration] => {
                let mut edited = mine(at);
                edited.spec.duration_seconds = Some(duration.parse().unwrap());
                edited
            }
            ["held", "by", who, "for", duration, at] => {
                held(who, duration.parse().unwrap(), rv(at))
            }
            ["foreign", who, "for", duration, at] => {
                foreign(who, duration.parse().unwrap(), rv(at))
            }
            ["foreign", "nobody", at] => foreign("", 1, rv(at)),
            ["released", at] => released("u", rv(at)),
            _ => panic!("what is {words:?}?"),
        }
    }

    /// To whom wrote last, in that term.
    fn request(&self, to: Option<&str>, by: &str) -> StepDown {
        let spec = &self.last.as_ref().expect("a write").spec;
        StepDown {
            holder: spec.holder.clone().expect("a holder"),
            transitions: spec.transitions,
            uid: Uid::new("u"),
            to: to.map(Into::into),
            by: by.into(),
        }
    }

    fn came_out(&mut self) {
        for notice in std::mem::take(&mut self.bench.notices) {
            let text = match notice {
                Notice::Holder(None) => "nobody leads".to_owned(),
                Notice::Holder(Some(holder)) => format!("{} leads", holder.identity),
                Notice::Acquired { term, token, .. } => {
                    format!("acquired, term {term}, token {token}")
                }
                Notice::Stop { reason, .. } => format!("the work has to end: {reason}"),
                Notice::Lost(reason) => format!("lost: {reason}"),
                other => format!("{other:?}"),
            };
            let _ = writeln!(self.out, "  tells: {text}");
        }
        // Belief is published before any call is made (L10).
        let believed = self
            .bench
            .elector
            .belief()
            .and_then(|belief| belief.valid_until)
            .map(|until| until.as_nanos() / 1_000_000 - START);
        if believed != self.believed {
            self.believed = believed;
            let _ = match believed {
                Some(until) => writeln!(self.out, "  believes until {}", seconds(until)),
                None => writeln!(self.out, "  believes no more"),
            };
        }
        for (_, request) in &self.bench.calls {
            let (base, write) = match request {
                Request::Read => {
                    self.out.push_str("  call: read\n");
                    continue;
                }
                Request::Create(write) => (None, write),
                Request::Replace { base, write } => (Some(base), write),
            };
            if self.last.as_ref() == Some(write) {
                continue;
            }
            self.last = Some(write.clone());
            let _ = writeln!(self.out, "  call: {}", told(base, write));
        }
    }
}

fn told(base: Option<&Version>, write: &LeaseWrite) -> String {
    let verb = base.map_or("create".to_owned(), |base| {
        format!("replace @{}", base.resource_version)
    });
    let holder = write
        .spec
        .holder
        .as_deref()
        .filter(|holder| !holder.is_empty());
    let mark = match &write.mark.successor {
        _ if !write.mark.released => String::new(),
        None => ", released".to_owned(),
        Some(successor) => format!(", released to {successor}"),
    };
    format!(
        "{verb} with holder {}, for {} s, transitions {}{mark}",
        holder.unwrap_or("nobody"),
        write.spec.duration_seconds.unwrap_or(0),
        write.spec.transitions.unwrap_or(0),
    )
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

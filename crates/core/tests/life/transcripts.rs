//! What goes in and what comes out, as texts in `testdata/life`.
//!
//! Lines that begin with `> ` go in, indented lines came out, the rest is for the reader.
//! An `answer nothing` takes the whole call limit. With
//! `TENURE_BLESS=1` what came out is written down instead of compared.

use std::{fmt::Write, fs, path::Path, time::Duration};

use tenure_core::{
    Action, CallId, Command, Elector, Event, Instant, LifeTiming, Nonce, Notice, Now, Outcome,
    Sight, Uid, life::*,
};

use super::bench::{lock, me, pod, process, terminated, version};

#[test]
fn the_transcripts_are_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/life");
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
    elector: LifeElector,
    now: Instant,
    call: Option<(CallId, Request)>,
    believed: Option<String>,
    out: String,
}

fn play(transcript: &str) -> String {
    let mut player = None;
    let mut out = String::new();
    for line in transcript.lines() {
        if line.starts_with("  ") {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        let Some(input) = line.strip_prefix("> ") else {
            continue;
        };
        match input.strip_prefix("me ") {
            Some(words) => player = Some(Player::new(words)),
            None => out.push_str(&player.as_mut().expect("begin with > me").go(input)),
        }
    }
    out
}

impl Player {
    /// `a/A main#c1 p7`, and `alone` for a Pod of one container, `keep` for no deletion.
    fn new(words: &str) -> Self {
        let write = parse_write(words);
        let has = |word| words.split(' ').any(|w| w == word);
        let config = LifeConfig {
            me: Me {
                container: write.record.container,
                container_id: write.record.container_id,
                single_container: has("alone"),
                process: write.record.process,
                ..me(&write.record.pod_name, write.record.pod_uid.as_str())
            },
            nonce: Nonce::new("mine"),
            timing: LifeTiming::default(),
            delete_on_release: !has("keep"),
            seed: 7,
        };
        Self {
            elector: LifeElector::new(config),
            now: Instant::from_nanos(0),
            call: None,
            believed: None,
            out: String::new(),
        }
    }

    fn go(&mut self, input: &str) -> String {
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let event = match word {
            "stand" => Event::Command(Command::Stand),
            "withdraw" => Event::Command(Command::Withdraw),
            "step-down" => Event::Command(Command::StepDown),
            "work-ended" => Event::Command(Command::WorkEnded {
                release: rest != "keep",
            }),
            "sleep" => {
                let due = self.elector.deadline().expect("nothing is planned");
                let slept: Duration = due.since(self.now);
                self.now = self.now.max(due);
                writeln!(self.out, "  {:.1} s later", slept.as_secs_f64()).unwrap();
                Event::Tick
            }
            "answer" => {
                let (id, request) = self.call.take().expect("no call is under way");
                let outcome = parse_outcome(rest, &request);
                if let Outcome::Unknown(_) = outcome {
                    self.now = self.now.after(LifeTiming::default().call_limit);
                }
                Event::Answer { id, outcome }
            }
            "watch" => match rest.split_once(' ') {
                Some(("gone", state)) => Event::Watch(Sight::Gone(version(state))),
                None if rest == "opened" => Event::WatchOpened,
                None if rest == "closed" => Event::WatchClosed,
                _ => Event::Watch(Sight::Seen(parse_lock(rest))),
            },
            other => panic!("unknown input {other}"),
        };
        self.feed(event);
        std::mem::take(&mut self.out)
    }

    fn feed(&mut self, event: Event<Answer, LockObject>) {
        let now = Now {
            mono: self.now,
            ..Now::default()
        };
        self.elector.handle(now, event);
        // As a driver does: belief is published before anything is done.
        let believes = self.elector.belief().map(|b| b.token.to_string());
        if believes != self.believed {
            match &believes {
                Some(token) => writeln!(self.out, "  leads by token {token}").unwrap(),
                None => writeln!(self.out, "  leads no more").unwrap(),
            }
            self.believed = believes;
        }
        while let Some(action) = self.elector.poll() {
            match action {
                Action::Call { id, request } => {
                    writeln!(self.out, "  call: {}", show(&request)).unwrap();
                    assert!(self.call.replace((id, request)).is_none());
                }
                Action::Notify(notice) => {
                    writeln!(self.out, "  tells: {}", tell(&notice)).unwrap();
                }
            }
        }
    }
}

fn parse_outcome(text: &str, request: &Request) -> Outcome<Answer> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let done = match (word, request) {
        ("done", Request::Create(write) | Request::Replace { write, .. }) => {
            Answer::Lock(lock(rest, write))
        }
        ("lock", _) => Answer::Lock(parse_lock(rest)),
        ("deleted", _) => Answer::Deleted,
        ("pod", _) => Answer::Pod(parse_pod(rest)),
        ("process", _) => Answer::Process(match rest {
            "gone" => ProcessSight::Gone,
            "alive" => ProcessSight::Alive,
            _ => ProcessSight::Unknown,
        }),
        ("absent", _) => return Outcome::NotFound("not found".into()),
        ("exists", _) => return Outcome::AlreadyExists,
        ("conflict", _) => return Outcome::Conflict,
        ("refused", _) => return Outcome::Refused("forbidden".into()),
        ("nothing", _) => return Outcome::Unknown("no answer in time".into()),
        other => panic!("unknown answer {other:?}"),
    };
    Outcome::Done(done)
}

/// `pod B`, and `main#c1 Error` for a container of it that ended.
fn parse_pod(text: &str) -> PodSight {
    let mut words = text.split(' ');
    let mut sight = pod(words.next().unwrap(), None);
    if let (Some(container), Some(reason)) = (words.next(), words.next()) {
        let (name, id) = container.split_once('#').unwrap();
        sight.containers[0].name = name.into();
        sight.containers[0].terminated = Some(Terminated {
            reason: reason.into(),
            ..terminated(id)
        });
    }
    sight
}

/// `L@10 b/B main#c1 p5 nonce`; without a nonce it has no annotations. `deleting` and `data` may
/// follow.
fn parse_lock(text: &str) -> LockObject {
    let (state, words) = text.split_once(' ').unwrap();
    let write = parse_write(words);
    let has = |word| words.split(' ').any(|w| w == word);
    let mut lock = lock(state, &write);
    lock.being_deleted = has("deleting");
    lock.foreign = has("data").then(|| "it has data".into());
    lock.record = lock.record.filter(|r| !r.nonce.as_str().is_empty());
    lock
}

fn parse_write(words: &str) -> LifeWrite {
    let mut write = super::bench::other_write("", "");
    write.record.container = None;
    write.record.container_id = None;
    write.record.process = None;
    write.record.nonce = Nonce::new("");
    for word in words.split(' ') {
        if let Some((name, uid)) = word.split_once('/') {
            write.owner = OwnerRef::pod(name, Uid::new(uid));
            write.record.pod_name = name.into();
            write.record.pod_uid = Uid::new(uid);
        } else if let Some((name, id)) = word.split_once('#') {
            write.record.container = Some(name.into());
            write.record.container_id = Some(id.into());
        } else if let Some(pid) = word.strip_prefix('p').and_then(|pid| pid.parse().ok()) {
            write.record.process = Some(process(pid));
        } else if !["deleting", "data", "alone", "keep"].contains(&word) {
            write.record.nonce = Nonce::new(word);
        }
    }
    write
}

fn show(request: &Request) -> String {
    let put = |write: &LifeWrite| {
        let record = &write.record;
        format!("{}/{} {}", write.owner.name, write.owner.uid, record.nonce)
    };
    match request {
        Request::Read => "read".to_owned(),
        Request::Create(write) => format!("create {}", put(write)),
        Request::Replace { base, write } => {
            format!(
                "replace {}@{} by {}",
                base.uid,
                base.resource_version,
                put(write)
            )
        }
        Request::Delete { version } => {
            format!("delete {}@{}", version.uid, version.resource_version)
        }
        Request::ReadPod { name } => format!("read pod {name}"),
        Request::InspectProcess(process) => format!("inspect process {}", process.pid),
    }
}

fn tell(notice: &Notice) -> String {
    match notice {
        Notice::Holder(holder) => match holder {
            Some(holder) => format!("held by {}", holder.identity),
            None => "held by nobody".to_owned(),
        },
        Notice::Acquired { again, .. } if *again => "acquired again".to_owned(),
        Notice::Acquired { .. } => "acquired".to_owned(),
        Notice::Lost(reason) => format!("lost: {reason}"),
        Notice::Stop { reason, by } => {
            format!(
                "stop by {:.1} s: {reason}",
                by.since(Instant::default()).as_secs_f64()
            )
        }
        Notice::StandbyFailed { error, times } => format!("failed for the {times}. time: {error}"),
        other => format!("{other:?}"),
    }
}

//! `tenure watch`: locks as they change, and `tenure timeline`, which draws what was written down.

mod board;
mod choice;
mod screen;
mod source;
mod timeline;
mod view;

use std::{
    collections::BTreeMap, fs::File, io::Write as _, path::PathBuf, process::ExitCode, sync::Arc,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    api::Api,
    clock::wall,
    gather::Wanted,
    judge,
    kind::Kind,
    lock::Lock,
    pods::Pod,
    text::{harmless, harmless_json, span},
};
use crate::{cluster::ClusterChoice, console, failure::Failure};
use board::{Board, Moment, What, key};
use choice::Pressed;
use source::News;
pub(crate) use timeline::run as timeline;

#[derive(Debug)]
pub(crate) struct WatchOptions {
    pub(crate) cluster: ClusterChoice,
    pub(crate) wanted: Wanted,
    pub(crate) everywhere: bool,
    pub(crate) record: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) time: Option<Duration>,
}

/// How often time alone changes the picture.
const TICK: Duration = Duration::from_millis(250);
/// The least time from one picture to the next.
const FRAME: Duration = Duration::from_millis(40);

/// How long what is seen last may take to be written, once a signal has come.
const LEAVING: Duration = Duration::from_secs(1);

pub(crate) async fn run(options: WatchOptions) -> Result<ExitCode, Failure> {
    let signal = crate::signals::first_then_exit()?;
    let (stop, stopped) = oneshot::channel();
    // A task of its own, since whoever reads it may have stopped to: then a write takes for ever.
    let mut work = tokio::spawn(watch(options, stopped));
    let ending = tokio::select! {
        done = &mut work => return joined(done),
        Ok(ending) = signal => ending,
    };
    let _ = stop.send(());
    if let Ok(done) = tokio::time::timeout(LEAVING, work).await {
        joined(done)?;
    }
    Ok(ExitCode::from(ending.exit_code))
}

fn joined(
    done: Result<Result<ExitCode, Failure>, tokio::task::JoinError>,
) -> Result<ExitCode, Failure> {
    done.unwrap_or_else(|error| {
        Err(Failure::failed("watching broke off; please report it").because(error))
    })
}

async fn watch(
    options: WatchOptions,
    mut stopped: oneshot::Receiver<()>,
) -> Result<ExitCode, Failure> {
    // Whatever is wrong with the cluster is better said before the screen is taken.
    let looked = super::patiently(look(&options));
    let (api, wanted) = tokio::select! {
        looked = looked => looked?,
        _ = &mut stopped => return Ok(ExitCode::SUCCESS),
    };
    // What was recorded before is not lost over a cluster that cannot be seen.
    let record = match &options.record {
        Some(file) => Some((file.clone(), create(file)?)),
        None => None,
    };
    let (tell, mut news) = mpsc::channel(1024);
    let (cut, is_cut) = tokio::sync::watch::channel(());
    // They end with this.
    let mut sources = tokio::task::JoinSet::new();
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| wanted.kind.is_none_or(|one| one == *kind))
    {
        sources.spawn(source::follow(
            api.clone(),
            kind,
            wanted.clone(),
            tell.clone(),
            is_cut.clone(),
        ));
    }
    sources.spawn(source::pods(api.clone(), wanted.clone(), tell.clone()));
    sources.spawn(source::heart(api.clone(), tell, cut));
    let mut show = if options.json || !console::can_draw() {
        Show::Lines { json: options.json }
    } else {
        Show::Screen(Box::new(screen::Screen::open(options.everywhere)?))
    };
    let begin = wall();
    let mut watching = Watching {
        board: Board::new(begin),
        pods: None,
        record,
        trouble: BTreeMap::new(),
        notes: Vec::new(),
        heard: begin,
    };
    let begun = Moment {
        at: watching.board.begin,
        event: What::Begin,
        namespace: wanted.namespace.clone().unwrap_or_default(),
        kind: String::new(),
        name: String::new(),
        holder: None,
        until: None,
    };
    watching.tell(&mut show, vec![begun.clone()])?;
    let end = async {
        match options.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut code = ExitCode::SUCCESS;
    let mut drawn = None;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let told = tokio::select! {
            biased;
            _ = &mut stopped => break,
            pressed = show.key() => match pressed {
                Pressed::On => Vec::new(),
                Pressed::End => break,
                Pressed::Interrupt => {
                    code = ExitCode::from(crate::signals::INTERRUPT.exit_code);
                    break;
                }
            },
            () = &mut end => break,
            Some(one) = news.recv() => watching.take(one, api.moment()),
            _ = tick.tick() => watching.board.passed(wall(), watching.heard),
        };
        if !watching.tell(&mut show, told)? {
            return Ok(ExitCode::SUCCESS);
        }
        // A thousand Leases are renewed more often than anybody looks.
        let now = tenure::now();
        if let Show::Screen(screen) = &mut show
            && drawn.is_none_or(|drawn| now.since(drawn) >= FRAME)
        {
            drawn = Some(now);
            let trouble: Vec<&str> = watching.trouble.values().map(String::as_str).collect();
            screen.draw(
                &watching.board,
                watching.pods.as_deref(),
                api.moment(),
                &trouble,
            )?;
        }
    }
    let ended = Moment {
        at: wall(),
        event: What::End,
        ..begun
    };
    watching.tell(&mut show, vec![ended])?;
    Ok(code)
}

async fn look(options: &WatchOptions) -> Result<(Arc<Api>, Wanted), Failure> {
    let api = Arc::new(Api::of(&options.cluster).await?);
    let wanted = options.wanted.clone().at(&api, options.everywhere)?;
    super::gather::gather_some(&api, &wanted).await?;
    Ok((api, wanted))
}

struct Watching {
    board: Board,
    pods: Option<Vec<Pod>>,
    record: Option<(PathBuf, File)>,
    /// What cannot be seen, by whose trouble it is.
    trouble: BTreeMap<&'static str, String>,
    /// What has changed about that, for those who read lines.
    notes: Vec<String>,
    /// When a question was asked last that the server has answered.
    heard: i64,
}

enum Show {
    Lines { json: bool },
    Screen(Box<screen::Screen>),
}

impl Show {
    /// What the next key asks for. Never ends where there are no keys.
    async fn key(&mut self) -> Pressed {
        match self {
            Self::Lines { .. } => std::future::pending().await,
            Self::Screen(screen) => screen.key().await,
        }
    }
}

impl Watching {
    fn take(&mut self, news: News, moment: judge::Moment) -> Vec<Moment> {
        let at = wall();
        let over = |lock: &Lock| judge::judge(lock, None, moment).is(judge::Word::Expired);
        match news {
            News::All(kind, locks) => {
                let there: Vec<_> = locks.iter().map(key).collect();
                let mut told = self.board.only(at, kind, &there);
                for lock in locks {
                    told.extend(self.board.seen(at, over(&lock), lock));
                }
                told
            }
            News::One(lock) => self.board.seen(at, over(&lock), lock),
            News::Gone(lock) => self.board.gone(at, &key(&lock)),
            News::Torn(kind) => {
                self.board.torn(kind);
                Vec::new()
            }
            News::Pods(pods) => {
                self.pods = pods;
                Vec::new()
            }
            News::Heard(asked) => {
                self.heard = asked;
                Vec::new()
            }
            News::Trouble(whose, told) => {
                self.trouble(whose, told);
                Vec::new()
            }
        }
    }

    fn trouble(&mut self, whose: &'static str, told: Option<String>) {
        match told {
            Some(told) if self.trouble.get(whose) == Some(&told) => {}
            Some(told) => {
                self.notes.push(told.clone());
                self.trouble.insert(whose, told);
            }
            None if self.trouble.remove(whose).is_none() => {}
            None if whose == source::SERVER => {
                self.notes.push("the API server answers again".to_owned());
            }
            None => self.notes.push(format!("{whose} are seen again")),
        }
    }

    /// Whether anybody reads it.
    fn tell(&mut self, show: &mut Show, told: Vec<Moment>) -> Result<bool, Failure> {
        for line in self.notes.drain(..) {
            if let Show::Lines { .. } = show {
                console::note(&format!("tenure: {line}"));
            }
        }
        for moment in told {
            let json = harmless_json(&serde_json::to_string(&moment).unwrap_or_default());
            if let Some((name, file)) = &mut self.record {
                writeln!(file, "{json}").map_err(|error| {
                    Failure::failed(format!(
                        "cannot write to {}; check whether there is room",
                        name.display()
                    ))
                    .because(error)
                })?;
            }
            let read = match show {
                Show::Lines { json: true } => print(&json)?,
                Show::Lines { json: false } => print(&line(&moment, self.board.begin))?,
                Show::Screen(_) => true,
            };
            if !read {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether anybody reads it.
fn print(line: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(
            "cannot write to standard output; check where it leads to",
        )
        .because(error)),
    }
}

fn create(file: &std::path::Path) -> Result<File, Failure> {
    File::create(file).map_err(|error| {
        Failure::failed(format!(
            "cannot write {}; check its directory, or name another file",
            file.display()
        ))
        .because(error)
    })
}

/// For people: when, what, who.
fn line(moment: &Moment, begin: i64) -> String {
    let time = super::formats::rfc3339(moment.at).unwrap_or_default();
    let lock = format!("{}/{}", harmless(&moment.namespace), harmless(&moment.name));
    let holder = moment.holder.as_deref().map(harmless).unwrap_or_default();
    let told = match moment.event {
        What::Begin => return format!("{time}  watching"),
        What::End => {
            return format!(
                "{time}  ended after {}",
                span(moment.at.saturating_sub(begin))
            );
        }
        What::Held => format!("held by {holder}"),
        What::Overlap => {
            let left = moment.until.unwrap_or(moment.at).saturating_sub(moment.at);
            format!(
                "OVERLAP: taken by {holder} {} before the last holder's time was over",
                span(left)
            )
        }
        What::Free => "free".to_owned(),
        What::Expired => format!("expired: {holder} was not seen to renew it"),
        What::Gone => "gone: the object was deleted".to_owned(),
    };
    format!("{time}  {lock} ({}) {told}", harmless(&moment.kind))
}

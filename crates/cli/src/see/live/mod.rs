//! `tenure watch`: locks as they change, and `tenure timeline`, which draws what was written down.

mod board;
mod choice;
mod screen;
mod source;
mod timeline;
mod view;

use std::{fs::File, io::Write as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    api::Api,
    clock::wall,
    gather::Wanted,
    lock::Kind,
    pods::Pod,
    text::{harmless, span},
};
use crate::{cluster::ClusterChoice, console, failure::Failure};
use board::{Board, Moment, What, key};
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

pub(crate) async fn run(options: WatchOptions) -> Result<ExitCode, Failure> {
    let record = match &options.record {
        Some(file) => Some((file.clone(), create(file)?)),
        None => None,
    };
    let api = Arc::new(Api::of(&options.cluster).await?);
    let wanted = options.wanted.at(&api, options.everywhere);
    // Whatever is wrong with the cluster is better said before the screen is taken.
    super::gather::gather_some(&api, &wanted).await?;
    let (tell, mut news) = mpsc::channel(1024);
    let mut tasks = tokio::task::JoinSet::new();
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| wanted.kind.is_none_or(|one| one == *kind))
    {
        tasks.spawn(source::follow(
            api.clone(),
            kind,
            wanted.clone(),
            tell.clone(),
        ));
    }
    tasks.spawn(source::pods(api.clone(), wanted.clone(), tell));
    let mut show = if options.json || !console::can_draw() {
        Show::Lines { json: options.json }
    } else {
        Show::Screen(Box::new(screen::Screen::open(options.everywhere)?))
    };
    let mut watching = Watching {
        board: Board::new(wall()),
        pods: None,
        record,
        trouble: Vec::new(),
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
    let mut drawn = None;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let told = tokio::select! {
            biased;
            goes_on = show.key() => {
                if !goes_on {
                    break;
                }
                Vec::new()
            }
            () = &mut end => break,
            // The sources outlive this: they end when nobody listens.
            Some(one) = news.recv() => watching.take(one),
            _ = tick.tick() => watching.board.passed(wall()),
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
            screen.draw(
                &watching.board,
                watching.pods.as_deref(),
                api.moment(),
                &watching.trouble,
            )?;
        }
    }
    let ended = Moment {
        at: wall(),
        event: What::End,
        ..begun
    };
    watching.tell(&mut show, vec![ended])?;
    Ok(ExitCode::SUCCESS)
}

struct Watching {
    board: Board,
    pods: Option<Vec<Pod>>,
    record: Option<(PathBuf, File)>,
    /// What cannot be seen.
    trouble: Vec<String>,
}

enum Show {
    Lines { json: bool },
    Screen(Box<screen::Screen>),
}

impl Show {
    /// Whether to go on, after the next key. Never ends where there are no keys.
    async fn key(&mut self) -> bool {
        match self {
            Self::Lines { .. } => std::future::pending().await,
            Self::Screen(screen) => screen.key().await,
        }
    }
}

impl Watching {
    fn take(&mut self, news: News) -> Vec<Moment> {
        let at = wall();
        match news {
            News::All(kind, locks) => {
                self.trouble.retain(|told| !told.starts_with(kind.plural()));
                let there: Vec<_> = locks.iter().map(key).collect();
                let mut told = self.board.only(at, kind, &there);
                told.extend(locks.into_iter().flat_map(|lock| self.board.seen(at, lock)));
                told
            }
            News::One(lock) => self.board.seen(at, lock),
            News::Gone(lock) => self.board.gone(at, &key(&lock)),
            News::Torn(kind) => {
                self.board.torn(kind);
                Vec::new()
            }
            News::Pods(pods) => {
                self.pods = pods;
                Vec::new()
            }
            News::Trouble(told) => {
                self.trouble.push(told);
                Vec::new()
            }
        }
    }

    /// Whether anybody reads it.
    fn tell(&mut self, show: &mut Show, told: Vec<Moment>) -> Result<bool, Failure> {
        if let Show::Lines { .. } = show {
            for line in self.trouble.drain(..) {
                console::note(&format!("tenure: {line}"));
            }
        }
        for moment in told {
            let json = serde_json::to_string(&moment).unwrap_or_default();
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

//! `tenure sidecar`: stands for election, and answers over HTTP whether it leads.
//!
//! | file | what it is about |
//! |---|---|
//! | `args.rs` | what was typed, and what it means |
//! | `gate.rs` | who may be told "leading", and until when that holds |
//! | `stand.rs` | stands, leads and leaves; what was asked of it |
//! | `desk.rs`, `said.rs`, `metrics.rs` | what answers are made from, and how they read |
//! | `routes.rs`, `watch.rs`, `answer.rs` | the paths, the stream of events, and refusals |
//! | `security.rs`, `server.rs` | who is answered, and how long that may take |
//! | `openapi.json` | all of it, for programs |

mod answer;
pub(crate) mod args;
mod desk;
mod gate;
mod metrics;
mod routes;
mod said;
mod security;
mod server;
mod stand;
#[cfg(test)]
mod tests;
mod watch;

use std::{process::ExitCode, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch as signal};

pub(crate) use args::SidecarOptions;

use self::{desk::Desk, routes::Front, security::Security, watch::Watchers};
use crate::{
    console,
    failure::Failure,
    signals,
    standing::{self, CLOSE_LIMIT},
};

/// Requests to step down that wait for each other.
const MOST_ASKS: usize = 16;
/// How long the body of a request may take.
const BODY_LIMIT: Duration = Duration::from_secs(5);

/// Stands and answers until a signal comes.
pub(crate) async fn run(options: SidecarOptions) -> Result<ExitCode, Failure> {
    let signal = signals::first_then_exit()?;
    let end = async {
        match signal.await {
            Ok(ending) => format!("asked to end by {}", ending.name),
            // No signal can come any more.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let listener = server::listen("--http", options.listen).await?;
    let probes = match options.probes {
        Some(address) => Some(server::listen("--probes", address).await?),
        None => None,
    };
    let security = Security::new(options.listen.ip(), options.hosts, options.token_file)?;
    let election = tokio::select! {
        election = standing::on_its_own_thread(&options.stand) => election?,
        _ = &mut end => return Ok(ExitCode::SUCCESS),
    };
    let address = listener.local_addr().unwrap_or(options.listen);
    console::print(&format!("listening on http://{address}\n"))?;
    if let Some(address) = probes.as_ref().and_then(|probes| probes.local_addr().ok()) {
        console::print(&format!("probes on http://{address}\n"))?;
    }

    let (asks, mut asked) = mpsc::channel(MOST_ASKS);
    let (closing, is_closing) = signal::channel(false);
    let desk = Arc::new(Desk::new(
        &election,
        options.stand.lock,
        options.answer_limit,
        asks,
    ));
    let front = Arc::new(Front {
        desk: Arc::clone(&desk),
        security,
        watchers: Watchers::new(is_closing.clone()),
        body_limit: BODY_LIMIT,
    });
    let follower = {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { desk.follow().await })
    };
    let mut servers = tokio::task::JoinSet::new();
    if let Some(probes) = probes {
        let router = routes::probes(Arc::clone(&front));
        servers.spawn(server::serve(probes, router, is_closing.clone()));
    }
    servers.spawn(server::serve(listener, routes::router(front), is_closing));
    let stood = stand::stand(&desk, &election, &mut asked, &mut end).await;
    closing.send_replace(true);
    // What still waits for an answer is told that nobody leads.
    drop(asked);
    servers.join_all().await;
    follower.abort();
    desk.let_go();
    let _ = tokio::time::timeout(CLOSE_LIMIT, election.close()).await;
    stood.map(|()| ExitCode::SUCCESS)
}

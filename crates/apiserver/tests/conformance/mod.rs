//! Conversations with an API server, and the real server's side of them as golden text.
//!
//! An area is a function that talks to a server: raw requests in a fresh namespace, whose answers
//! are written down with uids, resourceVersions and times made comparable. What the real server
//! said is kept in `golden/`; both servers are held to it. `TENURE_BLESS=1` with a real server
//! writes these files anew:
//!
//! ```console
//! $ TENURE_BLESS=1 cargo test -p tenure-apiserver --test real_conformance
//! ```
#![allow(clippy::format_push_string, clippy::unwrap_used)] // the helpers of tests fail as tests do
#![allow(dead_code, unreachable_pub, unused_imports)] // each of the two test programs uses a part

pub mod areas;
mod differences;
mod properties;
mod render;
mod talk;
mod text_diff;

use std::path::PathBuf;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use tenure_harness::TestServer;

pub use areas::AREAS;
pub use differences::{DIFFERENCES, Difference, TO_MEND};
pub use properties::PROPERTIES;
pub use talk::{FAILED, Talk};

/// One area: its golden file's name, and the talk.
pub struct Area {
    pub name: &'static str,
    /// Whether it needs the kubectl that the goldens were made with.
    pub kubectl: bool,
    pub talk: for<'a> fn(&'a mut Talk) -> BoxFuture<'a, ()>,
}

/// Something that holds whatever the answers are in detail.
pub struct Property {
    pub name: &'static str,
    pub check: for<'a> fn(&'a TestServer) -> BoxFuture<'a, ()>,
}

/// How many areas talk at a time.
const AT_A_TIME: usize = 4;

/// What the server says in each area, as text. A talk that breaks off ends with why.
pub async fn hear(
    server: &TestServer,
    areas: impl Iterator<Item = &'static Area>,
) -> Vec<(&'static str, String)> {
    futures::stream::iter(areas)
        .map(|area| {
            let server = server.clone();
            let talk = tokio::spawn(async move {
                let mut talk = Talk::begin(&server, area.name).await;
                let begun = tokio::time::Instant::now();
                (area.talk)(&mut talk).await;
                println!("{}: {:?}", area.name, begun.elapsed());
                talk.text()
            });
            async move {
                let broke = |error| format!("{} broke off: {error}", area.name);
                (area.name, talk.await.unwrap_or_else(broke))
            }
        })
        .buffered(AT_A_TIME)
        .collect()
        .await
}

pub fn golden_path(area: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance/golden")
        .join(format!("{area}.txt"))
}

pub fn golden(area: &str) -> String {
    let path = golden_path(area);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; make it with a real server and TENURE_BLESS=1",
            path.display()
        )
    })
}

/// Where two texts differ, in lines that are easy to read; empty where they do not.
pub fn difference(golden: &str, heard: &str) -> String {
    text_diff::difference(golden, heard)
}

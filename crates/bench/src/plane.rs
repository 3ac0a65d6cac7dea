//! The control plane that all contestants share, and who the contestants are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tenure_harness::{PlaneOptions, TestServer};

use crate::candidate::{Candidate, Kind, Standing};

/// The longest that a whole run may take.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

pub(crate) struct Bench {
    pub(crate) server: TestServer,
    pub(crate) programs: Programs,
    /// A tenth of the rounds, and shorter windows.
    pub(crate) quick: bool,
}

/// Built by others.
pub(crate) struct Programs {
    pub(crate) tenure: PathBuf,
    /// The least program on the library.
    pub(crate) library: PathBuf,
    /// No candidate: it only watches.
    pub(crate) alone: PathBuf,
    pub(crate) client_go: Option<PathBuf>,
    pub(crate) others: Vec<(Kind, PathBuf)>,
}

impl Bench {
    pub(crate) async fn start(programs: Programs, quick: bool) -> Result<Self> {
        let options = PlaneOptions::default()
            .without_audit_log()
            .max_lifetime(LONGEST);
        let server = TestServer::real_with(&options)
            .await
            .context("a real control plane is needed: TENURE_CONTROL_PLANE names its program")?;
        Ok(Self {
            server,
            programs,
            quick,
        })
    }

    /// Who is measured, in turns, where each candidate is a process of its own.
    pub(crate) fn contestants(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Tenure];
        kinds.extend(self.client_go());
        kinds
    }

    /// The candidates on other Rust libraries.
    pub(crate) fn others(&self) -> impl Iterator<Item = Kind> + '_ {
        self.programs.others.iter().map(|(kind, _)| *kind)
    }

    /// Who is measured where many candidates share a process.
    pub(crate) fn crowds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Library];
        kinds.extend(self.client_go());
        kinds
    }

    pub(crate) fn client_go(&self) -> Option<Kind> {
        self.programs.client_go.as_ref().map(|_| Kind::ClientGo)
    }

    pub(crate) fn program(&self, kind: Kind) -> &Path {
        let programs = &self.programs;
        let other = programs.others.iter().find(|(other, _)| *other == kind);
        match (kind, &programs.client_go, other) {
            (_, _, Some((_, program))) | (Kind::ClientGo, Some(program), _) => program,
            (Kind::Library | Kind::OwnPace, ..) => &programs.library,
            (Kind::Alone, ..) => &programs.alone,
            _ => &programs.tenure,
        }
    }

    /// A candidate of that kind stands for `lock`.
    pub(crate) fn candidate(&self, kind: Kind, lock: &str, identity: &str) -> Result<Candidate> {
        self.crowd(kind, lock, identity, 1, 1)
    }

    /// Many candidates in one process, or one for each of many locks.
    pub(crate) fn crowd(
        &self,
        kind: Kind,
        lock: &str,
        identity: &str,
        candidates: usize,
        locks: usize,
    ) -> Result<Candidate> {
        let who = Standing {
            lock,
            identity,
            candidates,
            locks,
        };
        Candidate::start(self, kind, &who)
    }
}

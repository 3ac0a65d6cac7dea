//! The control plane that all contestants share, and who the contestants are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tenure_harness::{PlaneOptions, TestServer};

use crate::candidate::{Candidate, Kind};

/// The longest that a whole run may take.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

pub(crate) struct Bench {
    pub(crate) server: TestServer,
    tenure: PathBuf,
    client_go: Option<PathBuf>,
}

impl Bench {
    pub(crate) async fn start(tenure: PathBuf, client_go: Option<PathBuf>) -> Result<Self> {
        let options = PlaneOptions::default()
            .without_audit_log()
            .max_lifetime(LONGEST);
        let server = TestServer::real_with(&options)
            .await
            .context("a real control plane is needed: TENURE_CONTROL_PLANE names its program")?;
        Ok(Self {
            server,
            tenure,
            client_go,
        })
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }

    /// Who is measured, in turns.
    pub(crate) fn contestants(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Tenure];
        kinds.extend(self.client_go.as_ref().map(|_| Kind::ClientGo));
        kinds
    }

    pub(crate) fn program(&self, kind: Kind) -> &PathBuf {
        match (kind, &self.client_go) {
            (Kind::ClientGo, Some(program)) => program,
            _ => &self.tenure,
        }
    }

    /// A candidate of that kind stands for `lock`.
    pub(crate) fn candidate(&self, kind: Kind, lock: &str, identity: &str) -> Result<Candidate> {
        let kubeconfig = self.server.kubeconfig();
        Candidate::start(self.program(kind), kind, kubeconfig, lock, identity)
    }
}

//! kubectl against a test server.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::plane::PROGRAM;
use crate::server::{TestServer, program};

const LIMIT: Duration = Duration::from_secs(60);

impl TestServer {
    /// Runs the real kubectl as an administrator, for a minute at most: the one inside the program
    /// that `TENURE_CONTROL_PLANE` names, or else the one on `PATH`. `stdin` is its input.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not end. That it fails is no error: see the output.
    pub async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Result<Output> {
        self.kubectl_with(arguments, stdin, &[]).await
    }

    /// As [`TestServer::kubectl`], with environment variables.
    ///
    /// # Errors
    ///
    /// As [`TestServer::kubectl`].
    pub async fn kubectl_with(
        &self,
        arguments: &[&str],
        stdin: &str,
        environment: &[(&str, &str)],
    ) -> Result<Output> {
        let mut command = match program() {
            Some(program) => {
                let mut command = Command::new(program);
                command.arg("kubectl");
                command
            }
            None => Command::new("kubectl"),
        };
        let home = self.inner.dir.path();
        let mut child = command
            .args(arguments)
            .envs(environment.iter().copied())
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", home)
            .env("KUBECACHEDIR", home.join("kube-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("no kubectl: set {PROGRAM}, or put kubectl on PATH"))?;
        let Some(mut input) = child.stdin.take() else {
            bail!("kubectl has no standard input")
        };
        let run = async {
            // kubectl may have ended without reading.
            let _ = input.write_all(stdin.as_bytes()).await;
            drop(input);
            child
                .wait_with_output()
                .await
                .context("cannot wait for kubectl")
        };
        tokio::time::timeout(LIMIT, run)
            .await
            .with_context(|| format!("kubectl {arguments:?} did not end within {LIMIT:?}"))?
    }

    /// As [`TestServer::kubectl`], for its standard output.
    ///
    /// # Errors
    ///
    /// When kubectl fails, too.
    pub async fn kubectl_ok(&self, arguments: &[&str], stdin: &str) -> Result<String> {
        let output = self.kubectl(arguments, stdin).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            bail!(
                "kubectl {arguments:?}: {}: {}",
                output.status,
                text(&output.stderr)
            );
        }
        Ok(text(&output.stdout))
    }

    /// Whether [`TestServer::kubectl`] finds one.
    pub async fn has_kubectl(&self) -> bool {
        program().is_some() || self.kubectl(&["version", "--client"], "").await.is_ok()
    }
}

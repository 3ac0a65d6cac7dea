//! The face of a test server: how to get one, reach it, and stop it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http::Method;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tempfile::TempDir;
use tenure_apiserver::ApiServer;

use crate::embedded::Embedded;
use crate::http_client::{self, Answer, Watch};
use crate::plane::{PROGRAM, Plane, PlaneOptions};
use crate::tcp::Proxy;

/// A server for tests: see the [crate] for which there are.
///
/// Clones are handles to one server; a server of one's own ends with the last. Handles belong to
/// the tokio runtime on which they were made.
#[derive(Clone)]
pub struct TestServer {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) kind: Kind,
    /// For the program's own files: kubeconfigs and kubectl's cache.
    pub(crate) dir: TempDir,
    kubeconfig: PathBuf,
    config: Config,
    client: Client,
    /// Tells the namespaces of one process apart from those of others.
    pub(crate) tag: String,
}

pub(crate) enum Kind {
    Embedded(Embedded),
    Real(Arc<Plane>),
    /// A cluster that others look after.
    Given,
}

const KUBECONFIG: &str = "TENURE_KUBECONFIG";
const REQUIRE: &str = "TENURE_REQUIRE_CONTROL_PLANE";

static SHARED: tokio::sync::OnceCell<Arc<Plane>> = tokio::sync::OnceCell::const_new();

impl TestServer {
    /// A new embedded server with its default settings, over HTTP.
    pub async fn embedded() -> Result<Self> {
        Self::embedded_with(ApiServer::new()).await
    }

    /// That embedded server, over HTTP.
    pub async fn embedded_with(server: ApiServer) -> Result<Self> {
        let embedded = Embedded::start(server).await?;
        let dir = TempDir::with_prefix("tenure-harness-").context("no temporary directory")?;
        let kubeconfig = dir.path().join("admin.kubeconfig");
        std::fs::write(&kubeconfig, embedded.kubeconfig()).context("cannot write a kubeconfig")?;
        // Not from that file: its URL carries a password, which only kubectl needs.
        let url = format!("http://{}", embedded.addr);
        let mut config = Config::new(url.parse().context("not a URL")?);
        config.auth_info.token = Some(embedded.server.token().to_owned().into());
        Self::assemble(Kind::Embedded(embedded), dir, kubeconfig, config)
    }

    /// A new real control plane.
    ///
    /// # Errors
    ///
    /// When `TENURE_CONTROL_PLANE` is not set, or it does not become ready within two minutes.
    pub async fn real() -> Result<Self> {
        Self::real_with(&PlaneOptions::default()).await
    }

    /// As [`TestServer::real`], with settings.
    pub async fn real_with(options: &PlaneOptions) -> Result<Self> {
        let program = program().with_context(|| format!("{PROGRAM} is not set"))?;
        let plane = Plane::start(&program, options).await?;
        Self::of_plane(Arc::new(plane)).await
    }

    /// The real control plane that all tests of this process share. It starts with the first call
    /// and ends with the process. Not for tests that stop or freeze it.
    pub async fn shared_real() -> Result<Self> {
        let program = program().with_context(|| format!("{PROGRAM} is not set"))?;
        let start = async || {
            Plane::start(&program, &PlaneOptions::default())
                .await
                .map(Arc::new)
        };
        let plane = SHARED.get_or_try_init(start).await?;
        Self::of_plane(plane.clone()).await
    }

    /// [`TestServer::real`] where `TENURE_CONTROL_PLANE` is set. Elsewhere `None`, with a line on
    /// standard output that says so.
    ///
    /// # Panics
    ///
    /// Where it is not set although `TENURE_REQUIRE_CONTROL_PLANE=1`.
    pub async fn real_if_any() -> Result<Option<Self>> {
        if is_left_out() {
            Ok(None)
        } else {
            Self::real().await.map(Some)
        }
    }

    /// [`TestServer::shared_real`] under the conditions of [`TestServer::real_if_any`].
    ///
    /// # Panics
    ///
    /// As [`TestServer::real_if_any`].
    pub async fn shared_real_if_any() -> Result<Option<Self>> {
        if is_left_out() {
            Ok(None)
        } else {
            Self::shared_real().await.map(Some)
        }
    }

    /// The cluster of the kubeconfig that `TENURE_KUBECONFIG` names; `None` where it is not set.
    pub async fn from_env_kubeconfig() -> Result<Option<Self>> {
        let Some(path) = std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let dir = TempDir::with_prefix("tenure-harness-").context("no temporary directory")?;
        let path = PathBuf::from(path);
        let config = read_config(&path).await?;
        Self::assemble(Kind::Given, dir, path, config).map(Some)
    }

    /// Whether it is a real API server.
    pub fn is_real(&self) -> bool {
        !matches!(self.inner.kind, Kind::Embedded(_))
    }

    /// The embedded server itself, for its faults, rights and log; `None` for a real one.
    pub fn embedded_server(&self) -> Option<&ApiServer> {
        match &self.inner.kind {
            Kind::Embedded(embedded) => Some(&embedded.server),
            Kind::Real(_) | Kind::Given => None,
        }
    }

    /// How to reach it as an administrator, with kube's own settings.
    pub fn config(&self) -> Config {
        self.inner.config.clone()
    }

    /// A kubeconfig file for an administrator. It lasts as long as the server.
    pub fn kubeconfig(&self) -> &Path {
        &self.inner.kubeconfig
    }

    /// A client for [`TestServer::config`]. The same one each time.
    pub fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// A proxy of its own before the server, and how to reach the server through it.
    pub async fn proxied(&self) -> Result<(Proxy, Config)> {
        let url = &self.inner.config.cluster_url;
        let host = url.host().context("a server without a host")?;
        let port = url
            .port_u16()
            .unwrap_or(if url.scheme_str() == Some("http") {
                80
            } else {
                443
            });
        let host = host.trim_matches(['[', ']']);
        let addr = tokio::net::lookup_host((host, port))
            .await
            .context("cannot look the server up")?
            .next()
            .context("the server has no address")?;
        let proxy = Proxy::start(addr).await?;
        let mut config = proxy.config(&self.inner.config)?;
        // Its certificate names the server.
        config
            .tls_server_name
            .get_or_insert_with(|| host.to_owned());
        Ok((proxy, config))
    }

    /// Sends a request with a JSON body, null for none, and gives any answer: see
    /// [`send`](crate::send).
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        http_client::send(&self.client(), method, path, "", body).await
    }

    /// Opens a watch: see [`Watch::open`].
    pub async fn watch(&self, path: &str) -> Result<Watch> {
        Watch::open(&self.client(), path).await
    }

    /// Stops the API server: connections end, and new ones are refused. Its state stays.
    ///
    /// # Errors
    ///
    /// When it does not run, or others look after it.
    pub async fn stop(&self) -> Result<()> {
        match &self.inner.kind {
            Kind::Embedded(embedded) => embedded.stop().await,
            Kind::Real(plane) => plane.command("stop-apiserver").await,
            Kind::Given => bail!(GIVEN),
        }
    }

    /// Starts a stopped API server, on the same port, and waits until it is ready.
    ///
    /// After that the collector of a real one may take up to a minute to work again; this restarts
    /// it, so that it does not.
    ///
    /// # Errors
    ///
    /// As [`TestServer::stop`].
    pub async fn start(&self) -> Result<()> {
        match &self.inner.kind {
            Kind::Embedded(embedded) => embedded.start_again().await,
            Kind::Real(plane) => {
                plane.command("start-apiserver").await?;
                plane.command("stop-controller-manager").await?;
                plane.command("start-controller-manager").await
            }
            Kind::Given => bail!(GIVEN),
        }
    }

    /// Lets the API server stand still: connections stay, and are taken, and nothing is answered
    /// before [`TestServer::thaw`]. Then what was sent meanwhile is applied.
    ///
    /// # Errors
    ///
    /// As [`TestServer::stop`].
    pub async fn freeze(&self) -> Result<()> {
        match &self.inner.kind {
            Kind::Embedded(embedded) => embedded.hold(true).await,
            Kind::Real(plane) => plane.command("freeze-apiserver").await,
            Kind::Given => bail!(GIVEN),
        }
    }

    /// Lets a frozen API server go on.
    ///
    /// # Errors
    ///
    /// As [`TestServer::stop`].
    pub async fn thaw(&self) -> Result<()> {
        match &self.inner.kind {
            Kind::Embedded(embedded) => embedded.hold(false).await,
            Kind::Real(plane) => plane.command("thaw-apiserver").await,
            Kind::Given => bail!(GIVEN),
        }
    }

    async fn of_plane(plane: Arc<Plane>) -> Result<Self> {
        let dir = TempDir::with_prefix("tenure-harness-").context("no temporary directory")?;
        let path = plane.kubeconfig.clone();
        let config = read_config(&path).await?;
        Self::assemble(Kind::Real(plane), dir, path, config)
    }

    fn assemble(kind: Kind, dir: TempDir, kubeconfig: PathBuf, config: Config) -> Result<Self> {
        let client = Client::try_from(config.clone()).context("no client")?;
        let tag = dir
            .path()
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        let tag = tag.rsplit('-').next().unwrap_or_default().to_lowercase();
        let inner = Inner {
            kind,
            dir,
            kubeconfig,
            config,
            client,
            tag,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestServer")
            .field("url", &self.inner.config.cluster_url)
            .field("is_real", &self.is_real())
            .finish_non_exhaustive()
    }
}

const GIVEN: &str = "this cluster was given by TENURE_KUBECONFIG: it is not this test's to stop";

pub(crate) fn program() -> Option<PathBuf> {
    std::env::var_os(PROGRAM)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn is_left_out() -> bool {
    if program().is_some() {
        return false;
    }
    let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
    assert!(
        !required,
        "{PROGRAM} is not set, and {REQUIRE}=1 wants a real control plane"
    );
    println!("left out: no real control plane ({PROGRAM} is not set)");
    true
}

async fn read_config(path: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path)
        .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("cannot use the kubeconfig {}", path.display()))
}

//! Test servers with one face: the embedded API server, and a real control plane.
//!
//! ```
//! use tenure_harness::{PodOptions, TestServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let server = TestServer::embedded().await?;
//! let namespace = server.namespace("demo").await?;
//! server.create_pod(&namespace, "a", &PodOptions::default()).await?;
//! server.report_running(&namespace, "a", "main", "containerd://1").await?;
//! let pod = server.get_pod(&namespace, "a").await?;
//! assert_eq!(pod["status"]["phase"], "Running");
//! # Ok(())
//! # }
//! ```
//!
//! # Which server
//!
//! | call | server |
//! |---|---|
//! | [`TestServer::embedded`] | `tenure-apiserver`, over HTTP on loopback; a new one each time |
//! | [`TestServer::real`] | etcd and kube-apiserver, started from the program that the environment variable `TENURE_CONTROL_PLANE` names; a new one each time, gone with its last handle |
//! | [`TestServer::shared_real`] | the same, one for all tests of a test program; it ends with the process |
//! | [`TestServer::from_env_kubeconfig`] | the cluster of the kubeconfig that `TENURE_KUBECONFIG` names; started and stopped by others |
//!
//! A test that wants a real server, but may be run where there is none, asks
//! [`TestServer::shared_real_if_any`] or [`TestServer::real_if_any`], and returns when it gets
//! none:
//!
//! ```no_run
//! use tenure_harness::TestServer;
//!
//! # async fn test() -> anyhow::Result<()> {
//! let Some(server) = TestServer::shared_real_if_any().await? else { return Ok(()) };
//! # Ok(())
//! # }
//! ```
//! They say on standard output that the test was left out; with `TENURE_REQUIRE_CONTROL_PLANE=1`
//! they fail instead.
//!
//! A shared server is not for tests that stop or freeze it. Each test takes a
//! [`TestServer::namespace`] of its own.
//!
//! # The network
//!
//! [`tcp`] has servers that misbehave, and a proxy whose connections can be held, cut and delayed.
//! [`TestServer::proxied`] puts one before a server.
//!
//! # Where the embedded server differs
//!
//! It knows no rights but those that a test takes away ([`TestServer::embedded_server`] gives the
//! handle for that and for faults), so Roles are stored and mean nothing. Tokens of service
//! accounts are not issued: [`TestServer::service_account_config`] acts as the account by
//! impersonation, bound to no Pod.

mod cluster;
mod embedded;
mod http_client;
mod kubectl;
mod log;
mod plane;
mod pods;
mod server;
pub mod tcp;
mod token;

pub use http_client::{Answer, Watch, send, send_with};
pub use log::WriteEntry;
pub use plane::PlaneOptions;
pub use pods::PodOptions;
pub use server::TestServer;

//! A small in-memory Kubernetes API server: for tests, demos and simulation.
//!
//! It answers as a kube-apiserver 1.37 does, object by object and `Status` by `Status`, for the
//! kinds that leader election touches, in process or over HTTP on loopback. It starts in no time,
//! keeps nothing, and can be made to fail on purpose.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use k8s_openapi::api::coordination::v1::Lease;
//! use kube::api::{Api, PostParams};
//! use tenure_apiserver::{ApiServer, Fault, FaultAction};
//!
//! let server = ApiServer::new();
//! let client = kube::Client::new(server.service(), "default");
//! let leases: Api<Lease> = Api::default_namespaced(client);
//!
//! // The create is applied, and nobody hears of it.
//! server.inject(Fault::new(FaultAction::LoseAnswer).verb("create").times(1));
//! let mut lease = Lease::default();
//! lease.metadata.name = Some("nightly".to_owned());
//! assert!(leases.create(&PostParams::default(), &lease).await.is_err());
//! assert!(leases.get_opt("nightly").await?.is_some());
//!
//! // For kubectl and other processes: plain HTTP, and a kubeconfig for it.
//! let http = server.serve_http("127.0.0.1:0".parse()?).await?;
//! assert!(http.kubeconfig().contains("current-context: tenure"));
//! http.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is served
//!
//! | | |
//! |---|---|
//! | kinds | namespaces, pods, configmaps, events (in both groups), serviceaccounts, secrets, nodes, leases, roles and bindings, customresourcedefinitions, and any custom resource through its definition |
//! | verbs | create, get, list, replace, patch (JSON, merge, strategic), delete, delete of a collection, watch; `status` where the kind has it; dry runs |
//! | reads | resourceVersion with `Exact`, pages, label and field selectors, tables, metadata only |
//! | watches | from a revision, from the present state, `sendInitialEvents`, bookmarks, 410, `timeoutSeconds`; events of one watch come in the order of the writes |
//! | deletion | preconditions, grace for scheduled pods, finalizers, the three propagations |
//! | controllers | garbage collector, namespaces, establishing of definitions: [`Gc`] says when |
//! | for kubectl | discovery, OpenAPI v3, protobuf bodies, `auth can-i` and `whoami` |
//!
//! One revision counts all writes, as in etcd. Shapes of built-in kinds come from the Go types
//! (`schema/`): unknown fields are dropped, warned of or refused, and nulls, empty values, times
//! and ranges treated, as the real server's decoder does.
//!
//! # What is not
//!
//! - `managedFields` is never written, and server-side apply is refused with 415.
//! - Nothing schedules or runs pods, and few of the rules of their spec are checked. There are no
//!   service accounts and no `kube-root-ca.crt` in new namespaces, and events do not expire.
//! - Rights are not derived from roles: every token may do everything, but for what
//!   [`ApiServer::deny`] takes away.
//! - Admission, webhooks, conversion of custom resources, CEL rules, YAML bodies and protobuf
//!   answers. Errors in the syntax of JSON are told in other words, several unknown fields in
//!   another order, and a refused change of a pod's spec without the difference.
//! - A read of a revision that is still to come is refused at once; the real server waits three
//!   seconds before.
//! - The collector does not break circles of owners that block each other.
//!
//! # Who may ask
//!
//! Every request needs a bearer token, or gets 401. [`ApiServer::service`] acts as [`ADMIN`] where
//! a request brings none, because a `kube::Client` made of a service adds none. Over HTTP only
//! loopback addresses are served.
//!
//! # Determinism
//!
//! All state is behind one lock, and a request is applied in a single poll. Uids and generated
//! names come from the builder's seed, wall times from its [`Clock`], waiting goes by tokio's
//! clock, paused or not; nothing depends on the order of a hash table. With one thread, equal
//! seeds and equal requests give equal bytes.

mod body;
mod clock;
mod crd;
mod decode;
mod defaults;
mod delete;
mod discovery;
mod events;
mod fault;
mod gc;
mod http_server;
mod meta;
mod namespaces;
mod openapi;
mod patch;
mod prepare;
mod print;
mod proto;
mod random;
mod rbac;
mod read;
mod record;
mod request;
mod resources;
mod restore;
mod reviews;
mod schema;
mod selector;
mod server;
mod service;
mod state;
mod status;
mod store;
mod strategic;
mod structural;
mod table;
mod time;
mod validate;
mod watch;
mod write;

pub use body::{ConnectionLost, ResponseBody};
pub use clock::{Clock, SystemClock, TokioClock};
pub use fault::{Answer, Fault, FaultAction, FaultId};
pub use gc::Gc;
pub use http_server::{HttpServer, ServeError};
pub use record::{RequestKey, Write};
pub use restore::Snapshot;
pub use server::{ADMIN, ApiServer, Builder};
pub use service::{ApiService, Connection};

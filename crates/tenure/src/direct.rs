//! A connection whose small requests leave at once.
//!
//! kube offers no `TCP_NODELAY`, and without it the first replace of a connection waits for an
//! acknowledgement that the other side delays (Nagle's algorithm against delayed ACK): over 40 ms,
//! several times what the whole call takes. So where kube's parts are public the stack is put
//! together here, from the same parts and in the same order; where they are not, it is kube's own.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Config,
    client::{Body, ClientBuilder, ConfigExt as _},
};
use tower::{BoxError, ServiceBuilder, util::BoxCloneSyncService};

use crate::{lock::gate, wire::Wire};

/// Connections that are kept while nobody uses them: as many as the writes of a set may have under way. With
/// fewer, each answer of a slow server would close one, and each call open one anew, which makes it slower still.
const IDLE: usize = gate::MOST;
/// What is read of a connection at once. hyper would keep a buffer of 400 KiB for a watch after one burst.
const LONGEST_READ: usize = 64 << 10;

/// The stack below a kube client.
pub(crate) type Direct = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// A wire by `config`, which sends each request once and without delay.
///
/// # Errors
/// Whatever kube finds wrong with the configuration.
pub(crate) fn wire(config: Config) -> Result<Wire, kube::Error> {
    // Whatever kube refuses it refuses here, in its words; it also sees to rustls' provider.
    let stock = ClientBuilder::try_from(config.clone())?;
    // Proxies are connected to in kube's own ways. Client certificates that a command hands out end
    // at a time that only kube's own builder knows.
    if config.proxy_url.is_some() || config.auth_info.exec.is_some() {
        return Ok(Wire::over(stock.build()));
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(http)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE)
        .http1_max_buf_size(LONGEST_READ)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    let client = ClientBuilder::new(service.clone(), config.default_namespace).build();
    Ok(Wire::direct(client, Direct::new(service)))
}

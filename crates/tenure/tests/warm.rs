//! A standby asks nothing about the lock, and still keeps its connection open. Over the embedded
//! server, on virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;

use embedded::{S, server};
use tenure::{Connection, ContextInfo, LeaderElection, clock};
use tenure_apiserver::ApiServer;

const MINUTES: u32 = 30;

/// How often the server was asked for `resource`, by which verbs but watches.
fn asked(server: &ApiServer, resource: &str) -> u64 {
    let requests = server.requests();
    let of_it = requests
        .iter()
        .filter(|(key, _)| key.resource == resource && key.verb != "watch");
    of_it.map(|(_, many)| many).sum()
}

fn candidate(over: &Connection, pod: &str, seed: u64) -> LeaderElection {
    let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
    LeaderElection::lease_lock("nightly")
        .clock(clock::tokio_clock())
        .seed(seed)
        .connection(over)
        .build(config, ContextInfo::outside("default", pod))
        .unwrap()
}

fn connection(server: &ApiServer) -> Connection {
    Connection::over(kube::Client::new(server.service(), "default"))
}

#[tokio::test(start_paused = true)]
async fn l15_idle_standbys_ask_nothing_about_the_lock_and_keep_a_connection_open_each_minute() {
    for warm in [true, false] {
        let server = server();
        let leader = candidate(&connection(&server), "leader", 1);
        let leadership = leader.acquire().await.unwrap();
        let shared = match connection(&server) {
            shared if warm => shared.keep_warm(),
            shared => shared,
        };
        let standbys: Vec<_> = (2..7)
            .map(|seed| candidate(&shared, &format!("standby-{seed}"), seed))
            .collect();
        let waiting: Vec<_> = standbys
            .iter()
            .map(|standby| {
                let standby = standby.clone();
                tokio::spawn(async move { standby.acquire().await.map(|_| ()) })
            })
            .collect();
        tokio::time::sleep(90 * S).await;
        server.clear_log();
        tokio::time::sleep(MINUTES * 60 * S).await;

        assert!(leadership.is_leading());
        let renewals = u64::from(MINUTES) * 30;
        let lock = asked(&server, "leases.coordination.k8s.io");
        // Each watch is opened anew every few minutes, with a look at what stands there (L15).
        let looks = 6 * 2 * u64::from(MINUTES / 4);
        assert!(
            lock <= renewals + looks,
            "{lock} requests, {renewals} renewals"
        );
        // Five standbys share one connection; the leader's is somebody else's. Their few looks at
        // the lock keep it open, too.
        let pings = asked(&server, "*");
        let most = if warm { u64::from(MINUTES) } else { 0 };
        assert!(pings <= most && pings * 3 >= most * 2, "{pings} pings");
        assert_eq!(asked(&server, "/version"), 0);
        for waiting in waiting {
            waiting.abort();
        }
    }
}

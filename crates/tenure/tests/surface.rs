//! What people build on: the builder's refusals, values for their own tests, threads, probes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{convert::Infallible, time::Duration};

use futures::FutureExt;
use kube::Client;
use tenure::{
    ContextInfo, ElectionError, LeaderElection, Leadership, LossReason, Released, Status, clock,
};
use tenure_apiserver::ApiServer;

const S: Duration = Duration::from_secs(1);

fn candidate(server: &ApiServer, builder: tenure::Builder) -> LeaderElection {
    let client = Client::new(server.service(), "default");
    builder
        .clock(clock::tokio_clock())
        .build_over(client, ContextInfo::outside("default", "me"))
        .unwrap()
}

fn holder(server: &ApiServer) -> String {
    let lease = server
        .object("leases.coordination.k8s.io", "default", "a")
        .unwrap();
    lease["spec"]["holderIdentity"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

#[tokio::test]
async fn nonsense_is_refused_when_it_is_built_with_the_rule_in_the_message() {
    let lease = || LeaderElection::lease_lock("a");
    let cases = [
        (lease().renew_deadline(15 * S), "rule L3"),
        (lease().grace(9 * S), "rule L3"),
        (lease().lease_duration(Duration::ZERO), "longer than zero"),
        (lease().lease_duration(Duration::MAX), "at most"),
        (lease().identity(""), "identity"),
        (lease().namespace("No_Namespace"), "DNS-1123"),
        (lease().retry(S, S), "leader for life"),
        (lease().delete_lock_on_release(false), "leader for life"),
        (lease().label("a b", "c"), "label"),
        (lease().annotation("tenure.dev/write", "x"), "tenure's own"),
        (LeaderElection::lease_lock("Not A Name"), "DNS-1123"),
        (LeaderElection::lease_lock(""), "DNS-1123"),
        (
            LeaderElection::config_map_lock("a").lease_duration(S),
            "Lease",
        ),
        (LeaderElection::config_map_lock("a").identity("me"), "Lease"),
        (LeaderElection::leader_lock("a").retry(2 * S, S), "retry"),
    ];
    for (builder, expected) in cases {
        let text = format!("{builder:?}");
        let server = ApiServer::builder().build();
        let client = Client::new(server.service(), "default");
        let built = builder.build_over(client, ContextInfo::outside("default", "me"));
        let error = built.expect_err(&text);
        assert!(matches!(error, ElectionError::Settings(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error} for {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn always_leads_at_once_without_a_cluster_and_again() {
    let election = LeaderElection::always();
    let first = election.acquire().await.unwrap();
    assert!(first.is_leading());
    assert_eq!(first.valid_until(), None);
    let token = first.token().clone();
    first.release().await;
    let second = election.acquire().await.unwrap();
    assert!(second.token().newer_than(&token));
    second.release().await;
    let value = election
        .run_as_leader(|leadership| async move {
            leadership.step_down();
            assert_eq!(leadership.lost().await, LossReason::SteppedDown);
            std::future::pending::<Result<(), Infallible>>().await
        })
        .await
        .unwrap();
    assert_eq!(value, None);
}

#[tokio::test(start_paused = true)]
async fn a_leadership_for_tests_leads_until_it_is_told_or_dropped() {
    let leadership = Leadership::for_tests();
    assert!(leadership.is_leading() && leadership.lost().now_or_never().is_none());
    let handle = leadership.handle();
    drop(leadership);
    assert!(!handle.is_leading() && handle.lost().now_or_never().is_some());

    let short = Leadership::for_tests_until(Some(5 * S));
    tokio::time::advance(4 * S).await;
    assert!(short.is_leading());
    tokio::time::advance(S).await;
    assert!(!short.is_leading());
    assert_eq!(short.lost().await, LossReason::Expired);

    let told = Leadership::for_tests();
    told.step_down();
    assert_eq!(told.lost().await, LossReason::SteppedDown);
}

#[tokio::test(start_paused = true)]
async fn lost_can_be_cloned_and_awaited_by_many_and_late() {
    let leadership = Leadership::for_tests();
    let (a, b) = (leadership.lost(), leadership.lost().clone());
    let token = leadership.cancellation_token();
    leadership.step_down();
    assert_eq!(a.await, b.await);
    assert!(token.is_cancelled());
    assert!(leadership.lost().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_leadership_does_no_io_unless_release_on_drop_says_so() {
    for (release, stays) in [(false, true), (true, false)] {
        let server = ApiServer::builder().seed(1).build();
        let election = candidate(
            &server,
            LeaderElection::lease_lock("a").release_on_drop(release),
        );
        let leadership = election.acquire().await.unwrap();
        let handle = leadership.handle();
        drop(leadership);
        assert!(!handle.is_leading());
        tokio::time::sleep(S).await;
        assert_eq!(holder(&server) == election.identity(), stays);
    }
}

#[tokio::test(start_paused = true)]
async fn release_false_lets_the_lease_run_out() {
    let server = ApiServer::builder().seed(1).build();
    let election = candidate(&server, LeaderElection::lease_lock("a").release(false));
    election.acquire().await.unwrap().release().await;
    assert_eq!(holder(&server), election.identity());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_of_an_election_may_go_while_its_leadership_lives() {
    let server = ApiServer::builder().seed(1).build();
    let election = candidate(&server, LeaderElection::lease_lock("a"));
    let leadership = election.acquire().await.unwrap();
    drop(election);
    tokio::time::sleep(60 * S).await;
    assert!(
        leadership.is_leading(),
        "a leadership keeps its election alive"
    );
    leadership.release().await;
    assert_eq!(holder(&server), "");
}

#[test]
fn a_dedicated_thread_renews_while_the_callers_runtime_is_starved() {
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = ApiServer::builder().build();
    let http = servers
        .block_on(server.serve_http("127.0.0.1:0".parse().unwrap()))
        .unwrap();
    let starved = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    starved.block_on(async {
        let parsed = kube::config::Kubeconfig::from_yaml(&http.kubeconfig()).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(parsed, &options)
            .await
            .unwrap();
        let election = LeaderElection::lease_lock("a")
            .lease_duration(S)
            .dedicated_thread()
            .build(config, ContextInfo::outside("default", "me"))
            .unwrap();
        let leadership = election.acquire().await.unwrap();
        // Two lease durations in which this runtime polls nothing.
        std::thread::sleep(2 * S);
        assert!(leadership.is_leading());
        assert!(election.healthy(S / 2));
        leadership.release().await;
    });
    assert_eq!(holder(&server), "");
}

#[tokio::test(start_paused = true)]
async fn a_starved_runtime_is_unhealthy_and_does_not_believe() {
    let server = ApiServer::builder().seed(1).build();
    let election = candidate(&server, LeaderElection::lease_lock("a"));
    let leadership = election.acquire().await.unwrap();
    assert!(election.healthy(S));
    // Time passes, and no other task is polled before `advance` yields.
    let _ = tokio::time::advance(11 * S).now_or_never();
    assert!(!leadership.is_leading());
    assert!(!election.healthy(5 * S));
    let mut status = election.status();
    let lost = status
        .wait_for(|status| matches!(status, Status::Lost { .. }))
        .await
        .unwrap();
    assert_eq!(
        *lost,
        Status::Lost {
            reason: LossReason::Expired
        }
    );
}

#[tokio::test(start_paused = true)]
async fn release_says_what_became_of_the_lock() {
    let server = ApiServer::builder().seed(1).build();
    let election = candidate(&server, LeaderElection::lease_lock("a"));
    let freed = election.acquire().await.unwrap().release().await;
    assert_eq!(freed, Released::Free);

    let leadership = election.acquire().await.unwrap();
    server.deny("update", "leases");
    let failed = leadership.release().await;
    assert!(
        matches!(&failed, Released::Failed(why) if why.contains("update")),
        "{failed:?}"
    );
    server.allow_all();

    let leadership = election.acquire().await.unwrap();
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
    let delete = http::Request::delete(path).body(Vec::new()).unwrap();
    let people = Client::new(server.service(), "default");
    people.request::<serde_json::Value>(delete).await.unwrap();
    leadership.lost().await;
    assert_eq!(leadership.release().await, Released::Lost);

    let keeper = candidate(&server, LeaderElection::lease_lock("b").release(false));
    let kept = keeper.acquire().await.unwrap().release().await;
    assert_eq!(kept, Released::Kept);
}

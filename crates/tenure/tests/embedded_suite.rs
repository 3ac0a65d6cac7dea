//! The library's suite on the embedded server, over HTTP. `real_suite.rs` is the same on a real
//! control plane.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use suite::{KINDS, beside, faults, turns};
use tenure::Kind;
use tenure_harness::TestServer;

async fn server() -> TestServer {
    TestServer::embedded().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_hand_over_one_to_the_other() {
    for kind in KINDS {
        turns::hand_overs(&server().await, kind, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_are_replaced() {
    for kind in KINDS {
        turns::deaths(&server().await, kind, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_frees_a_lock_for_life() {
    for kind in [Kind::ConfigMap, Kind::LeaderLock] {
        turns::collected(&server().await, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_the_same_name_is_somebody_else() {
    for kind in KINDS {
        turns::name_reuse(&server().await, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_or_stolen_lock_ends_leadership_at_once() {
    for kind in KINDS {
        let server = server().await;
        faults::lock_deleted(&server, kind).await;
        faults::lock_stolen(&server, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_and_broken_leases_are_understood() {
    let server = server().await;
    faults::strange_leases(&server).await;
    faults::odd_duration(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebodys_configuration_is_left_alone() {
    faults::somebodys_config_map(&server().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_being_deleted_is_survived() {
    for kind in KINDS {
        faults::namespace_deleted(&server().await, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_survived() {
    for kind in KINDS {
        faults::outage(&server().await, kind).await;
    }
    faults::frozen_server(&server().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_are_told_of_and_pods_are_labelled() {
    for kind in KINDS {
        beside::told_and_labelled(&server().await, kind).await;
    }
    beside::labels_of_a_namesake(&server().await).await;
}

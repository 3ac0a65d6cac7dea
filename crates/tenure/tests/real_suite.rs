//! The library's suite on a real control plane; left out, and said so, where there is none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use suite::{KINDS, beside, faults, rights, turns};
use tenure::Kind;
use tenure_harness::TestServer;

/// The server that all tests share, each in namespaces of its own.
macro_rules! shared {
    () => {
        match TestServer::shared_real_if_any().await.unwrap() {
            Some(server) => server,
            None => return,
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn real_leaders_hand_over_one_to_the_other() {
    let server = shared!();
    for kind in KINDS {
        turns::hand_overs(&server, kind, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_dead_leaders_are_replaced() {
    let server = shared!();
    for kind in KINDS {
        turns::deaths(&server, kind, 10).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_collector_frees_a_lock_for_life_within_two_seconds() {
    let server = shared!();
    for kind in [Kind::ConfigMap, Kind::LeaderLock] {
        turns::collected(&server, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_pod_of_the_same_name_is_somebody_else() {
    let server = shared!();
    for kind in KINDS {
        turns::name_reuse(&server, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_deleted_or_stolen_lock_ends_leadership_at_once() {
    let server = shared!();
    for kind in KINDS {
        faults::lock_deleted(&server, kind).await;
        faults::lock_stolen(&server, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_foreign_and_broken_leases_are_understood() {
    let server = shared!();
    faults::strange_leases(&server).await;
    faults::odd_duration(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_managed_fields_of_others_outlive_writes_that_say_nothing_of_them() {
    faults::other_managers(&shared!()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_configuration_of_somebody_is_left_alone() {
    faults::somebodys_config_map(&shared!()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_namespace_that_is_being_deleted_is_survived() {
    let server = shared!();
    for kind in KINDS {
        faults::namespace_deleted(&server, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_least_rights_suffice_and_one_fewer_is_named() {
    let server = shared!();
    for kind in KINDS {
        rights::least_rights(&server, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_terms_are_told_of_and_pods_are_labelled_with_the_rights_for_it() {
    let server = shared!();
    for kind in KINDS {
        beside::told_and_labelled(&server, kind).await;
    }
    beside::labels_of_a_namesake(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_outage_is_survived() {
    let Some(server) = TestServer::real_if_any().await.unwrap() else {
        return;
    };
    for kind in KINDS {
        faults::outage(&server, kind).await;
    }
    faults::frozen_server(&server).await;
}

//! The real server says what the goldens say, and has the properties.
//!
//! `TENURE_BLESS=1` writes the goldens anew from what it says.
#![allow(clippy::format_push_string, clippy::unwrap_used)] // the helpers of tests fail as tests do

use tenure_harness::TestServer;

#[path = "conformance/mod.rs"]
mod suite;

use suite::{AREAS, FAILED, PROPERTIES, golden, golden_path, hear};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_server_answers_as_the_goldens_say() {
    let Some(server) = TestServer::shared_real_if_any().await.unwrap() else {
        return;
    };
    let bless = std::env::var("TENURE_BLESS").is_ok_and(|value| value == "1");
    let only = std::env::var("TENURE_AREA").unwrap_or_default();
    let mut told = String::new();
    let areas = AREAS
        .iter()
        .filter(|area| only.is_empty() || area.name == only);
    for (area, heard) in hear(&server, areas).await {
        if bless {
            if heard.starts_with("## ") && !heard.contains(FAILED) {
                std::fs::write(golden_path(area), &heard).unwrap();
            } else {
                told += &heard;
            }
            continue;
        }
        let different = suite::difference(&golden(area), &heard);
        if !different.is_empty() {
            told += &format!("{area}: - as in the golden, + as heard now\n{different}\n");
        }
    }
    assert!(told.is_empty(), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_server_has_the_properties() {
    let Some(server) = TestServer::shared_real_if_any().await.unwrap() else {
        return;
    };
    for property in PROPERTIES {
        println!("{}", property.name);
        (property.check)(&server).await;
    }
}

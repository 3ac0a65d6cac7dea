//! `tenure dev-server`: when its kubeconfig is there it serves, for those who have the token.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use common::{LIMIT, Running, refusal, tenure};
use http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rustix::process::Signal;
use serde_json::Value;

async fn wait_for(file: &Path) {
    let appears = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, appears).await.unwrap();
}

async fn config(file: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(file).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

async fn get(config: Config, path: &str) -> Result<Value, kube::Error> {
    let client = Client::try_from(config).unwrap();
    client
        .request(Request::get(path).body(Vec::new()).unwrap())
        .await
}

#[tokio::test]
async fn it_serves_from_the_moment_that_its_kubeconfig_is_there_and_until_it_is_asked_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    let args = [
        "dev-server",
        "--with-crd",
        "--kubeconfig-out",
        file.to_str().unwrap(),
    ];
    let mut server = Running::start(&mut tenure(&args));
    wait_for(&file).await;
    let namespaces = get(config(&file).await, "/api/v1/namespaces")
        .await
        .unwrap();
    assert!(!namespaces["items"].as_array().unwrap().is_empty());
    let locks = "/apis/coralogix.com/v1/namespaces/default/leaderlocks";
    assert!(get(config(&file).await, locks).await.is_ok());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read the token: {mode:o}");

    let mut without = config(&file).await;
    assert!(without.cluster_url.host().unwrap().starts_with("127.0.0.1"));
    without.auth_info.token = None;
    let url = without.cluster_url.to_string();
    without.cluster_url = format!("http://{}", url.rsplit('@').next().unwrap())
        .parse()
        .unwrap();
    let refused = get(without, "/api/v1/namespaces").await.unwrap_err();
    assert!(
        matches!(&refused, kube::Error::Api(status) if status.code == 401),
        "{refused}"
    );

    let told = server.line().unwrap();
    assert!(told.contains("http://127.0.0.1:"), "{told}");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!file.exists(), "a kubeconfig without a server is left");
}

#[test]
fn a_file_of_somebody_elses_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(&file, "apiVersion: v1\n").unwrap();
    let line = refusal(
        &["dev-server", "--kubeconfig-out", file.to_str().unwrap()],
        2,
    );
    assert!(line.contains("would overwrite"), "{line}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "apiVersion: v1\n");
}

#[test]
fn a_port_that_is_taken_is_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = refusal(&["dev-server", "--port", &port], 1);
    assert!(line.contains("another --port"), "{line}");
}

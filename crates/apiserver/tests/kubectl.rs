//! What people type: kubectl against the server over HTTP.
//!
//! Runs where `TENURE_KUBECTL` names a kubectl or one is on the PATH; elsewhere it says that it
//! was left out.
#![allow(clippy::unwrap_used)] // helpers outside of #[test] functions use it, too

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tenure_apiserver::{ApiServer, HttpServer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

struct Kubectl {
    program: PathBuf,
    dir: TempDir,
    server: ApiServer,
    _http: HttpServer,
}

/// Where kubectl is, if anywhere.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TENURE_KUBECTL") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("kubectl"))
        .find(|file| file.is_file())
}

async fn kubectl() -> Option<Kubectl> {
    let Some(program) = program() else {
        eprintln!("LEFT OUT: no kubectl on the PATH, and TENURE_KUBECTL is not set");
        return None;
    };
    let server = ApiServer::new();
    let http = server
        .serve_http("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("config"), http.kubeconfig()).unwrap();
    Some(Kubectl {
        program,
        dir,
        server,
        _http: http,
    })
}

impl Kubectl {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env("KUBECONFIG", self.path().join("config"))
            .env("HOME", self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, line: &str, input: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .expect("kubectl hangs")
            .unwrap()
    }

    /// Runs a line that must succeed, and gives what it prints.
    async fn ok(&self, line: &str) -> String {
        self.ok_with(line, "").await
    }

    async fn ok_with(&self, line: &str, input: &str) -> String {
        let output = self.output(line, input).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {line}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a line that must fail, and gives its complaint.
    async fn fails(&self, line: &str, input: &str) -> String {
        let output = self.output(line, input).await;
        assert!(!output.status.success(), "kubectl {line} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn lease(holder: &str) -> String {
    format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: l, labels: {{a: b}}}}\n\
         spec: {{holderIdentity: {holder}, leaseDurationSeconds: 15}}\n"
    )
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is missing in:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_made_changed_and_removed() {
    let Some(k) = kubectl().await else { return };
    has(&k.ok("api-resources").await, "leases");
    has(&k.ok_with("create -f -", &lease("one")).await, "created");
    has(
        &k.fails("create -f -", &lease("one")).await,
        "AlreadyExists",
    );
    k.ok_with("apply -f -", &lease("two")).await;
    has(&k.ok_with("apply -f -", &lease("two")).await, "unchanged");
    let refused = k.fails("apply --server-side -f -", &lease("two")).await;
    has(
        &refused,
        "server-side apply is not supported by this server",
    );
    has(&k.ok("get lease -A -l a=b").await, "two");
    has(&k.ok("get lease l -o yaml").await, "holderIdentity: two");

    k.ok("annotate lease l note=x").await;
    k.ok("label lease l a=c --overwrite").await;
    k.ok("patch lease l --type=merge -p {\"spec\":{\"holderIdentity\":\"three\"}}")
        .await;
    let yaml = k.ok("get lease l -o yaml").await;
    has(&yaml, "note: x");
    k.ok_with("replace -f -", &yaml.replace("three", "four"))
        .await;
    has(
        &k.fails("replace -f -", &yaml).await,
        "the object has been modified",
    );

    let editor = k.path().join("editor.sh");
    std::fs::write(&editor, "#!/bin/sh\nsed -i s/four/five/ \"$1\"\n").unwrap();
    let mut mode = std::fs::metadata(&editor).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&editor, mode).unwrap();
    let edited = k.command("edit lease l").env("EDITOR", &editor).output();
    assert!(
        tokio::time::timeout(LIMIT, edited)
            .await
            .unwrap()
            .unwrap()
            .status
            .success()
    );
    has(
        &k.ok("get lease l -o jsonpath={.spec.holderIdentity}").await,
        "five",
    );

    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\nnope: 1\n";
    has(&k.fails("create -f -", bad).await, "unknown field \"nope\"");
    k.ok("delete lease l").await;
    has(&k.fails("get lease l", "").await, "not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_commands_are_understood() {
    let Some(k) = kubectl().await else { return };
    k.ok("create namespace n").await;
    k.ok("create configmap m -n n --from-literal=a=b").await;
    has(&k.ok("get cm m -n n -o jsonpath={.data.a}").await, "b");
    k.ok("create serviceaccount robot").await;
    k.ok("create role r --verb=get --resource=pods").await;
    k.ok("create rolebinding rb --role=r --serviceaccount=default:robot")
        .await;
    has(&k.ok("get role,rolebinding,sa").await, "robot");
    k.ok("run p --image=i:1 --env=A=b").await;
    has(
        &k.ok("get pod p -o jsonpath={.spec.containers[0].env[0].value}")
            .await,
        "b",
    );
    has(&k.ok("auth can-i get pods").await, "yes");
    k.ok("delete namespace n").await;
    has(&k.fails("get namespace n", "").await, "not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_locks_and_their_dependents() {
    let Some(k) = kubectl().await else { return };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: node, containers: \
               [{name: c, image: i}]}\n";
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: \
               {name: leaderlocks.coralogix.com}\nspec:\n  group: coralogix.com\n  scope: \
               Namespaced\n  names: {kind: LeaderLock, plural: leaderlocks, singular: leaderlock, \
               shortNames: [ll]}\n  versions: [{name: v1, served: true, storage: true, schema: \
               {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}}]\n";
    k.ok_with("apply -f -", crd).await;
    k.ok("wait --for=condition=Established crd/leaderlocks.coralogix.com --timeout=10s")
        .await;
    for (cascade, left) in [("orphan", true), ("background", false)] {
        k.ok_with("create -f -", pod).await;
        let uid = k.ok("get pod p -o jsonpath={.metadata.uid}").await;
        let lock = format!(
            "apiVersion: coralogix.com/v1\nkind: LeaderLock\nmetadata: {{name: {cascade}, \
             ownerReferences: [{{apiVersion: v1, kind: Pod, name: p, uid: {uid}}}]}}\n"
        );
        k.ok_with("create -f -", &lock).await;
        k.ok(
            "patch pod p --subresource=status --type=merge -p {\"status\":{\"phase\":\"Running\"}}",
        )
        .await;
        k.ok("wait --for=jsonpath={.status.phase}=Running pod/p --timeout=10s")
            .await;
        k.ok("delete pod p --wait=false").await;
        has(&k.ok("get pod p").await, "Terminating");
        k.ok(&format!(
            "delete pod p --force --grace-period=0 --cascade={cascade}"
        ))
        .await;
        k.ok("wait --for=delete pod/p --timeout=10s").await;
        let output = k.output(&format!("get ll {cascade}"), "").await;
        assert_eq!(output.status.success(), left, "after --cascade={cascade}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_what_happens() {
    let Some(k) = kubectl().await else { return };
    k.ok_with("create -f -", &lease("before")).await;
    let mut child = k.command("get lease -w").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(LIMIT, lines.next_line())
            .await
            .expect("nothing printed");
        line.unwrap().expect("the watch ended")
    };
    has(&next().await, "HOLDER");
    has(&next().await, "before");
    k.ok("patch lease l --type=merge -p {\"spec\":{\"holderIdentity\":\"after\"}}")
        .await;
    has(&next().await, "after");
    child.kill().await.unwrap();
    let agents = k.server.writes();
    assert!(
        agents
            .iter()
            .all(|write| write.user_agent.starts_with("kubectl")),
        "{agents:?}"
    );
}

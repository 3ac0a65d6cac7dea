//! kubectl's commands, as people type them.

use serde_json::json;

use crate::suite::Talk;

const MAP: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: m
data:
  a: b
";
const LEASE: &str = "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: l
spec:
  holderIdentity: a
  leaseDurationSeconds: 15
";
const POD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: p
spec:
  containers:
  - name: c
    image: i:1
";

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    talk.case("create and get");
    for object in [MAP, LEASE, POD] {
        talk.kubectl(&["create", "-f", "-"], object).await;
    }
    talk.kubectl(&["create", "-f", "-"], MAP).await;
    talk.kubectl(&["create", "configmap", "typed", "--from-literal=x=y"], "")
        .await;
    talk.kubectl(&["create", "-f", "-"], &MAP.replace("data:", "dato:"))
        .await;
    talk.kubectl(
        &[
            "get",
            "configmaps,leases,pods",
            "-l",
            "!nothing",
            "--no-headers",
            "--field-selector",
            "metadata.name!=kube-root-ca.crt",
        ],
        "",
    )
    .await;
    talk.kubectl(&["get", "lease", "l"], "").await;
    talk.kubectl(&["get", "lease", "l", "-o", "wide"], "").await;
    talk.kubectl(&["get", "lease", "l", "-o", "json"], "").await;
    talk.kubectl(&["get", "lease", "l", "-o", "name"], "").await;
    talk.kubectl(
        &["get", "lease", "l", "-o", "jsonpath={.spec.holderIdentity}"],
        "",
    )
    .await;
    talk.kubectl(&["get", "pod", "p"], "").await;
    talk.kubectl(&["get", "lease", "none"], "").await;
    talk.kubectl(&["get", "lease", "none", "--ignore-not-found"], "")
        .await;
    talk.kubectl(&["get", "leaderlocks"], "").await;
    talk.kubectl(&["get", "ll"], "").await;
    talk.kubectl(&["get", "nothings"], "").await;

    talk.case("apply on the client's side");
    talk.kubectl(
        &["apply", "-f", "-"],
        &MAP.replace("name: m", "name: applied"),
    )
    .await;
    talk.kubectl(
        &["apply", "-f", "-"],
        &MAP.replace("name: m", "name: applied"),
    )
    .await;
    let changed = MAP
        .replace("name: m", "name: applied")
        .replace("a: b", "c: d");
    talk.kubectl(&["apply", "-f", "-"], &changed).await;
    talk.kubectl(&["get", "cm", "applied", "-o", "json"], "")
        .await;
    talk.kubectl(
        &["apply", "-f", "-"],
        &LEASE.replace("name: l", "name: applied"),
    )
    .await;
    talk.kubectl(
        &["apply", "-f", "-"],
        &LEASE
            .replace("name: l", "name: applied")
            .replace("Identity: a", "Identity: b"),
    )
    .await;
    talk.kubectl(&["diff", "-f", "-"], &changed).await;
    let lock = "apiVersion: coralogix.com/v1\nkind: LeaderLock\nmetadata:\n  name: k\nspec: {}\n";
    talk.kubectl(&["apply", "-f", "-"], lock).await;
    talk.kubectl(&["apply", "-f", "-"], lock).await;
    talk.kubectl(
        &["apply", "-f", "-"],
        &lock.replace("name: k", "name: k\n  labels: {x: y}"),
    )
    .await;

    talk.case("annotate and label");
    talk.kubectl(&["annotate", "lease", "l", "a=b"], "").await;
    talk.kubectl(&["annotate", "lease", "l", "a=c"], "").await;
    talk.kubectl(&["annotate", "lease", "l", "a=c", "--overwrite"], "")
        .await;
    talk.kubectl(&["annotate", "lease", "l", "a-"], "").await;
    talk.kubectl(&["label", "lease", "l", "x=y"], "").await;
    talk.kubectl(&["label", "lease", "l", "x=y z"], "").await;
    talk.kubectl(&["label", "lease", "l", "x-", "--resource-version=1"], "")
        .await;
    talk.kubectl(&["get", "lease", "-l", "x=y", "-o", "name"], "")
        .await;

    talk.case("replace");
    talk.kubectl(&["replace", "-f", "-"], &MAP.replace("a: b", "a: replaced"))
        .await;
    talk.kubectl(&["replace", "-f", "-"], LEASE).await;
    talk.kubectl(
        &["replace", "-f", "-"],
        &MAP.replace("name: m", "name: none"),
    )
    .await;
    let got = talk.kubectl(&["get", "lease", "l", "-o", "json"], "").await;
    talk.kubectl(&["replace", "-f", "-"], &got.replace("\"a\"", "\"z\""))
        .await;
    talk.kubectl(&["replace", "-f", "-"], &got.replace("\"a\"", "\"y\""))
        .await;
    talk.kubectl(&["replace", "--force", "-f", "-"], LEASE)
        .await;

    talk.case("patch");
    let holder = json!({"spec": {"holderIdentity": "patched"}}).to_string();
    talk.kubectl(&["patch", "lease", "l", "--type=merge", "-p", &holder], "")
        .await;
    talk.kubectl(&["patch", "lease", "l", "--type=merge", "-p", &holder], "")
        .await;
    talk.kubectl(
        &[
            "patch",
            "lease",
            "l",
            "-p",
            r#"{"spec":{"leaseDurationSeconds":0}}"#,
        ],
        "",
    )
    .await;
    talk.kubectl(
        &[
            "patch",
            "lease",
            "l",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/spec/holderIdentity"}]"#,
        ],
        "",
    )
    .await;
    let phase = r#"{"status":{"phase":"Running"}}"#;
    talk.kubectl(
        &[
            "patch",
            "pod",
            "p",
            "--subresource=status",
            "--type=merge",
            "-p",
            phase,
        ],
        "",
    )
    .await;
    talk.kubectl(
        &[
            "get",
            "pod",
            "p",
            "--subresource=status",
            "-o",
            "jsonpath={.status.phase}",
        ],
        "",
    )
    .await;
    talk.kubectl(
        &[
            "patch",
            "pod",
            "p",
            "-p",
            r#"{"spec":{"restartPolicy":"Never"}}"#,
        ],
        "",
    )
    .await;

    talk.case("edit");
    talk.kubectl_edit(
        "lease/l",
        "leaseDurationSeconds:.15",
        "leaseDurationSeconds:.16",
    )
    .await;
    talk.kubectl_edit("lease/l", "nothing-like-that", "x").await;

    talk.case("wait");
    talk.kubectl(
        &[
            "wait",
            "lease/l",
            "--for=jsonpath={.spec.leaseDurationSeconds}=15",
            "--timeout=5s",
        ],
        "",
    )
    .await;
    talk.kubectl(
        &["wait", "pod/p", "--for=condition=Ready", "--timeout=1s"],
        "",
    )
    .await;
    talk.kubectl(
        &[
            "wait",
            "crd/leaderlocks.coralogix.com",
            "--for=condition=Established",
            "--timeout=5s",
        ],
        "",
    )
    .await;
    talk.kubectl(&["wait", "lease/none", "--for=delete", "--timeout=5s"], "")
        .await;

    talk.case("delete");
    talk.kubectl(&["delete", "lease", "l"], "").await;
    talk.kubectl(&["delete", "lease", "l"], "").await;
    talk.kubectl(&["delete", "lease", "l", "--ignore-not-found"], "")
        .await;
    talk.kubectl(&["delete", "cm", "m", "--cascade=orphan"], "")
        .await;
    talk.kubectl(&["delete", "cm", "typed", "--cascade=foreground"], "")
        .await;
    talk.kubectl(&["delete", "pod", "p", "--force", "--grace-period=0"], "")
        .await;
    talk.kubectl(
        &["delete", "-f", "-"],
        &MAP.replace("name: m", "name: applied"),
    )
    .await;
    talk.kubectl(&["delete", "leases", "--all"], "").await;
    talk.kubectl(&["delete", "ll", "k", "--wait=false"], "")
        .await;

    talk.case("about rights and kinds");
    talk.kubectl(&["auth", "can-i", "create", "leases"], "")
        .await;
    talk.kubectl(
        &[
            "api-resources",
            "--api-group=coordination.k8s.io",
            "--no-headers",
        ],
        "",
    )
    .await;
    talk.kubectl(&["api-resources", "--api-group=coralogix.com"], "")
        .await;
    talk.kubectl(&["explain", "lease.spec.holderIdentity"], "")
        .await;
    talk.kubectl(&["get", "--raw", "/readyz"], "").await;
}

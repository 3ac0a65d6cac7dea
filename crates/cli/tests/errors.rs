//! Bad input: one line that says what to do, 2 for usage and 1 for failure.
#![allow(clippy::unwrap_used)]

mod common;

use common::{nowhere, output, refusal, tenure, text};

#[test]
fn what_makes_no_sense_is_refused_with_2() {
    for (args, told) in [
        (&["demo", "--candidates", "0"][..], "2 to 20"),
        (&["demo", "--candidates", "1"], "2 to 20"),
        (&["demo", "--candidates", "100"], "2 to 20"),
        (&["demo", "--candidates", "x"], "invalid value 'x'"),
        (&["demo", "--svg", "/no/such/dir/a.svg"], "no directory"),
        (&["demo", "--context", "a"], "--kubeconfig"),
        (&["campaign"], "<NAME>"),
        (&["campaign", "Not_A_Name"], "name of a lock"),
        (
            &["campaign", "a", "--lease-duration", "soon"],
            "such as 15s",
        ),
        (
            &[
                "campaign",
                "a",
                "--lease-duration",
                "5s",
                "--renew-deadline",
                "5s",
            ],
            "rule L3",
        ),
        (&["campaign", "a", "--lock", "leese"], "lease"),
        (&["rbac", "--namespace", "a"], "--service-account"),
        (&["dev-server", "--port", "70000"], "70000"),
        (
            &["dev-server", "--kubeconfig-out", "/no/such/dir/k"],
            "no directory",
        ),
        (&["crd", "--kubeconfig", "a"], "--install"),
        (&["demo-candidate"], "tenure demo"),
        (&["nonsense"], "nonsense"),
    ] {
        let line = refusal(args, 2);
        assert!(line.contains(told), "{args:?}: {line}");
    }
}

#[test]
fn what_does_not_work_fails_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    std::fs::write(&broken, "clusters: [").unwrap();
    let nowhere = nowhere(directory.path());
    let (broken, nowhere) = (broken.to_str().unwrap(), nowhere.as_str());
    for (args, told) in [
        (&["campaign", "a"][..], "no cluster is configured"),
        (
            &["campaign", "a", "--kubeconfig", "/no/such/file"],
            "cannot be used",
        ),
        (&["campaign", "a", "--kubeconfig", broken], "cannot be used"),
        (
            &["campaign", "a", "--kubeconfig", nowhere, "--context", "b"],
            "cannot be used",
        ),
        (&["demo", "--kubeconfig", nowhere], "does not answer"),
        (
            &[
                "campaign",
                "a",
                "--lock",
                "config-map",
                "--kubeconfig",
                nowhere,
            ],
            "--pod NAME",
        ),
    ] {
        let line = refusal(args, 1);
        assert!(line.contains(told), "{args:?}: {line}");
    }
}

#[test]
fn causes_are_told_where_they_are_asked_for() {
    let output = output(&["campaign", "a", "--kubeconfig", "/no/such/file", "-v"]);
    let told = text(&output.stderr);
    assert!(told.contains("\n  because: "), "{told}");
    assert!(told.contains("No such file"), "{told}");
}

#[test]
fn help_has_examples_and_hides_what_is_not_for_people() {
    let help = text(&output(&["--help"]).stdout);
    assert!(
        help.contains("Examples:") && help.contains("tenure demo"),
        "{help}"
    );
    assert!(!help.contains("demo-candidate"), "{help}");
    for command in ["demo", "campaign", "rbac", "dev-server"] {
        let help = text(&output(&[command, "--help"]).stdout);
        assert!(help.contains("Examples:"), "{help}");
    }
    assert!(text(&output(&["--version"]).stdout).starts_with("tenure 0."));
}

#[test]
fn whoever_says_nothing_gets_the_help() {
    let told = output(&[]);
    assert_eq!(told.status.code(), Some(2));
    let help = text(&told.stderr);
    assert!(
        help.contains("Usage: tenure") && help.contains("Examples:"),
        "{help}"
    );
}

#[test]
fn manifests_are_yaml_that_kubectl_would_take() {
    let rbac = output(&[
        "rbac",
        "--lock",
        "config-map",
        "nightly",
        "--namespace",
        "shop",
        "--service-account",
        "w",
    ]);
    assert!(rbac.status.success());
    let rbac = text(&rbac.stdout);
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&rbac).unwrap();
    let kinds: Vec<_> = documents
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["Role", "RoleBinding"]);
    assert!(rbac.contains("nightly") && rbac.contains("shop"), "{rbac}");

    let crd = text(&output(&["crd"]).stdout);
    let crd: serde_json::Value = serde_saphyr::from_str(&crd).unwrap();
    assert_eq!(crd["metadata"]["name"], "leaderlocks.coralogix.com");
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = tenure(&["crd"]).stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
}

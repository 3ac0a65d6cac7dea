use serde_json::{Value, json};

use super::*;
use crate::see::kind::Kind;

const S: i64 = 1_000_000;
/// 2026-03-01T09:30:00Z.
const NOW: i64 = 1_772_357_400 * S;
const POD_UID: &str = "6d0f4c9e-2f37-4a55-8d0b-1f8a8f0c9b1e";

fn moment() -> Moment {
    Moment {
        now: NOW,
        within: S / 2,
        ahead: Some(0),
    }
}

/// A Lease as client-go writes it, renewed that many seconds ago.
fn lease(holder: &str, ago: i64) -> Value {
    let time = |micros| super::super::formats::rfc3339(micros);
    json!({
        "metadata": {"name": "l", "namespace": "ns", "uid": "u"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 2,
            "acquireTime": time(NOW - 3600 * S), "renewTime": time(NOW - ago * S),
        },
    })
}

fn config_map(uid: &str) -> Value {
    json!({"metadata": {
        "name": "l", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-03-01T09:00:00Z",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "worker-0", "uid": uid}],
    }})
}

fn pod(name: &str, uid: &str) -> Pod {
    Pod {
        namespace: "ns".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        node: Some("n1".to_owned()),
        created: Some(NOW - 7200 * S),
        phase: "Running".to_owned(),
        ..Pod::default()
    }
}

fn judged(kind: Kind, object: &Value, pods: Option<&[Pod]>) -> Judgement {
    judge(&Lock::read(kind, object, true).unwrap(), pods, moment())
}

fn words(kind: Kind, object: &Value, pods: Option<&[Pod]>) -> String {
    judged(kind, object, pods).told()
}

#[test]
fn healthy_is_a_lease_that_is_renewed_in_time() {
    let judgement = judged(
        Kind::Lease,
        &lease("worker-0_x", 3),
        Some(&[pod("worker-0", "x")]),
    );
    assert_eq!(judgement.told(), "healthy");
    assert_eq!(judgement.pod.as_deref(), Some("worker-0"));
    assert_eq!(judgement.node.as_deref(), Some("n1"));
    assert_eq!(judgement.held_for, Some(3600 * S));
    assert_eq!(judgement.renewed_ago, Some(3 * S));
    assert_eq!(judgement.expires_in, Some(12 * S));
    assert_eq!(judgement.leads(), Some(true));
    // Whether Pods can be seen makes no difference to a Lease in time.
    assert_eq!(words(Kind::Lease, &lease("elsewhere", 3), None), "healthy");
    assert_eq!(
        words(Kind::Lease, &lease("elsewhere", 3), Some(&[])),
        "healthy"
    );
}

#[test]
fn healthy_for_life_is_a_lock_whose_pod_is_there() {
    let pods = [pod("worker-0", POD_UID)];
    assert_eq!(
        words(Kind::ConfigMap, &config_map(POD_UID), Some(&pods)),
        "healthy"
    );
    assert_eq!(
        words(Kind::LeaderLock, &config_map(POD_UID), Some(&pods)),
        "healthy"
    );
}

#[test]
fn held_is_a_lock_for_life_whose_pod_cannot_be_seen() {
    let judgement = judged(Kind::ConfigMap, &config_map(POD_UID), None);
    assert_eq!(judgement.told(), "held");
    assert_eq!(judgement.leads(), Some(true));
    assert_eq!(judgement.waiting, None);
}

#[test]
fn free_is_a_lease_in_which_nobody_stands() {
    for holder in [json!(""), json!(null)] {
        let mut object = lease("x", 3);
        object["spec"]["holderIdentity"] = holder;
        let judgement = judged(Kind::Lease, &object, Some(&[]));
        assert_eq!(judgement.told(), "free");
        assert_eq!(judgement.leads(), Some(false));
    }
    assert_eq!(words(Kind::Lease, &json!({"metadata": {}}), None), "free");
}

#[test]
fn expired_is_beyond_the_doubt_about_the_clock_and_not_within_it() {
    assert_eq!(words(Kind::Lease, &lease("a_x", 15), None), "healthy");
    let judgement = judged(Kind::Lease, &lease("a_x", 16), Some(&[]));
    assert_eq!(judgement.told(), "expired");
    assert_eq!(judgement.leads(), Some(false));
    assert!(judgement.because[0].contains("±0.5s"), "{judgement:?}");
}

#[test]
fn wedged_is_expired_while_the_holders_pod_runs() {
    let mut running = pod("worker-0", "x");
    assert_eq!(
        words(
            Kind::Lease,
            &lease("worker-0_y", 60),
            Some(&[running.clone()])
        ),
        "wedged"
    );
    running.containers = vec![crate::see::pods::Container::default()];
    // Its container does not run.
    assert_eq!(
        words(Kind::Lease, &lease("worker-0_y", 60), Some(&[running])),
        "expired"
    );
    let elsewhere = Pod {
        namespace: "other".to_owned(),
        ..pod("worker-0", "x")
    };
    assert_eq!(
        words(Kind::Lease, &lease("worker-0_y", 60), Some(&[elsewhere])),
        "expired"
    );
}

#[test]
fn orphaned_is_a_lock_whose_holder_is_gone() {
    let identity = format!("worker-0_{POD_UID}_4fb0c2d98a3e4f16b7a5d01c9e6f7788");
    assert_eq!(
        words(
            Kind::Lease,
            &lease(&identity, 3),
            Some(&[pod("worker-0", POD_UID)])
        ),
        "healthy"
    );
    let judgement = judged(
        Kind::Lease,
        &lease(&identity, 3),
        Some(&[pod("worker-0", "new")]),
    );
    assert_eq!(judgement.told(), "orphaned");
    assert!(
        judgement.because[0].contains("another one"),
        "{judgement:?}"
    );
    assert_eq!(
        words(Kind::Lease, &lease(&identity, 60), Some(&[])),
        "orphaned,expired"
    );
    // Without Pods, nothing is said of them.
    assert_eq!(words(Kind::Lease, &lease(&identity, 3), None), "healthy");

    assert_eq!(
        words(Kind::ConfigMap, &config_map(POD_UID), Some(&[])),
        "orphaned"
    );
    let evicted = Pod {
        phase: "Failed".to_owned(),
        reason: "Evicted".to_owned(),
        ..pod("worker-0", POD_UID)
    };
    let judgement = judged(Kind::ConfigMap, &config_map(POD_UID), Some(&[evicted]));
    assert_eq!(judgement.told(), "orphaned");
    assert!(
        judgement.because[0].contains("Failed: Evicted"),
        "{judgement:?}"
    );
}

#[test]
fn orphaned_is_a_lock_for_life_whose_container_was_replaced() {
    let mut object = config_map(POD_UID);
    let record = json!({
        "pod": "worker-0", "podUid": POD_UID, "container": "main",
        "containerId": "containerd://old", "term": "t-1",
    });
    object["metadata"]["annotations"] = json!({"tenure.dev/owner": record.to_string()});
    let mut owner = pod("worker-0", POD_UID);
    let container = |id: &str| crate::see::pods::Container {
        name: "main".to_owned(),
        id: id.to_owned(),
        runs: true,
    };
    owner.containers = vec![container("containerd://old")];
    assert_eq!(
        words(Kind::ConfigMap, &object, Some(std::slice::from_ref(&owner))),
        "healthy"
    );
    owner.containers = vec![container("containerd://new")];
    assert_eq!(words(Kind::ConfigMap, &object, Some(&[owner])), "orphaned");
}

#[test]
fn twin_is_a_bare_name_that_a_later_pod_has_taken_on() {
    let younger = Pod {
        created: Some(NOW - 60 * S),
        ..pod("worker-0", "x")
    };
    assert_eq!(
        words(
            Kind::Lease,
            &lease("worker-0", 3),
            Some(std::slice::from_ref(&younger))
        ),
        "twin"
    );
    // An ending that is unique does not come back.
    assert_eq!(
        words(Kind::Lease, &lease("worker-0_y", 3), Some(&[younger])),
        "healthy"
    );
    assert_eq!(
        words(
            Kind::Lease,
            &lease("worker-0", 3),
            Some(&[pod("worker-0", "x")])
        ),
        "healthy"
    );
}

#[test]
fn twin_is_an_owner_that_is_gone_while_another_pod_has_its_name() {
    let pods = [pod("worker-0", "another")];
    assert_eq!(
        words(Kind::ConfigMap, &config_map(POD_UID), Some(&pods)),
        "twin,orphaned"
    );
}

#[test]
fn twin_is_a_renewal_under_tenures_identity_that_tenure_did_not_write() {
    let mut object = lease("fixed", 3);
    let renew_time = object["spec"]["renewTime"].clone();
    let mark = |renew_time: &Value| {
        json!({
            "process": "p", "write": 4, "holder": "fixed", "durationSeconds": 15,
            "renewTime": renew_time,
        })
        .to_string()
    };
    object["metadata"]["annotations"] = json!({"tenure.dev/write": mark(&renew_time)});
    assert_eq!(words(Kind::Lease, &object, None), "healthy");
    let earlier = json!("2026-03-01T09:29:50.000000Z");
    object["metadata"]["annotations"] = json!({"tenure.dev/write": mark(&earlier)});
    assert_eq!(words(Kind::Lease, &object, None), "twin");
    // Another has taken it since, and has dragged the annotation along: as L13 has it.
    object["spec"]["holderIdentity"] = "other".into();
    assert_eq!(words(Kind::Lease, &object, None), "healthy");
}

#[test]
fn twin_is_two_pods_that_are_labelled_as_the_leader() {
    let leader = |name: &str| Pod {
        candidate_for: Some("l".to_owned()),
        says_it_leads: true,
        ..pod(name, name)
    };
    let both = [leader("a"), leader("b")];
    assert_eq!(words(Kind::Lease, &lease("a_x", 3), Some(&both)), "twin");
    assert_eq!(
        words(Kind::Lease, &lease("a_x", 3), Some(&both[..1])),
        "healthy"
    );
}

#[test]
fn odd_durations_are_none_none_positive_and_more_than_an_hour() {
    for (duration, odd) in [
        (json!(null), true),
        (json!(0), true),
        (json!(-5), true),
        (json!(3600), false),
        (json!(3601), true),
        (json!(i64::MAX), true),
        (json!("15"), true),
        (json!(1e300), true),
        (json!(1.5), true),
    ] {
        let mut object = lease("a", 3);
        object["spec"]["leaseDurationSeconds"] = duration.clone();
        let judgement = judged(Kind::Lease, &object, None);
        assert_eq!(
            judgement.is(Word::OddDuration),
            odd,
            "{duration}: {judgement:?}"
        );
    }
}

#[test]
fn nobody_can_tell_who_leads_by_a_lease_without_duration_or_renewal() {
    for field in ["leaseDurationSeconds", "renewTime"] {
        let mut object = lease("a", 3);
        object["spec"][field] = json!(null);
        assert_eq!(judged(Kind::Lease, &object, None).leads(), None, "{field}");
    }
    let mut object = lease("a", 3);
    object["spec"]["leaseDurationSeconds"] = json!(i32::MAX);
    assert_eq!(judged(Kind::Lease, &object, None).leads(), Some(true));
}

#[test]
fn a_holders_pod_is_called_as_the_server_calls_it() {
    let identity = format!("w; reboot_{POD_UID}_4fb0c2d98a3e4f16b7a5d01c9e6f7788");
    let pods = [pod("worker-0", POD_UID)];
    let judgement = judged(Kind::Lease, &lease(&identity, 3), Some(&pods));
    assert_eq!(judgement.pod.as_deref(), Some("worker-0"));
}

#[test]
fn odd_is_a_free_lease_that_is_waited_out_for_years() {
    let mut object = lease("", 3);
    object["spec"]["leaseDurationSeconds"] = json!(i32::MAX);
    assert_eq!(words(Kind::Lease, &object, None), "odd-duration,free");
    let renew_time = object["spec"]["renewTime"].clone();
    let mark = json!({"holder": "", "renewTime": renew_time, "released": true});
    object["metadata"]["annotations"] = json!({"tenure.dev/write": mark.to_string()});
    assert_eq!(words(Kind::Lease, &object, None), "free");
}

#[test]
fn paused_is_said_besides_and_of_leases_only() {
    let mut object = lease("a", 3);
    let paused = json!({"since": "2026-03-01T09:00:00Z", "by": "me\x07", "reason": "repair"});
    object["metadata"]["annotations"] = json!({"tenure.dev/paused": paused.to_string()});
    let judgement = judged(Kind::Lease, &object, None);
    assert_eq!(judgement.told(), "paused,healthy");
    assert_eq!(
        judgement.because[0],
        "paused by me\\u{7} since 2026-03-01T09:00:00Z: repair"
    );
    object["metadata"]["annotations"] = json!({"tenure.dev/paused": "soon"});
    assert!(judged(Kind::Lease, &object, None).is(Word::Paused));
    let mut life = config_map(POD_UID);
    life["metadata"]["annotations"] = json!({"tenure.dev/paused": "{}"});
    assert_eq!(words(Kind::ConfigMap, &life, None), "held");
}

#[test]
fn strange_is_what_cannot_be_understood_and_a_clock_that_is_ahead() {
    let ahead = judged(Kind::Lease, &lease("a", -300), None);
    assert_eq!(ahead.told(), "strange");
    assert!(ahead.because[0].contains("5m in the future"), "{ahead:?}");
    // A holder whose clock is ahead by less than clocks are known is not strange.
    assert_eq!(words(Kind::Lease, &lease("a", -2), None), "healthy");
    let mut two_owners = config_map(POD_UID);
    let owner = two_owners["metadata"]["ownerReferences"][0].clone();
    two_owners["metadata"]["ownerReferences"] = json!([owner, owner]);
    assert_eq!(words(Kind::ConfigMap, &two_owners, None), "strange");
    let mut data = config_map(POD_UID);
    data["data"] = json!({"config.yaml": "x"});
    assert!(judged(Kind::ConfigMap, &data, None).is(Word::Strange));
}

#[test]
fn the_servers_clock_decides_and_not_this_machines() {
    let lock = Lock::read(Kind::Lease, &lease("a", 3), false).unwrap();
    let late = Moment {
        now: NOW + 60 * S,
        ..moment()
    };
    assert_eq!(judge(&lock, None, late).told(), "expired");
    let untold = Moment {
        ahead: None,
        ..late
    };
    assert!(judge(&lock, None, untold).because[0].contains("told no time"));
}

#[test]
fn candidates_are_those_that_are_labelled_but_not_the_holder() {
    let candidate = |name: &str, lock: &str| Pod {
        candidate_for: Some(lock.to_owned()),
        ..pod(name, name)
    };
    let ended = Pod {
        phase: "Succeeded".to_owned(),
        ..candidate("d", "l")
    };
    let pods = [
        candidate("c", "l"),
        candidate("b", "l"),
        candidate("a", "l"),
        candidate("x", "other"),
        ended,
    ];
    let judgement = judged(Kind::Lease, &lease("a_1", 3), Some(&pods));
    assert_eq!(judgement.waiting.unwrap(), ["b", "c"]);
}

#[test]
fn nothing_in_an_object_makes_it_panic() {
    let values = [
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!(""),
        json!("\u{0}\u{202e}"),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e308),
        json!("9999-12-31T23:59:59.999999999Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!([[1], {"kind": "Pod"}]),
        json!("{\"holder\":\"a\",\"renewTime\":7}"),
    ];
    let places = [
        "/metadata",
        "/metadata/annotations",
        "/metadata/labels",
        "/metadata/ownerReferences",
        "/metadata/name",
        "/metadata/namespace",
        "/metadata/creationTimestamp",
        "/spec",
        "/spec/holderIdentity",
        "/spec/leaseDurationSeconds",
        "/spec/renewTime",
        "/spec/acquireTime",
        "/spec/leaseTransitions",
        "/metadata/annotations/tenure.dev~1write",
        "/metadata/annotations/tenure.dev~1owner",
        "/metadata/annotations/tenure.dev~1paused",
        "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader",
        "/data",
    ];
    let mut whole = lease("a", 3);
    whole["metadata"]["annotations"] = json!({
        "tenure.dev/write": "", "tenure.dev/owner": "", "tenure.dev/paused": "",
        "control-plane.alpha.kubernetes.io/leader": "",
    });
    whole["metadata"]["ownerReferences"] = config_map("x")["metadata"]["ownerReferences"].clone();
    whole["data"] = json!(null);
    whole["metadata"]["labels"] = json!({});
    whole["metadata"]["creationTimestamp"] = json!("");
    for place in places {
        for value in &values {
            let mut object = whole.clone();
            *object.pointer_mut(place).unwrap() = value.clone();
            for kind in Kind::ALL {
                for now in [NOW, i64::MIN, i64::MAX] {
                    let lock = Lock::read(kind, &object, true).unwrap();
                    let moment = Moment {
                        now,
                        within: i64::MAX,
                        ahead: Some(i64::MIN),
                    };
                    let judgement = judge(&lock, Some(&[pod("a", "a")]), moment);
                    assert!(!judgement.words.is_empty());
                    let shown = format!("{}{}", judgement.because.join(""), judgement.told());
                    assert!(!shown.contains(['\0', '\u{202e}']), "{shown:?}");
                }
            }
        }
    }
}

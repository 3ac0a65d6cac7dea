//! What a Lease's spec may hold.

use serde_json::{Value, json};

use super::{lease, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    let all = talk.leases("");
    talk.case("the lease of a leader");
    talk.post(&all, lease("leader", "a")).await;
    let path = talk.leases("/leader");
    talk.get(&path).await;

    let micros = "2001-02-03T04:05:06.000007Z";
    let specs: &[(&str, Value)] = &[
        ("no spec", Value::Null),
        ("an empty spec", json!({})),
        ("an empty holder", json!({"holderIdentity": ""})),
        (
            "nulls",
            json!({"holderIdentity": null, "leaseDurationSeconds": null, "renewTime": null,
            "acquireTime": null, "leaseTransitions": null}),
        ),
        (
            "a release",
            json!({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 3,
            "acquireTime": micros, "renewTime": micros}),
        ),
        ("a duration of zero", json!({"leaseDurationSeconds": 0})),
        ("a negative duration", json!({"leaseDurationSeconds": -1})),
        (
            "the longest duration",
            json!({"leaseDurationSeconds": 2_147_483_647}),
        ),
        (
            "a duration beyond 32 bits",
            json!({"leaseDurationSeconds": 2_147_483_648_u64}),
        ),
        (
            "a duration with a fraction",
            json!({"leaseDurationSeconds": 1.5}),
        ),
        (
            "a duration that is text",
            json!({"leaseDurationSeconds": "15"}),
        ),
        ("negative transitions", json!({"leaseTransitions": -1})),
        (
            "the most transitions",
            json!({"leaseTransitions": 2_147_483_647}),
        ),
        (
            "transitions beyond 32 bits",
            json!({"leaseTransitions": 2_147_483_648_u64}),
        ),
        (
            "both wrong",
            json!({"leaseDurationSeconds": 0, "leaseTransitions": -1}),
        ),
        (
            "whole seconds",
            json!({"renewTime": "2001-02-03T04:05:06Z"}),
        ),
        (
            "milliseconds",
            json!({"renewTime": "2001-02-03T04:05:06.789Z"}),
        ),
        (
            "nanoseconds",
            json!({"renewTime": "2001-02-03T04:05:06.123456789Z"}),
        ),
        (
            "another zone",
            json!({"renewTime": "2001-02-03T04:05:06.000007+02:00"}),
        ),
        ("no zone", json!({"renewTime": "2001-02-03T04:05:06"})),
        ("no time", json!({"renewTime": "soon"})),
        ("an empty time", json!({"renewTime": ""})),
        ("a time that is a number", json!({"renewTime": 5})),
        ("a holder that is a number", json!({"holderIdentity": 5})),
        (
            "candidates' fields",
            json!({"holderIdentity": "a", "strategy": "OldestEmulationVersion",
            "preferredHolder": "b"}),
        ),
        (
            "an unknown strategy",
            json!({"strategy": "example.com/Mine"}),
        ),
        ("a strategy that is no name", json!({"strategy": "No Such"})),
        (
            "a preferred holder without strategy",
            json!({"preferredHolder": "b"}),
        ),
        (
            "an unknown field",
            json!({"holderIdentity": "a", "colour": "red"}),
        ),
        ("a field in the wrong case", json!({"HolderIdentity": "a"})),
        ("a spec that is text", json!("x")),
        ("a spec that is a list", json!([])),
    ];
    for (at, (name, spec)) in specs.iter().enumerate() {
        talk.case(name);
        let mut object = lease(&format!("spec-{at}"), "");
        object["spec"] = spec.clone();
        talk.post(&all, object).await;
    }

    talk.case("validation of a replace");
    let leader = talk.get(&path).await;
    for (field, value) in [
        ("leaseDurationSeconds", json!(0)),
        ("leaseTransitions", json!(-1)),
        ("leaseTransitions", json!(2_147_483_647)),
        ("renewTime", Value::Null),
        ("renewTime", json!("2001-02-03T04:05:06.1Z")),
        ("holderIdentity", Value::Null),
    ] {
        let now = talk.get(&path).await;
        talk.put(&path, &with(&now, |lease| lease["spec"][field] = value))
            .await;
    }
    let now = talk.get(&path).await;
    talk.put(
        &path,
        &with(&leader, |lease| {
            lease["spec"] = Value::Null;
            lease["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
        }),
    )
    .await;
}

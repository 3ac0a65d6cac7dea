//! Locks as programs read them.

use serde_json::{Value, json};

use super::{
    gather::Found,
    judge::Judgement,
    lock::{Hold, Lock},
    status::remarks,
};
use crate::failure::Failure;

/// One object with everything that was found.
pub(crate) fn value(found: &Found) -> Value {
    let items: Vec<Value> = found
        .locks
        .iter()
        .map(|(lock, judgement)| item(lock, judgement))
        .collect();
    json!({
        "serverTime": rfc3339(found.moment.now),
        "serverTimeWithinSeconds": seconds(found.moment.within),
        "serverAheadSeconds": found.moment.ahead.map(seconds),
        "missing": found.missing,
        "items": items,
    })
}

pub(crate) fn json(found: &Found) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&value(found)).map_err(unwritable)?;
    Ok(super::text::harmless_json(&text) + "\n")
}

pub(crate) fn yaml(found: &Found) -> Result<String, Failure> {
    let value = value(found);
    let json = serde_json::to_string_pretty(&value).map_err(unwritable)?;
    // Every JSON is YAML, and YAML of the plain kind leaves invisible characters as they are.
    if let Some(text) = super::text::harmless_yaml(&json) {
        return Ok(text + "\n");
    }
    let mut text = serde_saphyr::to_string(&value).map_err(unwritable)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

pub(crate) fn names(found: &Found) -> String {
    let line = |lock: &Lock| {
        format!(
            "{}/{}\n",
            lock.kind.resource(),
            super::text::harmless(&lock.name)
        )
    };
    found.locks.iter().map(|(lock, _)| line(lock)).collect()
}

/// One lock. Text of others is as they wrote it: JSON escapes what must be.
pub(crate) fn item(lock: &Lock, judgement: &Judgement) -> Value {
    let words: Vec<_> = judgement.words.iter().map(|word| word.name()).collect();
    let renewed = lock.renewed();
    let owner = match &lock.hold {
        Hold::ForLife(life) => life.owner.as_ref(),
        Hold::Renewed(_) => None,
    };
    json!({
        "kind": lock.kind.name(),
        "namespace": lock.namespace,
        "name": lock.name,
        "uid": lock.uid,
        "holder": lock.holder(),
        "pod": judgement.pod,
        "podUid": renewed.and_then(|renewed| renewed.pod_uid()).or(owner.map(|owner| owner.uid.as_str())),
        "node": judgement.node,
        "forLife": renewed.is_none(),
        "leaseDurationSeconds": renewed.and_then(|renewed| renewed.duration_seconds),
        "acquireTime": renewed.and_then(|renewed| renewed.acquired).and_then(rfc3339),
        "renewTime": renewed.and_then(|renewed| renewed.renew_time).and_then(rfc3339),
        "transitions": renewed.and_then(|renewed| renewed.transitions),
        "heldSeconds": judgement.held_for.map(seconds),
        "renewedSecondsAgo": judgement.renewed_ago.map(seconds),
        "expiresInSeconds": judgement.expires_in.map(seconds),
        "waiting": judgement.waiting,
        "writtenBy": lock.writer,
        "paused": lock.paused,
        "hasLeader": judgement.leads() == Some(true),
        "health": words,
        "because": remarks(lock, judgement),
    })
}

pub(crate) fn rfc3339(micros: i64) -> Option<String> {
    let timestamp = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(format!("{timestamp:.6}"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a human's time fit"
)]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::failed("what was found cannot be written in that form; try -o json").because(error)
}

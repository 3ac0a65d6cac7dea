//! A lock as it stands in the cluster, whoever wrote it. Nothing is judged here, and nothing in an
//! object makes it fail: what cannot be understood is kept as a remark.

use serde_json::{Map, Value};

use super::{kind::Kind, text::harmless};

pub(crate) const WRITE_ANNOTATION: &str = "tenure.dev/write";
pub(crate) const OWNER_ANNOTATION: &str = "tenure.dev/owner";
pub(crate) const PAUSED_ANNOTATION: &str = "tenure.dev/paused";
/// In which client-go kept its record before there were Leases.
pub(crate) const RECORD_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// API servers make themselves known by Leases with this label. They are no elections.
const IDENTITY_LABEL: &str = "apiserver.kubernetes.io/identity";
/// Where kubelets say that they live.
pub(crate) const NODE_LEASES: &str = "kube-node-lease";

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// When the object was made, by the server's clock; microseconds since 1970, as all here.
    pub(crate) created: Option<i64>,
    pub(crate) being_deleted: bool,
    pub(crate) hold: Hold,
    /// By which implementation, as far as the object tells.
    pub(crate) writer: &'static str,
    pub(crate) paused: Option<String>,
    /// What is strange about it, in words.
    pub(crate) remarks: Vec<String>,
}

/// How it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// By renewals: a Lease, or the record in a ConfigMap that old programs keep.
    Renewed(Renewed),
    /// By an owner, for life.
    ForLife(ForLife),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// Never empty.
    pub(crate) holder: Option<String>,
    pub(crate) duration_seconds: Option<i64>,
    pub(crate) acquired: Option<i64>,
    pub(crate) renew_time: Option<i64>,
    pub(crate) transitions: Option<i64>,
    /// tenure's annotation speaks for what stands here: its holder does what is asked of it (L25).
    pub(crate) by_tenure: bool,
    /// Its last writer has given it up with this write.
    pub(crate) released: bool,
    /// tenure's annotation is of this holder, and of another renewal than the one that stands here.
    pub(crate) written_by_another: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForLife {
    /// The owner Pod, if it is named whole and alone: by tenure's annotation, and by the owner
    /// reference where there is none (F1).
    pub(crate) owner: Option<Owner>,
    /// The container that the leader runs in, by name and by id, if it says so.
    pub(crate) container: Option<(String, String)>,
    /// What tells the term of a leader of tenure from every other: so it is asked (F12).
    pub(crate) term: Option<String>,
    /// Why it is no lock to tenure (F11).
    pub(crate) foreign: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Lock {
    /// What the object says. `None` for an object that is no lock; where it was `named`, whatever
    /// it is is looked at as one.
    pub(crate) fn read(kind: Kind, object: &Value, named: bool) -> Option<Self> {
        if !named && !looks_like_one(kind, object) {
            return None;
        }
        let mut remarks = Vec::new();
        let annotation = |name: &str| object.pointer("/metadata/annotations")?.get(name);
        let record = annotation(RECORD_ANNOTATION);
        let (hold, writer) = match (kind, record) {
            (Kind::Lease, _) => renewed(object, annotation(WRITE_ANNOTATION), &mut remarks),
            (Kind::ConfigMap, Some(record)) => (
                Hold::Renewed(old_record(record, &mut remarks)),
                "client-go, before Leases",
            ),
            _ => for_life(object, annotation(OWNER_ANNOTATION), &mut remarks),
        };
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        Some(Self {
            kind,
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
            uid: text("/metadata/uid").to_owned(),
            created: time(text("/metadata/creationTimestamp")),
            being_deleted: object
                .pointer("/metadata/deletionTimestamp")
                .is_some_and(|time| !time.is_null()),
            hold,
            writer,
            paused: (kind == Kind::Lease)
                .then(|| annotation(PAUSED_ANNOTATION).map(paused))
                .flatten(),
            remarks,
        })
    }

    /// The holder as it is written, or the owner Pod's name.
    pub(crate) fn holder(&self) -> Option<&str> {
        match &self.hold {
            Hold::Renewed(renewed) => renewed.holder.as_deref(),
            Hold::ForLife(life) => life.owner.as_ref().map(|owner| owner.name.as_str()),
        }
    }

    pub(crate) fn renewed(&self) -> Option<&Renewed> {
        match &self.hold {
            Hold::Renewed(renewed) => Some(renewed),
            Hold::ForLife(_) => None,
        }
    }
}

impl Renewed {
    /// When it ends by its own word.
    pub(crate) fn end(&self) -> Option<i64> {
        let duration = self.duration_seconds?.saturating_mul(1_000_000);
        Some(self.renew_time?.saturating_add(duration))
    }

    /// The name before the first `_`: the Pod's or the host's, by the habit of all implementations.
    pub(crate) fn host(&self) -> Option<&str> {
        let holder = self.holder.as_deref()?;
        Some(holder.split('_').next().unwrap_or(holder))
    }

    /// The Pod's uid, where the identity is one that tenure makes by default.
    pub(crate) fn pod_uid(&self) -> Option<&str> {
        let mut parts = self.holder.as_deref()?.split('_');
        let (_, uid, process) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_uid = uid.len() == 36 && uid.split('-').all(hex);
        let is_process = process.len() == 32 && hex(process);
        (is_uid && is_process && parts.next().is_none()).then_some(uid)
    }
}

/// Microseconds since 1970 of an RFC 3339 time.
pub(crate) fn time(text: &str) -> Option<i64> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(timestamp.as_microsecond())
}

fn looks_like_one(kind: Kind, object: &Value) -> bool {
    let metadata = |field: &str, key: &str| object.pointer("/metadata")?.get(field)?.get(key);
    match kind {
        Kind::Lease => {
            let owned_by_node = owners(object).any(|owner| owner["kind"] == "Node");
            let in_place = object
                .pointer("/metadata/namespace")
                .and_then(Value::as_str);
            in_place != Some(NODE_LEASES)
                && metadata("labels", IDENTITY_LABEL).is_none()
                && !owned_by_node
        }
        Kind::ConfigMap => {
            metadata("annotations", OWNER_ANNOTATION).is_some()
                || metadata("annotations", RECORD_ANNOTATION).is_some()
                || (owners(object).any(|owner| owner["kind"] == "Pod") && data_in(object).is_none())
        }
        Kind::LeaderLock => true,
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn data_in(object: &Value) -> Option<&str> {
    ["data", "binaryData"].into_iter().find_map(|field| {
        let keys = object.get(field)?.as_object()?;
        keys.keys().next().map(String::as_str)
    })
}

/// The fields of a Lease, each read with tolerance.
struct Fields<'a> {
    fields: Option<&'a Map<String, Value>>,
    remarks: &'a mut Vec<String>,
}

impl Fields<'_> {
    fn present(&self, name: &str) -> Option<Value> {
        self.fields?
            .get(name)
            .filter(|value| !value.is_null())
            .cloned()
    }

    fn odd(&mut self, name: &str, value: &Value, wanted: &str) {
        let value = harmless(&value.to_string());
        self.remarks
            .push(format!("{name} is {value}, not {wanted}"));
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.present(name)?;
        let Some(text) = value.as_str() else {
            self.odd(name, &value, "text");
            return None;
        };
        Some(text.to_owned()).filter(|text| !text.is_empty())
    }

    fn number(&mut self, name: &str) -> Option<i64> {
        let value = self.present(name)?;
        let number = value.as_i64();
        if number.is_none() {
            self.odd(name, &value, "a whole number");
        }
        number
    }

    fn time(&mut self, name: &str) -> Option<i64> {
        let value = self.present(name)?;
        let time = value.as_str().and_then(time);
        if time.is_none() {
            self.odd(name, &value, "a time");
        }
        time
    }
}

fn renewed(
    object: &Value,
    mark: Option<&Value>,
    remarks: &mut Vec<String>,
) -> (Hold, &'static str) {
    let spec = object.get("spec").filter(|spec| !spec.is_null());
    if spec.is_some_and(|spec| !spec.is_object()) {
        remarks.push("its spec is no object".to_owned());
    }
    let mut fields = Fields {
        fields: spec.and_then(Value::as_object),
        remarks,
    };
    let mut renewed = Renewed {
        holder: fields.text("holderIdentity"),
        duration_seconds: fields.number("leaseDurationSeconds"),
        acquired: fields.time("acquireTime"),
        renew_time: fields.time("renewTime"),
        transitions: fields.number("leaseTransitions"),
        ..Renewed::default()
    };
    let Some(mark) = mark else {
        return (Hold::Renewed(renewed), "another program");
    };
    let mark: Option<Value> = mark
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    let at = |mark: &Value| mark["renewTime"].as_str().and_then(time);
    let is_mark = |mark: &&Value| mark["holder"].is_string() && at(mark).is_some();
    let Some(mark) = mark.as_ref().filter(is_mark) else {
        remarks.push(format!(
            "its annotation {WRITE_ANNOTATION} cannot be understood"
        ));
        return (Hold::Renewed(renewed), "another program");
    };
    let of_holder = mark["holder"].as_str() == Some(renewed.holder.as_deref().unwrap_or_default());
    renewed.by_tenure = of_holder && at(mark) == renewed.renew_time;
    renewed.released = renewed.by_tenure && mark["released"] == true;
    renewed.written_by_another = of_holder && renewed.holder.is_some() && !renewed.by_tenure;
    let writer = if renewed.by_tenure {
        "tenure"
    } else {
        "another program, after tenure"
    };
    (Hold::Renewed(renewed), writer)
}

/// The record of client-go's ConfigMap lock: a Lease's fields, in an annotation.
fn old_record(record: &Value, remarks: &mut Vec<String>) -> Renewed {
    let record: Option<Value> = record
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    let fields = record.as_ref().and_then(Value::as_object);
    if fields.is_none() {
        remarks.push(format!(
            "its annotation {RECORD_ANNOTATION} cannot be understood"
        ));
    }
    let mut fields = Fields { fields, remarks };
    Renewed {
        holder: fields.text("holderIdentity"),
        duration_seconds: fields.number("leaseDurationSeconds"),
        acquired: fields.time("acquireTime"),
        renew_time: fields.time("renewTime"),
        transitions: fields.number("leaderTransitions"),
        ..Renewed::default()
    }
}

fn for_life(
    object: &Value,
    annotation: Option<&Value>,
    remarks: &mut Vec<String>,
) -> (Hold, &'static str) {
    let record = annotation.map(Recorded::read);
    let mut life = ForLife::default();
    match judged_owner(object, record.as_ref()) {
        Ok(owner) => life.owner = Some(owner),
        Err(why) => life.foreign = Some(why),
    }
    // Somebody's configuration is that before it is anything else.
    if let Some(key) = data_in(object) {
        life.foreign = Some(format!("it has data in it ({})", harmless(key)));
    }
    if let Some(why) = &life.foreign {
        remarks.push(format!("it is no lock to tenure (F11): {why}"));
    }
    let flagged = owners(object).any(|owner| owner["controller"] == true);
    let writer = match record {
        Some(Ok(record)) if life.foreign.is_none() => {
            life.container = record.container.zip(record.container_id);
            life.term = Some(record.term);
            "tenure"
        }
        Some(Ok(_)) => "another program, after tenure",
        // As zio-k8s writes it; operator-lib sets neither flag.
        None if flagged => "zio-k8s or alike",
        None if life.owner.is_some() => "operator-lib or alike",
        Some(Err(_)) | None => "another program",
    };
    (Hold::ForLife(life), writer)
}

/// What a leader for life of tenure says of itself.
struct Recorded {
    pod: Owner,
    container: Option<String>,
    container_id: Option<String>,
    term: String,
}

impl Recorded {
    fn read(annotation: &Value) -> Result<Self, String> {
        let record: Option<Value> = annotation
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        let text = |field: &str| {
            let text = record.as_ref()?[field].as_str()?;
            Some(text.to_owned()).filter(|text| !text.is_empty())
        };
        let whole = text("pod").zip(text("podUid")).zip(text("term"));
        let ((name, uid), term) = whole
            .ok_or_else(|| format!("its annotation {OWNER_ANNOTATION} cannot be understood"))?;
        Ok(Self {
            pod: Owner { name, uid },
            container: text("container"),
            container_id: text("containerId"),
            term,
        })
    }
}

/// The Pod that it belongs to, or why it belongs to none: as tenure's candidates judge it (F1, F11).
fn judged_owner(
    object: &Value,
    record: Option<&Result<Recorded, String>>,
) -> Result<Owner, String> {
    let record = record
        .map(Result::as_ref)
        .transpose()
        .map_err(Clone::clone)?;
    let all: Vec<&Value> = owners(object).collect();
    let owner = match all.as_slice() {
        [] => None,
        [owner] if owner["kind"] != "Pod" => return Err("its owner is no Pod".to_owned()),
        [owner] => {
            let text = |field: &str| owner[field].as_str().filter(|text| !text.is_empty());
            let (name, uid) = text("name")
                .zip(text("uid"))
                .ok_or("its owner reference names no Pod whole")?;
            Some(Owner {
                name: name.to_owned(),
                uid: uid.to_owned(),
            })
        }
        more => return Err(format!("it has {} owners, and a lock has one", more.len())),
    };
    match (record, owner) {
        (Some(record), Some(owner)) if record.pod != owner => Err(format!(
            "its annotation {OWNER_ANNOTATION} names another Pod than its owner reference"
        )),
        (Some(record), _) => Ok(record.pod.clone()),
        (None, Some(owner)) => Ok(owner),
        (None, None) => Err("no Pod owns it, and it stays until it is deleted".to_owned()),
    }
}

fn paused(annotation: &Value) -> String {
    let told: Option<Value> = annotation
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    let Some(told) = told.filter(Value::is_object) else {
        return "paused (its annotation cannot be understood)".to_owned();
    };
    let mut words = "paused".to_owned();
    for (before, field) in [(" by ", "by"), (" since ", "since"), (": ", "reason")] {
        if let Some(text) = told[field].as_str().filter(|text| !text.is_empty()) {
            words.push_str(before);
            words.push_str(&harmless(text));
        }
    }
    words
}

#[cfg(test)]
mod tests;

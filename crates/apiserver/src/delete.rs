//! Deletion: preconditions, grace, finalizers, propagation.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::record::Writer;
use crate::request::{Query, check_dry_run};
use crate::resources::{CRDS, NAMESPACES, PODS, Resource};
use crate::state::State;
use crate::status::{FieldError, Outcome, Refusal};
use crate::store::{Key, Stored};
use crate::write::{Applied, Call, Shown};
use crate::{crd, decode, meta, proto, time};

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) grace: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) dry_run: bool,
}

/// What a deletion came to.
#[derive(Debug, Clone)]
pub(crate) struct Deleted {
    pub(crate) object: Shown,
    /// Whether the object is gone, and not only marked.
    pub(crate) gone: bool,
}

/// The Go type of the options in a body.
const OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// `DELETE` of one object.
pub(crate) fn one(state: &mut State, call: &Call<'_>) -> Outcome<Applied> {
    let options = Options::read(call)?;
    let resource = call.resource;
    let name = &call.target.name;
    if resource.is(NAMESPACES) && IMMORTAL.contains(&name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(Refusal::forbidden(&resource.qualified, name, why));
    }
    let key = call.key();
    let deleted = delete(state, resource, &key, &options, &call.writer())?;
    let code = if !deleted.gone && options.orphan_dependents == Some(false) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok(Applied {
        code,
        object: deleted.object,
        warnings: Vec::new(),
    })
}

/// Deletes an object, or marks it as being deleted.
pub(crate) fn delete(
    state: &mut State,
    resource: &Arc<Resource>,
    key: &Key,
    options: &Options,
    writer: &Writer<'_>,
) -> Outcome<Deleted> {
    let name = key.name();
    let Some(existing) = state.store.get(key).cloned() else {
        return Err(Refusal::not_found(&resource.qualified, name));
    };
    let by_hand = resource.is(NAMESPACES) || resource.is(CRDS);
    if by_hand {
        early_preconditions(resource, &existing, options, name)?;
        if !meta::is_deleting(&existing.value) {
            let marked = begin(state, resource, &existing.value, options);
            if options.dry_run {
                return Ok(Deleted {
                    object: Shown::Value(marked),
                    gone: false,
                });
            }
            let stored = state.put(resource, key, marked, writer);
            return Ok(Deleted {
                object: Shown::Stored(stored),
                gone: false,
            });
        }
        let held = existing.value["spec"]["finalizers"]
            .as_array()
            .is_some_and(|f| !f.is_empty());
        if resource.is(NAMESPACES) && held {
            return Ok(Deleted {
                object: Shown::Stored(existing),
                gone: false,
            });
        }
    }
    preconditions(resource, &existing, options, name)?;

    let mut object = existing.value.clone();
    let grace = match graceful(state, resource, &mut object, options) {
        Grace::Pending => {
            return Ok(Deleted {
                object: finished(resource, &existing),
                gone: false,
            });
        }
        Grace::None => None,
        Grace::Seconds(seconds) => Some(seconds),
    };
    let finalizers = finalizers_after(&object, options);
    let marked = grace.is_some()
        || !meta::finalizers(&object).is_empty()
        || finalizers != meta::finalizers(&object);
    let mut last = existing.clone();
    if marked {
        meta::set_finalizers(&mut object, &finalizers);
        if grace.is_none() && !finalizers.is_empty() {
            mark(state, &mut object);
        }
        let rewritten = grace.is_some() || !finalizers.is_empty();
        if rewritten && !options.dry_run && object != existing.value {
            last = state.put(resource, key, object.clone(), writer);
        }
        if !finalizers.is_empty() || grace.is_some_and(|seconds| seconds > 0) {
            let shown = if options.dry_run {
                Shown::Value(object)
            } else {
                Shown::Stored(last)
            };
            return Ok(Deleted {
                object: shown,
                gone: false,
            });
        }
        if options.dry_run {
            return Ok(Deleted {
                object: Shown::Value(object),
                gone: true,
            });
        }
    }
    if options.dry_run {
        return Ok(Deleted {
            object: finished(resource, &last),
            gone: true,
        });
    }
    let gone = state.remove(resource, key, writer).unwrap_or(last);
    Ok(Deleted {
        object: finished(resource, &gone),
        gone: true,
    })
}

impl Options {
    /// Reads the body, or without one the query.
    pub(crate) fn read(call: &Call<'_>) -> Outcome<Self> {
        let mut options = if call.body.is_empty() {
            Self::from_query(&call.info.query)?
        } else {
            let value = if decode::media_type(call.headers) == proto::MEDIA_TYPE {
                decode::from_protobuf(OPTIONS, call.body)?
            } else {
                serde_json::from_slice(call.body)
                    .map_err(|error| Refusal::bad_request(error.to_string()))?
            };
            Self::from_body(&value)?
        };
        call.info.query.check_dry_run("DeleteOptions")?;
        options.dry_run |= call.info.query.dry_run();
        Ok(options)
    }

    /// Plain deletion in the background.
    pub(crate) fn background() -> Self {
        Self {
            propagation: Some(Propagation::Background),
            ..Self::default()
        }
    }

    fn from_query(query: &Query) -> Outcome<Self> {
        let mut options = Self {
            grace: query.number("gracePeriodSeconds")?,
            ..Self::default()
        };
        if !query.get("orphanDependents").is_empty() {
            options.orphan_dependents = Some(query.flag("orphanDependents"));
        }
        options.set_propagation(query.get("propagationPolicy"))?;
        Ok(options)
    }

    fn from_body(value: &Value) -> Outcome<Self> {
        let kind = value["kind"].as_str().unwrap_or_default();
        let version = value["apiVersion"].as_str().unwrap_or_default();
        if !matches!(kind, "" | "DeleteOptions") {
            return Err(Refusal::bad_request(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \
                 \"pkg/runtime/scheme.go:111\""
            )));
        }
        let mut unknown = Vec::new();
        let value = crate::schema::decode(OPTIONS, value, &mut unknown).map_err(|told| {
            Refusal::bad_request(format!(
                "v1.DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: {told}"
            ))
        })?;
        let dry: Vec<&str> = value["dryRun"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        check_dry_run(&dry, "DeleteOptions")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut options = Self {
            grace: value["gracePeriodSeconds"].as_i64(),
            uid: text(&value["preconditions"]["uid"]),
            resource_version: text(&value["preconditions"]["resourceVersion"]),
            propagation: None,
            orphan_dependents: value["orphanDependents"].as_bool(),
            dry_run: !dry.is_empty(),
        };
        options.set_propagation(value["propagationPolicy"].as_str().unwrap_or_default())?;
        Ok(options)
    }

    fn set_propagation(&mut self, text: &str) -> Outcome<()> {
        let refuse = |error| Err(Refusal::invalid("DeleteOptions.meta.k8s.io", "", &[error]));
        self.propagation = match text {
            "" => return Ok(()),
            "Background" => Some(Propagation::Background),
            "Foreground" => Some(Propagation::Foreground),
            "Orphan" => Some(Propagation::Orphan),
            other => {
                return refuse(FieldError::not_supported(
                    "propagationPolicy",
                    &json!(other),
                    &["Foreground", "Background", "Orphan", "nil"],
                ));
            }
        };
        if self.orphan_dependents.is_some() {
            return refuse(FieldError::invalid(
                "propagationPolicy",
                &json!(text),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        Ok(())
    }
}

/// A grace period, as it stands.
enum Grace {
    /// This kind knows none.
    None,
    /// It runs already, and nothing changes.
    Pending,
    /// It runs from now on, for that long.
    Seconds(i64),
}

/// Pods are deleted with grace; `object` is marked where that begins or is shortened.
fn graceful(state: &State, resource: &Resource, object: &mut Value, options: &Options) -> Grace {
    if !resource.is(PODS) {
        return Grace::None;
    }
    let asked = options
        .grace
        .map(|seconds| if seconds < 0 { 1 } else { seconds });
    let now = state.clock.now();
    if meta::is_deleting(object) {
        let running = meta::grace_seconds(object).unwrap_or_default();
        if running == 0 {
            return Grace::None;
        }
        let Some(mut seconds) = asked.filter(|seconds| *seconds < running) else {
            return Grace::Pending;
        };
        let end = meta::text(object, "deletionTimestamp");
        let mut end = time::shift(end, seconds - running).unwrap_or_else(|| time::stamp(now));
        if time::age_seconds(&end, now).is_some_and(|age| age > 0) {
            end = time::stamp(now);
            seconds = seconds.min(1);
        }
        meta::set(object, "deletionTimestamp", json!(end));
        meta::set(object, "deletionGracePeriodSeconds", json!(seconds));
        return Grace::Seconds(seconds);
    }
    let own = object["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or_default();
    let unscheduled = object["spec"]["nodeName"]
        .as_str()
        .is_none_or(str::is_empty);
    let ended = matches!(
        object["status"]["phase"].as_str(),
        Some("Failed" | "Succeeded")
    );
    let seconds = match asked.unwrap_or(own) {
        _ if unscheduled || ended => 0,
        seconds if seconds < 0 => 1,
        seconds => seconds,
    };
    meta::set(
        object,
        "deletionTimestamp",
        json!(time::stamp_after(now, seconds)),
    );
    meta::set(object, "deletionGracePeriodSeconds", json!(seconds));
    grow_generation(object);
    Grace::Seconds(seconds)
}

/// Marks an object that its finalizers hold.
fn mark(state: &State, object: &mut Value) {
    if !meta::is_deleting(object) {
        grow_generation(object);
        meta::set(object, "deletionTimestamp", json!(state.stamp()));
    }
    meta::set(object, "deletionGracePeriodSeconds", json!(0));
}

/// Namespaces and CustomResourceDefinitions are only marked at first; the rest is a controller's.
fn begin(state: &State, resource: &Resource, object: &Value, options: &Options) -> Value {
    let mut object = object.clone();
    meta::set(&mut object, "deletionTimestamp", json!(state.stamp()));
    if resource.is(NAMESPACES) {
        object["status"]["phase"] = json!("Terminating");
        let finalizers = finalizers_after(&object, options);
        meta::set_finalizers(&mut object, &finalizers);
    } else {
        crd::begin_deletion(&mut object, &state.stamp());
    }
    object
}

fn grow_generation(object: &mut Value) {
    let generation = meta::generation(object);
    if generation > 0 {
        meta::set(object, "generation", json!(generation + 1));
    }
}

/// The finalizers that the propagation asks for, beside those of others.
fn finalizers_after(object: &Value, options: &Options) -> Vec<String> {
    let mut finalizers = meta::finalizers(object);
    let has = |wanted: &str| finalizers.iter().any(|f| f == wanted);
    let propagation = match (options.orphan_dependents, options.propagation) {
        (Some(true), _) => Propagation::Orphan,
        (None, Some(propagation)) => propagation,
        (None, None) if has(meta::ORPHAN) => Propagation::Orphan,
        (None, None) if has(meta::FOREGROUND) => Propagation::Foreground,
        (Some(false) | None, None) | (Some(false), _) => Propagation::Background,
    };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(meta::FOREGROUND),
        Propagation::Orphan => Some(meta::ORPHAN),
    };
    let before = finalizers.clone();
    finalizers.retain(|f| f != meta::ORPHAN && f != meta::FOREGROUND);
    finalizers.extend(wanted.map(str::to_owned));
    let same = |list: &[String]| {
        let mut sorted = list.to_vec();
        sorted.sort();
        sorted
    };
    if same(&before) == same(&finalizers) {
        before
    } else {
        finalizers
    }
}

fn preconditions(
    resource: &Resource,
    existing: &Stored,
    options: &Options,
    name: &str,
) -> Outcome<()> {
    let refuse = |why: &str| Err(Refusal::conflict(&resource.qualified_kind(), name, why));
    let uid = meta::uid(&existing.value);
    if let Some(asked) = options.uid.as_deref().filter(|asked| *asked != uid) {
        return refuse(&format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({uid}). The \
             object might have been deleted and then recreated"
        ));
    }
    let version = existing.revision.to_string();
    if let Some(asked) = options
        .resource_version
        .as_deref()
        .filter(|asked| *asked != version)
    {
        return refuse(&format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion \
             in record ({version}). The object might have been modified"
        ));
    }
    Ok(())
}

/// Namespaces and CustomResourceDefinitions check earlier, in words of their own.
fn early_preconditions(
    resource: &Resource,
    existing: &Stored,
    options: &Options,
    name: &str,
) -> Outcome<()> {
    let word = if resource.is(NAMESPACES) {
        "Precondition"
    } else {
        "precondition"
    };
    let refuse = |what: &str, asked: &str, known: &str| {
        let why = format!(
            "{word} failed: {what} in precondition: {asked}, {what} in object meta: {known}"
        );
        Err(Refusal::conflict(&resource.qualified, name, &why))
    };
    let uid = meta::uid(&existing.value);
    if let Some(asked) = options.uid.as_deref().filter(|asked| *asked != uid) {
        return refuse("UID", asked, uid);
    }
    let version = existing.revision.to_string();
    if let Some(asked) = options
        .resource_version
        .as_deref()
        .filter(|asked| *asked != version)
    {
        return refuse("ResourceVersion", asked, &version);
    }
    Ok(())
}

/// What a finished deletion answers: the object, or a `Status` that names it.
fn finished(resource: &Resource, stored: &Arc<Stored>) -> Shown {
    if resource.rules.returns_deleted {
        return Shown::Stored(stored.clone());
    }
    let mut details = json!({
        "name": meta::name(&stored.value),
        "kind": resource.plural,
        "uid": meta::uid(&stored.value),
    });
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    Shown::Status(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    }))
}

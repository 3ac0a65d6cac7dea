//! Create, replace and patch: the real server's order of checks.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::decode::{self, Decoded, Directive};
use crate::record::Writer;
use crate::request::{RequestInfo, Target};
use crate::resources::{NAMESPACES, Resource};
use crate::state::State;
use crate::status::{FieldError, Outcome, Refusal};
use crate::store::{Key, Stored};
use crate::{meta, patch, prepare, validate};

/// A request that names a served resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) info: &'a RequestInfo,
    pub(crate) target: &'a Target,
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) user: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
}

/// An answer with one object.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) code: StatusCode,
    pub(crate) object: Shown,
    pub(crate) warnings: Vec<String>,
}

/// An object to show.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    Stored(Arc<Stored>),
    Value(Value),
    /// A `Status`, which no printer turns into a table.
    Status(Value),
}

impl<'a> Call<'a> {
    pub(crate) fn writer(&self) -> Writer<'a> {
        Writer {
            verb: self.info.verb,
            subresource: &self.target.subresource,
            user: self.user,
            agent: self.agent,
        }
    }

    pub(crate) fn key(&self) -> Key {
        State::key(self.resource, &self.target.namespace, &self.target.name)
    }

    fn directive(&self, options: &str) -> Outcome<Directive> {
        self.info.query.check_dry_run(options)?;
        Directive::parse(self.info.query.get("fieldValidation"), options)
    }

    fn decoded(&self, options: &str) -> Outcome<Decoded> {
        let directive = self.directive(options)?;
        let value = decode::parse(self.headers, self.body, self.resource)?;
        decode::normalise(self.resource, &value, directive)
    }

    /// The storage's path of the object, as its errors tell it.
    fn registry_path(&self, key: &Key) -> String {
        let resource = self.resource;
        if resource.is_custom() || resource.group == "apiextensions.k8s.io" {
            format!(
                "/registry/{}/{}/{}",
                resource.group, resource.plural, key.path
            )
        } else {
            format!("/registry/{}/{}", resource.plural, key.path)
        }
    }
}

/// `POST`.
pub(crate) fn create(state: &mut State, call: &Call<'_>) -> Outcome<Applied> {
    if call.resource.namespaced && call.target.namespace.is_empty() {
        return Err(Refusal::method_not_allowed());
    }
    let Decoded {
        mut object,
        warnings,
    } = call.decoded("CreateOptions")?;
    let resource = call.resource;
    for wiped in [
        "creationTimestamp",
        "uid",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        meta::remove(&mut object, wiped);
    }
    fit_namespace(resource, &call.target.namespace, &mut object)?;
    let stored = insert(state, call, object)?;
    Ok(Applied {
        code: StatusCode::CREATED,
        object: stored,
        warnings,
    })
}

/// `PUT`.
pub(crate) fn update(state: &mut State, call: &Call<'_>) -> Outcome<Applied> {
    let Decoded {
        mut object,
        warnings,
    } = call.decoded("UpdateOptions")?;
    fit_namespace(call.resource, &call.target.namespace, &mut object)?;
    fit_name(call, &object)?;
    let resource = call.resource;
    let name = &call.target.name;
    let key = call.key();
    let uid = meta::uid(&object).to_owned();
    let Some(existing) = state.store.get(&key).cloned() else {
        if !resource.rules.create_on_update || !call.target.subresource.is_empty() {
            return Err(Refusal::not_found(&resource.qualified, name));
        }
        if !uid.is_empty() {
            return Err(foreign_uid(call, &key, &uid, ""));
        }
        version_of(&object)?;
        meta::remove(&mut object, "resourceVersion");
        for wiped in [
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            meta::remove(&mut object, wiped);
        }
        let stored = insert(state, call, object)?;
        return Ok(Applied {
            code: StatusCode::CREATED,
            object: stored,
            warnings,
        });
    };
    let known = meta::uid(&existing.value);
    if !uid.is_empty() && uid != known {
        return Err(foreign_uid(call, &key, &uid, known));
    }
    replace(state, call, &key, &existing, object, &warnings)
}

/// `PATCH`.
pub(crate) fn patch(state: &mut State, call: &Call<'_>) -> Outcome<Applied> {
    let kind = patch::Kind::parse(&decode::media_type(call.headers))?;
    let directive = call.directive("PatchOptions")?;
    let key = call.key();
    let resource = call.resource;
    let Some(existing) = state.store.get(&key).cloned() else {
        return Err(Refusal::not_found(&resource.qualified, &call.target.name));
    };
    let shown = crate::events::from_storage(resource, &existing.value);
    let before = shown.as_ref().unwrap_or(&existing.value);
    let patched = patch::apply(kind, resource, before, call.body)?;
    let Decoded {
        mut object,
        warnings,
    } = decode::normalise_patched(resource, &patched, directive)?;
    fit_namespace(resource, &call.target.namespace, &mut object)?;
    fit_name(call, &object)?;
    replace(state, call, &key, &existing, object, &warnings)
}

/// Stores a new object, or refuses it.
fn insert(state: &mut State, call: &Call<'_>, mut object: Value) -> Outcome<Shown> {
    let resource = call.resource;
    meta::set(&mut object, "creationTimestamp", json!(state.stamp()));
    meta::set(&mut object, "uid", json!(state.random.uid()));
    let prefix = meta::text(&object, "generateName").to_owned();
    let generated = meta::name(&object).is_empty() && !prefix.is_empty();
    admit(state, call, meta::name(&object))?;
    // The real server tries seven more names when one is taken.
    let attempts = if generated { 8 } else { 1 };
    for attempt in 1..=attempts {
        if generated {
            let name = state.random.name(&prefix);
            meta::set(&mut object, "name", json!(name));
        }
        let mut object = object.clone();
        prepare::create(resource, &mut object);
        validate::create(resource, &object)?;
        let name = meta::name(&object).to_owned();
        let key = State::key(resource, meta::namespace(&object), &name);
        if version_of(&object).is_ok_and(|version| version != 0) {
            return Err(Refusal::unexpected(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if let Some(existing) = state.store.get(&key) {
            if generated && attempt < attempts {
                continue;
            }
            let refusal = if prefix.is_empty() {
                Refusal::already_exists(&resource.qualified, &name)
            } else {
                Refusal::generated_name_taken(&resource.qualified, &name)
            };
            return Err(if meta::is_deleting(&existing.value) {
                refusal.prefixed("object is being deleted: ")
            } else {
                refusal
            });
        }
        if call.info.query.dry_run() {
            return Ok(Shown::Value(object));
        }
        let writer = call.writer();
        return Ok(Shown::Stored(state.put(resource, &key, object, &writer)));
    }
    Err(Refusal::unexpected("no name was generated"))
}

/// Puts `object` in the place of `existing`, or refuses it.
fn replace(
    state: &mut State,
    call: &Call<'_>,
    key: &Key,
    existing: &Arc<Stored>,
    mut object: Value,
    warnings: &[String],
) -> Outcome<Applied> {
    let resource = call.resource;
    let name = &call.target.name;
    match version_of(&object)? {
        0 if resource.rules.unconditional_update => {
            meta::set(
                &mut object,
                "resourceVersion",
                json!(existing.revision.to_string()),
            );
        }
        0 => {
            let error = FieldError::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            return Err(Refusal::invalid(&resource.qualified, name, &[error]));
        }
        version if version != existing.revision => {
            return Err(Refusal::modified(&resource.qualified, name));
        }
        _ => {}
    }

    let old = &existing.value;
    prepare::update(resource, &call.target.subresource, &mut object, old);
    keep_system_fields(&mut object, old);
    validate::update(resource, &call.target.subresource, &object, old)?;

    let shown = |object| Applied {
        code: StatusCode::OK,
        object,
        warnings: warnings.to_vec(),
    };
    if call.info.query.dry_run() {
        return Ok(shown(Shown::Value(object)));
    }
    if deletes(resource, &object, old) {
        state.remove(resource, key, &call.writer());
        return Ok(shown(Shown::Value(object)));
    }
    if object == *old {
        return Ok(shown(Shown::Stored(existing.clone())));
    }
    let stored = state.put(resource, key, object, &call.writer());
    Ok(shown(Shown::Stored(stored)))
}

/// What no update can change.
fn keep_system_fields(object: &mut Value, old: &Value) {
    if meta::uid(object).is_empty() {
        meta::set(object, "uid", json!(meta::uid(old)));
    }
    meta::set(
        object,
        "creationTimestamp",
        old["metadata"]["creationTimestamp"].clone(),
    );
    if meta::is_deleting(old) {
        meta::set(
            object,
            "deletionTimestamp",
            old["metadata"]["deletionTimestamp"].clone(),
        );
    }
    if let (Some(grace), None) = (meta::grace_seconds(old), meta::grace_seconds(object)) {
        meta::set(object, "deletionGracePeriodSeconds", json!(grace));
    }
}

/// An object that was to be deleted goes with its last finalizer.
fn deletes(resource: &Resource, new: &Value, old: &Value) -> bool {
    let held = resource.is(NAMESPACES)
        && new["spec"]["finalizers"]
            .as_array()
            .is_some_and(|f| !f.is_empty());
    !held
        && meta::finalizers(new).is_empty()
        && meta::is_deleting(old)
        && meta::grace_seconds(old).unwrap_or_default() == 0
}

/// Refuses what is created in a namespace that is missing or on its way out.
fn admit(state: &State, call: &Call<'_>, name: &str) -> Outcome<()> {
    let resource = call.resource;
    let namespace = &call.target.namespace;
    if !resource.namespaced || namespace.is_empty() {
        return Ok(());
    }
    let key = Key::new(&Arc::from(NAMESPACES), "", namespace);
    let Some(found) = state.store.get(&key) else {
        return Err(Refusal::not_found(NAMESPACES, namespace));
    };
    if found.value["status"]["phase"] != json!("Terminating") {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    Err(
        Refusal::forbidden(&resource.qualified, name, &why).with_cause(
            "NamespaceTerminating",
            &format!("namespace {namespace} is being terminated"),
            "metadata.namespace",
        ),
    )
}

/// The object's namespace is the path's; another one is refused.
fn fit_namespace(resource: &Resource, namespace: &str, object: &mut Value) -> Outcome<()> {
    let namespace = if resource.namespaced { namespace } else { "" };
    let given = meta::namespace(object);
    if given == namespace {
        return Ok(());
    }
    if given.is_empty() {
        meta::set(object, "namespace", json!(namespace));
        return Ok(());
    }
    if namespace.is_empty() {
        meta::remove(object, "namespace");
        return Ok(());
    }
    Err(Refusal::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

fn fit_name(call: &Call<'_>, object: &Value) -> Outcome<()> {
    let (given, wanted) = (meta::name(object), &call.target.name);
    if given == wanted {
        return Ok(());
    }
    if given.is_empty() {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be \
             provided"
        )));
    }
    Err(Refusal::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({wanted})"
    )))
}

/// The object's resourceVersion; 0 where it has none.
fn version_of(object: &Value) -> Outcome<u64> {
    let text = meta::resource_version(object);
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        Refusal::unexpected(&format!(
            "strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

fn foreign_uid(call: &Call<'_>, key: &Key, asked: &str, known: &str) -> Refusal {
    let path = call.registry_path(key);
    Refusal::conflict(
        &call.resource.qualified,
        &call.target.name,
        &format!(
            "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object \
             meta: {known}"
        ),
    )
}

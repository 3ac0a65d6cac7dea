//! Get, list, and what readers may ask for in them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::meta;
use crate::request::Query;
use crate::resources::Resource;
use crate::selector::Selector;
use crate::state::State;
use crate::status::{FieldError, Outcome, Refusal};
use crate::store::Stored;
use crate::write::{Applied, Call, Shown};
use crate::{delete, events};

/// A list, before it is written in the form that the reader accepts.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) items: Vec<Arc<Stored>>,
    pub(crate) revision: u64,
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// `GET` of one object.
pub(crate) fn get(state: &State, call: &Call<'_>) -> Outcome<Applied> {
    let version = version(&call.info.query)?;
    if version > state.store.revision() {
        return Err(Refusal::too_large_version(version, state.store.revision()));
    }
    match state.store.get(&call.key()) {
        Some(stored) => Ok(Applied {
            code: StatusCode::OK,
            object: Shown::Stored(stored.clone()),
            warnings: Vec::new(),
        }),
        None => Err(Refusal::not_found(
            &call.resource.qualified,
            &call.target.name,
        )),
    }
}

/// `GET` of a collection.
pub(crate) fn list(state: &State, call: &Call<'_>) -> Outcome<Listed> {
    let query = &call.info.query;
    let resource = call.resource;
    let selector = selector(call)?;
    let current = state.store.revision();
    let matching = query.get("resourceVersionMatch");
    let continued = query.get("continue");
    check_match(query, resource)?;
    let asked = version(query).map_err(|_| {
        let text = query.get("resourceVersion");
        Refusal::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: \
             strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })?;
    if asked > current {
        return Err(Refusal::too_large_version(asked, current));
    }

    let (revision, after) = if continued.is_empty() {
        let exact = matching == "Exact" && asked > 0;
        (if exact { asked } else { current }, String::new())
    } else {
        parse_token(continued)?
    };
    let namespace = if resource.namespaced {
        call.target.namespace.as_str()
    } else {
        ""
    };
    let objects: Vec<Arc<Stored>> = if revision == current {
        state
            .store
            .list(&resource.storage, namespace)
            .map(|(_, stored)| stored.clone())
            .collect()
    } else {
        let gone = if continued.is_empty() {
            "The resourceVersion for the provided list is too old."
        } else {
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter."
        };
        state
            .store
            .list_at(&resource.storage, namespace, revision)
            .ok_or_else(|| Refusal::expired(gone))?
    };
    let mut items: Vec<Arc<Stored>> = objects
        .into_iter()
        .filter(|stored| selector.matches(&stored.value) && path(stored) > after)
        .collect();
    let limit = query
        .number("limit")?
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0);
    let mut listed = Listed {
        items: Vec::new(),
        revision,
        next: None,
        remaining: None,
    };
    if limit > 0 && items.len() > limit {
        let rest = items.len() - limit;
        items.truncate(limit);
        listed.next = items.last().map(|last| token(revision, &path(last)));
        listed.remaining = Some(rest);
    }
    listed.items = items;
    Ok(listed)
}

/// `DELETE` of a collection: answers with what was listed.
pub(crate) fn delete_collection(state: &mut State, call: &Call<'_>) -> Outcome<Listed> {
    let options = delete::Options::read(call)?;
    let listed = list(state, call)?;
    for stored in &listed.items {
        let name = meta::name(&stored.value);
        let key = State::key(call.resource, meta::namespace(&stored.value), name);
        match delete::delete(state, call.resource, &key, &options, &call.writer()) {
            Err(refusal) if refusal.code != StatusCode::NOT_FOUND => return Err(refusal),
            _ => {}
        }
    }
    Ok(listed)
}

/// The selector of a list or a watch.
pub(crate) fn selector(call: &Call<'_>) -> Outcome<Selector> {
    let query = &call.info.query;
    let selector = Selector::parse(
        query.get("labelSelector"),
        query.get("fieldSelector"),
        call.resource,
    )?;
    let name = &call.target.name;
    if name.is_empty() {
        return Ok(selector);
    }
    if selector.only_name().is_some_and(|only| only != name) {
        return Err(Refusal::bad_request(
            "both a name and a field selector were specified",
        ));
    }
    Ok(selector.with_name(name))
}

/// The object as `resource` shows it; `None` where it is shown as stored.
pub(crate) fn converted(resource: &Resource, object: &Value) -> Option<Value> {
    if let Some(object) = events::from_storage(resource, object) {
        return Some(object);
    }
    // Versions of a custom resource without conversion differ in their name alone.
    let version = resource.api_version();
    if resource.is_custom() && object["apiVersion"] != json!(version) {
        let mut object = object.clone();
        object["apiVersion"] = json!(version);
        return Some(object);
    }
    None
}

/// The query's resourceVersion; 0 where it has none.
pub(crate) fn version(query: &Query) -> Outcome<u64> {
    let text = query.get("resourceVersion");
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        Refusal::unexpected(&format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             invalid syntax"
        ))
    })
}

fn check_match(query: &Query, resource: &Resource) -> Outcome<()> {
    let matching = query.get("resourceVersionMatch");
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if !matching.is_empty() {
        if query.get("resourceVersion").is_empty() {
            let told = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(FieldError::forbidden(field, told));
        }
        if !query.get("continue").is_empty() {
            let told = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(field, told));
        }
        if matching != "Exact" && matching != "NotOlderThan" {
            let known = ["Exact", "NotOlderThan", ""];
            errors.push(FieldError::not_supported(field, &json!(matching), &known));
        }
        if matching == "Exact" && query.get("resourceVersion") == "0" {
            let told = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(field, told));
        }
    }
    if !query.get("sendInitialEvents").is_empty() {
        let told = "sendInitialEvents is forbidden for list";
        errors.push(FieldError::forbidden("sendInitialEvents", told));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let _ = resource;
    Err(Refusal::invalid("ListOptions.meta.k8s.io", "", &errors))
}

fn path(stored: &Stored) -> String {
    let (namespace, name) = (meta::namespace(&stored.value), meta::name(&stored.value));
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

/// Where the next page of a list begins: readers hand it back as it is.
fn token(revision: u64, path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in format!("{revision}:{path}").bytes() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn parse_token(text: &str) -> Outcome<(u64, String)> {
    let read = || {
        let bytes = text.as_bytes();
        let bytes: Option<Vec<u8>> = bytes
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let plain = String::from_utf8(bytes?).ok()?;
        let (revision, path) = plain.split_once(':')?;
        Some((revision.parse().ok()?, path.to_owned()))
    };
    read().ok_or_else(|| Refusal::bad_request("invalid continue token: continue key is not valid"))
}

//! Strategic merge: a merge patch that knows which lists are sets with a key.

use serde_json::{Map, Value, json};

use crate::schema;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into an object of the Go type `type_name`.
pub(crate) fn merge(type_name: &str, target: &mut Value, patch: &Value) {
    let root = json!({"$ref": type_name});
    merge_value(&root, target, patch);
}

fn merge_value(shape: &Value, target: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    match changes.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *target = without_directives(changes);
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    if let Some(kept) = changes.get(RETAIN).and_then(Value::as_array) {
        fields.retain(|field, _| kept.iter().any(|k| k == field));
    }
    for (field, change) in changes {
        if let Some(list) = field.strip_prefix(DELETE_PRIMITIVES) {
            let gone = change.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(items)) = fields.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if field.starts_with('$') {
            continue;
        }
        if change.is_null() {
            fields.remove(field);
            continue;
        }
        let inner = field_shape(shape, field);
        let slot = fields.entry(field.clone()).or_insert(Value::Null);
        if change.is_array() && merges(inner) {
            let order = changes
                .get(&format!("{ORDER}{field}"))
                .and_then(Value::as_array);
            merge_list(inner, slot, change, order.map(Vec::as_slice));
        } else if change.is_object() {
            merge_value(inner, slot, change);
        } else {
            *slot = change.clone();
        }
    }
    for (field, order) in changes {
        let Some(list) = field
            .strip_prefix(ORDER)
            .filter(|list| !changes.contains_key(*list))
        else {
            continue;
        };
        let key = merge_key(field_shape(shape, list)).to_owned();
        if let (Some(order), Some(Value::Array(items))) = (order.as_array(), fields.get_mut(list)) {
            let before = items.clone();
            *items = arranged(std::mem::take(items), &before, order, &key);
        }
    }
}

fn merge_list(shape: &Value, target: &mut Value, patch: &Value, order: Option<&[Value]>) {
    let changes = patch.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut items = target.as_array().cloned().unwrap_or_default();
    let key = merge_key(shape);
    if changes.iter().any(|c| c[DIRECTIVE] == json!("replace")) {
        *target = changes
            .iter()
            .filter(|c| c[DIRECTIVE].is_null())
            .cloned()
            .collect();
        return;
    }
    for change in changes {
        if key.is_empty() || !change.is_object() {
            if !items.contains(change) {
                items.push(change.clone());
            }
            continue;
        }
        let at = items.iter().position(|item| item[key] == change[key]);
        match (at, change[DIRECTIVE].as_str()) {
            (Some(at), Some("delete")) => {
                items.remove(at);
            }
            (None, Some("delete")) => {}
            (Some(at), _) => merge_value(&shape["items"], &mut items[at], change),
            (None, _) => {
                let mut item = Value::Object(Map::new());
                merge_value(&shape["items"], &mut item, change);
                items.push(item);
            }
        }
    }
    let before = target.as_array().cloned().unwrap_or_default();
    let order = order.unwrap_or(changes);
    *target = Value::Array(arranged(items, &before, order, key));
}

/// The items that `order` names come in its order; each of the others is put in, from the last
/// place on, before the first of them that stood behind it before.
fn arranged(items: Vec<Value>, before: &[Value], order: &[Value], key: &str) -> Vec<Value> {
    let same = |a: &Value, b: &Value| {
        if key.is_empty() {
            a == b
        } else {
            a[key] == b[key]
        }
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut out, others): (Vec<Value>, Vec<Value>) = items
        .into_iter()
        .partition(|item| place(order, item).is_some());
    out.sort_by_key(|item| place(order, item));
    let mut from = 0;
    for other in others {
        let own = place(before, &other);
        let at = out[from..]
            .iter()
            .position(|item| {
                place(before, item).is_some_and(|there| own.is_some_and(|o| there > o))
            })
            .map_or(out.len(), |at| from + at);
        out.insert(at, other);
        from = at + 1;
    }
    out
}

fn without_directives(changes: &Map<String, Value>) -> Value {
    let kept = changes.iter().filter(|(field, _)| !field.starts_with('$'));
    Value::Object(
        kept.map(|(field, value)| (field.clone(), value.clone()))
            .collect(),
    )
}

fn field_shape<'a>(shape: &'a Value, field: &str) -> &'a Value {
    match shape["$ref"].as_str() {
        Some(type_name) => &schema::definition(type_name)["properties"][field],
        None => &shape["additionalProperties"],
    }
}

fn merges(shape: &Value) -> bool {
    shape["x-kubernetes-patch-strategy"]
        .as_str()
        .is_some_and(|strategies| strategies.split(',').any(|s| s == "merge"))
}

fn merge_key(shape: &Value) -> &str {
    shape["x-kubernetes-patch-merge-key"]
        .as_str()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;

    #[test]
    fn keyed_lists_are_merged() {
        let mut pod = json!({"spec": {"containers": [
            {"name": "a", "image": "one"}, {"name": "b", "image": "two"},
        ]}});
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}],
            "containers": [
                {"name": "b", "image": "three"}, {"name": "c"}, {"$patch": "delete", "name": "a"},
            ],
        }});
        merge("io.k8s.api.core.v1.Pod", &mut pod, &patch);
        let wanted = json!({"spec": {"containers": [
            {"name": "b", "image": "three"}, {"name": "c"},
        ]}});
        assert_eq!(pod, wanted);
    }

    #[test]
    fn finalizers_are_a_set_and_null_removes() {
        let mut map = json!({"metadata": {"finalizers": ["a/b"], "labels": {"x": "y"}}});
        let patch = json!({"metadata": {
            "finalizers": ["c/d"], "$deleteFromPrimitiveList/finalizers": ["a/b"], "labels": null,
        }});
        merge("io.k8s.api.core.v1.ConfigMap", &mut map, &patch);
        assert_eq!(map, json!({"metadata": {"finalizers": ["c/d"]}}));
    }
}

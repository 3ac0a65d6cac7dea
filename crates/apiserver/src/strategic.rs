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
            merge_list(inner, slot, change);
        } else if change.is_object() {
            merge_value(inner, slot, change);
        } else {
            *slot = change.clone();
        }
    }
    for (field, order) in changes {
        if let (Some(list), Some(order)) = (field.strip_prefix(ORDER), order.as_array()) {
            let key = merge_key(field_shape(shape, list)).to_owned();
            if let Some(Value::Array(items)) = fields.get_mut(list) {
                put_in_order(items, order, &key);
            }
        }
    }
}

fn merge_list(shape: &Value, target: &mut Value, patch: &Value) {
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
    *target = Value::Array(items);
}

/// Items named in `order` come in that order; those of others stay behind them.
fn put_in_order(items: &mut [Value], order: &[Value], key: &str) {
    let place = |item: &Value| {
        order
            .iter()
            .position(|o| {
                if key.is_empty() {
                    o == item
                } else {
                    o[key] == item[key]
                }
            })
            .unwrap_or(usize::MAX)
    };
    items.sort_by_key(place);
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

//! JSON as nobody would write it, and as somebody did.

use serde_json::{Map, Value, json};

use crate::choices::Choices;

/// Change a few things at these places of `object` (JSON pointers; what is missing on the way is
/// made), or at places that the object itself has.
pub(crate) fn mangle(choices: &Choices, object: &mut Value, places: &[&str]) {
    for _ in 0..=choices.below(4) {
        let place = if choices.below(4) == 3 {
            some_place(choices, object)
        } else {
            choices.one_of(places).to_owned()
        };
        let value = value(choices);
        if choices.below(8) == 7 {
            remove(object, &place);
        } else {
            put(object, &place, value);
        }
    }
}

/// Put `value` at `place`, over whatever is on the way.
pub(crate) fn put(object: &mut Value, place: &str, value: Value) {
    let mut slot = object;
    for part in place.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if let Value::Array(items) = slot
            && let Ok(at) = part.parse::<usize>()
            && at < items.len()
        {
            let Value::Array(items) = slot else { return };
            slot = &mut items[at];
            continue;
        }
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(fields) = slot else { return };
        slot = fields.entry(part).or_insert(Value::Null);
    }
    *slot = value;
}

fn remove(object: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else {
        return;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
        fields.remove(&name);
    }
}

fn some_place(choices: &Choices, object: &Value) -> String {
    let mut place = String::new();
    let mut here = object;
    for _ in 0..=choices.below(4) {
        let Some(fields) = here.as_object().filter(|fields| !fields.is_empty()) else {
            break;
        };
        let Some((name, next)) = fields.iter().nth(choices.below(fields.len())) else {
            break;
        };
        place.push('/');
        place.push_str(&name.replace('~', "~0").replace('/', "~1"));
        here = next;
    }
    place
}

/// A value that somebody might find there.
pub(crate) fn value(choices: &Choices) -> Value {
    match choices.below(32) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(1),
        5 => json!(15),
        6 => json!(i32::MAX),
        7 => json!(i64::MAX),
        8 => json!(i64::MIN),
        9 => json!(u64::MAX),
        10 => json!(1e300),
        11 => json!(-0.5),
        12 => json!(""),
        13 => json!("me"),
        14 => json!("2026-01-01T00:00:00.000000Z"),
        15 => json!("2016-12-31T23:59:60Z"),
        16 => json!("-009999-01-01T00:00:00Z"),
        17 => json!("9999-12-30T22:00:00.999999999Z"),
        18 => json!("0001-01-01T00:00:00Z"),
        19 => json!("yesterday"),
        20 => json!([]),
        21 => json!({}),
        22 => json!([null, {"a": [1]}]),
        23 => json!({"a": null, "kind": "Pod", "uid": "u"}),
        24 => json!("\u{0}\u{7f}\u{fffd}\u{10ffff}é"),
        25 => json!("x".repeat(1 << choices.below(14))),
        26 => json!(u64::from(choices.byte()) << choices.below(32)),
        27 => json!("9".repeat(1 + choices.below(40))),
        28 => deep(choices.below(120)),
        29 => wide(choices.below(200)),
        30 => {
            let text = choices.take(8);
            json!(String::from_utf8_lossy(&text))
        }
        _ => {
            // As it stands in the input, where that is JSON.
            let text = choices.take(24);
            serde_json::from_slice(&text).unwrap_or(Value::Null)
        }
    }
}

fn deep(levels: usize) -> Value {
    let mut value = json!(1);
    for level in 0..levels {
        value = if level % 2 == 0 {
            json!([value])
        } else {
            json!({"a": value})
        };
    }
    value
}

fn wide(fields: usize) -> Value {
    let fields = (0..fields).map(|n| (format!("f{n}"), json!(n)));
    Value::Object(fields.collect())
}

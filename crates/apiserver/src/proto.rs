//! Bodies in Kubernetes' protobuf form, which kubectl's typed commands send (`kubectl create
//! namespace`, for one): they are turned into JSON by the table of the built-in kinds.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

use crate::schema;

/// The media type of these bodies.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any built-in kind but a hostile one.
const DEPTH: usize = 64;

/// One field of a message.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// Reads a body as an object of the Go type `type_name`; `None` when it is malformed.
pub(crate) fn to_json(type_name: &str, body: &[u8]) -> Option<Value> {
    let envelope = fields(body.strip_prefix(MAGIC)?)?;
    let (mut out, mut raw): (_, &[u8]) = (json!({}), &[]);
    let (mut api_version, mut kind) = (None, None);
    for (number, field) in envelope {
        match (number, field) {
            (1, Field::Bytes(meta)) => {
                for (number, field) in fields(meta)? {
                    match (number, field) {
                        (1, Field::Bytes(text)) => api_version = Some(text_of(text)?),
                        (2, Field::Bytes(text)) => kind = Some(text_of(text)?),
                        _ => {}
                    }
                }
            }
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let content = message(type_name, raw, DEPTH)?;
    if let Some(object) = out.as_object_mut() {
        object.extend(content);
        object.extend(api_version.map(|v| ("apiVersion".to_owned(), v)));
        object.extend(kind.map(|v| ("kind".to_owned(), v)));
    }
    Some(out)
}

fn message(type_name: &str, bytes: &[u8], depth: usize) -> Option<Map<String, Value>> {
    let depth = depth.checked_sub(1)?;
    let definition = schema::definition(type_name);
    let by_number: BTreeMap<u64, (&String, &Value)> = definition["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, shape)| Some((shape["x-proto"].as_u64()?, (name, shape))))
        .collect();
    let mut out = Map::new();
    for (number, field) in fields(bytes)? {
        if let Some((name, shape)) = by_number.get(&number) {
            add(&mut out, name, shape, field, depth)?;
        } else if let (Some(inlined), Field::Bytes(bytes)) =
            (definition["x-inline"][number.to_string()].as_str(), field)
        {
            out.extend(message(inlined, bytes, depth)?);
        }
    }
    Some(out)
}

/// Adds a field to an object: lists and maps come one entry at a time.
fn add(
    out: &mut Map<String, Value>,
    name: &str,
    shape: &Value,
    field: Field<'_>,
    depth: usize,
) -> Option<()> {
    let plain = shape["x-any"] != json!(true);
    match shape["type"].as_str() {
        Some("array") if plain => {
            let item = value(&shape["items"], field, depth)?;
            let list = out.entry(name.to_owned()).or_insert_with(|| json!([]));
            list.as_array_mut()?.push(item);
        }
        Some("object") if plain => {
            let Field::Bytes(entry) = field else {
                return None;
            };
            let (mut key, mut inner) = ("", None);
            for (number, field) in fields(entry)? {
                match (number, field) {
                    (1, Field::Bytes(text)) => key = std::str::from_utf8(text).ok()?,
                    (2, field) => inner = Some(field),
                    _ => {}
                }
            }
            let inner = inner.unwrap_or(Field::Bytes(&[]));
            let inner = value(&shape["additionalProperties"], inner, depth)?;
            let map = out.entry(name.to_owned()).or_insert_with(|| json!({}));
            map.as_object_mut()?.insert(key.to_owned(), inner);
        }
        _ => {
            out.insert(name.to_owned(), value(shape, field, depth)?);
        }
    }
    Some(())
}

fn value(shape: &Value, field: Field<'_>, depth: usize) -> Option<Value> {
    if shape["x-kubernetes-int-or-string"] == json!(true) {
        return int_or_string(field);
    }
    if let Some(type_name) = shape["$ref"].as_str() {
        let Field::Bytes(bytes) = field else {
            return None;
        };
        return message(type_name, bytes, depth).map(Value::Object);
    }
    if shape["x-any"] == json!(true) {
        return wrapped(shape, field);
    }
    match (shape["type"].as_str()?, field) {
        ("string", Field::Bytes(bytes)) => match shape["format"].as_str() {
            Some("byte") => Some(json!(BASE64_STANDARD.encode(bytes))),
            Some("date-time") => time(shape, bytes),
            _ => text_of(bytes),
        },
        ("boolean", Field::Number(number)) => Some(json!(number != 0)),
        // Negative numbers are written as the 64 bits that they have.
        ("integer", Field::Number(number)) => Some(json!(number.cast_signed())),
        ("number", Field::Double(number)) => Some(json!(number)),
        _ => None,
    }
}

fn time(shape: &Value, bytes: &[u8]) -> Option<Value> {
    let (mut seconds, mut nanos) = (None, 0);
    for (number, field) in fields(bytes)? {
        match (number, field) {
            (1, Field::Number(number)) => seconds = Some(number.cast_signed()),
            (2, Field::Number(number)) => nanos = i32::try_from(number.cast_signed()).ok()?,
            _ => {}
        }
    }
    let Some(seconds) = seconds else {
        return Some(Value::Null);
    };
    let stamp = jiff::Timestamp::new(seconds, nanos).ok()?;
    let form = if shape["x-micro"] == json!(true) {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    Some(json!(stamp.strftime(form).to_string()))
}

/// Types that print themselves: a quantity is its text, the rest is JSON as bytes.
fn wrapped(shape: &Value, field: Field<'_>) -> Option<Value> {
    let Field::Bytes(bytes) = field else {
        return None;
    };
    let inner = fields(bytes)?.into_iter().find(|(number, _)| *number == 1);
    let Some((_, Field::Bytes(raw))) = inner else {
        return Some(Value::Null);
    };
    if shape["type"] == json!("string") {
        return text_of(raw);
    }
    serde_json::from_slice(raw).ok()
}

fn int_or_string(field: Field<'_>) -> Option<Value> {
    let Field::Bytes(bytes) = field else {
        return None;
    };
    let (mut is_text, mut number, mut text) = (false, 0, json!(""));
    for (at, field) in fields(bytes)? {
        match (at, field) {
            (1, Field::Number(kind)) => is_text = kind == 1,
            (2, Field::Number(given)) => number = given.cast_signed(),
            (3, Field::Bytes(given)) => text = text_of(given)?,
            _ => {}
        }
    }
    Some(if is_text { text } else { json!(number) })
}

fn text_of(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok().map(|text| json!(text))
}

/// The fields of a message, in their order.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => {
                let (head, rest) = bytes.split_first_chunk::<8>()?;
                bytes = rest;
                Field::Double(f64::from_le_bytes(*head))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (head, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Field::Bytes(head)
            }
            5 => {
                let (head, rest) = bytes.split_first_chunk::<4>()?;
                bytes = rest;
                Field::Double(f64::from(f32::from_le_bytes(*head)))
            }
            _ => return None,
        };
        out.push((tag >> 3, field));
    }
    Some(out)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut out = 0_u64;
    for at in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        out |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_json;

    /// A message field of bytes.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn a_config_map_is_read() {
        let meta = field(1, b"m");
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [field(1, &meta), field(2, &entry), vec![4 << 3, 1]].concat();
        let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        let body = [b"k8s\0".to_vec(), field(1, &kind), field(2, &raw)].concat();
        assert_eq!(
            to_json("io.k8s.api.core.v1.ConfigMap", &body).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
                "data": {"k": "v"}, "immutable": true,
            })
        );
        for end in 5..body.len() {
            // Cut short, it is refused or read in part, and nothing worse.
            let _ = to_json("io.k8s.api.core.v1.ConfigMap", &body[..end]);
        }
        assert_eq!(to_json("io.k8s.api.core.v1.ConfigMap", b"{}"), None);
    }
}

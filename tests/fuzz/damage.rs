//! Valid documents, damaged.

use serde_json::{Map, Value, json};

use super::chance::Chance;

/// No parser of ours follows so far.
const DEEP: usize = 400;

/// Texts that some field is read as.
const READABLE: [&str; 16] = [
    "",
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z",
    "-9999-01-01T00:00:00Z",
    "+275760-09-13T00:00:00Z",
    "2026-01-01T00:00:00.999999999999Z",
    "18446744073709551615",
    "-1",
    "coord demo builder-s0 g18446744073709551615 c1",
    "coord demo builder-s4294967295 g1 c1",
    "demo-builder-s4294967295",
    "https://evil.example/next",
    "finished",
    "COMPLETED",
    "True",
];

/// Changes a few places of a document.
pub(super) fn damaged(chance: &mut Chance, mut document: Value) -> Value {
    for _ in 0..*chance.one_of(&[0, 1, 0, 1, 0, 2, 0, 3]) {
        change(chance, &mut document);
    }
    document
}

fn change(chance: &mut Chance, node: &mut Value) {
    match node {
        Value::Array(items) if !items.is_empty() => match chance.below(12) {
            11 => *node = leaf(chance),
            10 => items.truncate(chance.below(2)),
            9 => {
                let copy = items[chance.below(items.len())].clone();
                items.extend(std::iter::repeat_n(copy, 1 + chance.below(30)));
            }
            _ => {
                let at = chance.below(items.len());
                change(chance, &mut items[at]);
            }
        },
        Value::Object(fields) if !fields.is_empty() => {
            let name = fields.keys().nth(chance.below(fields.len())).cloned().unwrap_or_default();
            match chance.below(16) {
                15 => *node = leaf(chance),
                14 => drop(fields.remove(&name)),
                13 => drop(fields.insert(chance.text(), leaf(chance))),
                _ => change(chance, &mut fields[&name]),
            }
        }
        Value::String(text) if chance.below(3) > 0 => text.push_str(&chance.text()),
        _ => *node = leaf(chance),
    }
}

fn leaf(chance: &mut Chance) -> Value {
    match chance.below(14) {
        0..=3 => json!(chance.text()),
        4 | 5 => json!(*chance.one_of(&READABLE)),
        6 => Value::Null,
        7 => json!(chance.below(2) == 0),
        8 => {
            chance.one_of(&[json!(0), json!(-1), json!(1.5), json!(1e300), json!(i64::MIN)]).clone()
        }
        9 => chance
            .one_of(&[json!(u64::MAX), json!(i64::MAX), json!(u32::MAX), json!(i32::MIN)])
            .clone(),
        10 => json!([]),
        11 => Value::Object(Map::new()),
        12 => (0..DEEP).fold(Value::Null, |inner, _| json!([inner])),
        _ => (0..DEEP).fold(Value::Null, |inner, _| json!({ "a": inner })),
    }
}

/// The bytes of a document, now and then not those of a document any more.
pub(super) fn written(chance: &mut Chance, document: &Value) -> Vec<u8> {
    let mut text = document.to_string().into_bytes();
    match chance.below(48) {
        43 => text.truncate(chance.below(256) * text.len() / 256),
        44 => text = b"<!DOCTYPE html><html><body>Please sign in</body></html>".to_vec(),
        45 => text.clear(),
        46 => text = chance.text().into_bytes(),
        47 => {
            for _ in 0..4 {
                let at = chance.below(256) * text.len() / 256;
                if let Some(byte) = text.get_mut(at) {
                    *byte = u8::try_from(chance.below(256)).unwrap_or_default();
                }
            }
        }
        _ => {}
    }
    text
}

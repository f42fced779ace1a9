//! Edits of metadata files that leave them JSON.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lakehouse_testkit::Random;
use serde_json::{Map, Value, json};

use crate::change::Rule;

/// One value removed, repeated or replaced by a value that does not belong there.
pub(crate) fn edit(bytes: &[u8], random: &mut Random) -> (Vec<u8>, String, Rule) {
    let is_packed = bytes.starts_with(&[0x1F, 0x8B]);
    let mut text = Vec::new();
    if is_packed {
        GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    } else {
        text.extend_from_slice(bytes);
    }
    let mut root: Value = serde_json::from_slice(&text).unwrap();
    let mut path = Vec::new();
    let target = random.within(0..count(&root) - 1) + 1;
    let what = change_at(&mut root, &mut { target }, &mut path, random);
    let what = format!("JSON {}: {what}", path.join("."));
    let text = written(&root);
    let bytes = if is_packed {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    } else {
        text.into_bytes()
    };
    (bytes, what, Rule::Anything)
}

/// Numbers no JSON library of values can hold stand as texts with this mark.
const RAW: &str = "\u{1}raw ";

fn written(root: &Value) -> String {
    let mut text = root.to_string();
    while let Some(start) = text.find("\"\\u0001raw ") {
        let end = start + text[start + 1..].find('"').unwrap() + 2;
        let raw = text[start + "\"\\u0001raw ".len()..end - 1].to_owned();
        let raw = match raw.strip_prefix("deep ") {
            Some(depth) => {
                let depth: usize = depth.parse().unwrap();
                format!("{}{}", "[".repeat(depth), "]".repeat(depth))
            }
            None => raw,
        };
        text.replace_range(start..end, &raw);
    }
    // A key with this mark stands twice.
    text.replace("\\u0001twice", "")
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

/// Changes the value that stands `left` steps further in the order of reading.
fn change_at(
    value: &mut Value,
    left: &mut usize,
    path: &mut Vec<String>,
    random: &mut Random,
) -> String {
    let keys: Vec<String> = match value {
        Value::Array(items) => (0..items.len()).map(|at| at.to_string()).collect(),
        Value::Object(entries) => entries.keys().cloned().collect(),
        _ => Vec::new(),
    };
    for key in keys {
        *left -= 1;
        let child = child(value, &key);
        path.push(key.clone());
        if *left == 0 {
            return replace(value, &key, random);
        }
        let size = count(child) - 1;
        if *left <= size {
            return change_at(child, left, path, random);
        }
        *left -= size;
        path.pop();
    }
    "nothing".to_owned()
}

fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    match value {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        Value::Object(entries) => entries.get_mut(key).unwrap(),
        _ => unreachable!("only these have children"),
    }
}

fn replace(parent: &mut Value, key: &str, random: &mut Random) -> String {
    let old = child(parent, key).clone();
    match random.within(0..4) {
        0 => {
            match parent {
                Value::Array(items) => drop(items.remove(key.parse::<usize>().unwrap())),
                Value::Object(entries) => drop(entries.remove(key)),
                _ => {}
            }
            return "removed".to_owned();
        }
        1 => {
            let other = other_value(&old, random);
            match parent {
                Value::Array(items) => items.push(other),
                Value::Object(entries) => repeat(entries, key, other),
                _ => {}
            }
            return "repeated".to_owned();
        }
        _ => {}
    }
    let new = other_value(&old, random);
    let what = format!("{:.60} to {:.60}", old.to_string(), new.to_string());
    *child(parent, key) = new;
    what
}

fn repeat(entries: &mut Map<String, Value>, key: &str, value: Value) {
    entries.insert(format!("{key}\u{1}twice"), value);
}

fn other_value(old: &Value, random: &mut Random) -> Value {
    let near = old.as_i64().map(|number| json!(number.wrapping_add(1)));
    let negative = old.as_i64().map(|number| json!(number.wrapping_neg()));
    let values = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(i32::MAX),
        json!(1.5),
        json!(format!("{RAW}1e400")),
        json!(format!("{RAW}123456789012345678901234567890")),
        json!(format!("{RAW}deep 100")),
        json!(format!("{RAW}deep 200000")),
        json!(""),
        json!("x"),
        json!("memory:///elsewhere"),
        json!("/../.."),
        json!("a".repeat(100_000)),
        json!([]),
        json!({}),
        json!([old.clone()]),
        json!({ "x": old.clone() }),
        json!({"type": "struct", "fields": [old.clone()]}),
        near.unwrap_or(Value::Null),
        negative.unwrap_or_else(|| json!("s3://bucket/key")),
    ];
    random.pick(&values).clone()
}

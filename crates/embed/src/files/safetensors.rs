//! The header of `.safetensors` files: names, types, shapes and places, and texts beside them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::raw::{Bytes, FileRows, Number};
use crate::EmbedError;

/// Longest header that is read: that of the format's own reader.
const MAX_HEADER: u64 = 100_000_000;

/// A tensor's description.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    /// First byte in the file.
    pub(super) start: u64,
    /// Bytes.
    pub(super) len: u64,
}

/// Texts and tensors of a file.
pub(super) struct Header {
    pub(super) texts: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

pub(super) fn header(bytes: &Bytes) -> Result<Header, EmbedError> {
    let neither = "neither a .npy nor a .safetensors file";
    let mut size = [0; 8];
    if bytes.len < 8 {
        return Err(bytes.refuse(neither));
    }
    bytes.read(0, &mut size)?;
    let size = u64::from_le_bytes(size);
    if !(2..=MAX_HEADER).contains(&size) {
        return Err(bytes.refuse(neither));
    }
    bytes.check_end(8 + size, "the header")?;
    let mut text = vec![0; size as usize];
    bytes.read(8, &mut text)?;
    let Ok(Value::Object(entries)) = serde_json::from_slice::<Value>(&text) else {
        return Err(bytes.refuse(neither));
    };
    let mut header = Header { texts: BTreeMap::new(), tensors: BTreeMap::new() };
    for (name, entry) in entries {
        if name == "__metadata__" {
            let texts = entry.as_object().into_iter().flatten();
            header.texts.extend(texts.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))));
            continue;
        }
        let tensor = tensor(&entry, 8 + size).ok_or_else(|| {
            bytes.refuse(format!("tensor `{name}`: no type, shape or place that makes sense"))
        })?;
        bytes.check_end(tensor.start + tensor.len, &format!("tensor `{name}`"))?;
        header.tensors.insert(name, tensor);
    }
    Ok(header)
}

fn tensor(entry: &Value, data: u64) -> Option<Tensor> {
    let shape = entry["shape"].as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
    let place = entry["data_offsets"].as_array()?;
    let [from, to] = [place.first()?.as_u64()?, place.get(1)?.as_u64()?];
    let len = to.checked_sub(from)?;
    let start = data.checked_add(from)?;
    start.checked_add(len)?;
    Some(Tensor { dtype: entry["dtype"].as_str()?.to_owned(), shape, start, len })
}

/// A table of floats.
pub(super) fn rows(bytes: Bytes, tensor: Option<&str>) -> Result<FileRows, EmbedError> {
    let header = header(&bytes)?;
    let tables = || header.tensors.iter().filter(|(_, t)| t.shape.len() == 2);
    let names = || {
        let mut names: Vec<&str> = tables().map(|(name, _)| name.as_str()).take(12).collect();
        if names.is_empty() {
            names.push("none");
        }
        names.join(", ")
    };
    let (name, found) = match tensor {
        Some(name) => {
            let found = header.tensors.get_key_value(name);
            found.ok_or_else(|| bytes.refuse(format!("no tensor `{name}`; tables are: {}", names())))?
        }
        None => {
            let mut all = tables();
            match (all.next(), all.next()) {
                (Some(one), None) => one,
                _ => {
                    return Err(
                        bytes.refuse(format!("say which tensor with --tensor; tables are: {}", names()))
                    );
                }
            }
        }
    };
    let number = match found.dtype.as_str() {
        "F32" => Number::F32,
        "F16" => Number::F16,
        "BF16" => Number::BF16,
        "F64" => Number::F64,
        other => {
            return Err(
                bytes.refuse(format!("tensor `{name}` is {other}; a table has F16, BF16, F32 or F64"))
            );
        }
    };
    let [rows, columns] = found.shape[..] else {
        return Err(
            bytes.refuse(format!("tensor `{name}` has shape {:?}; a table has two axes", found.shape))
        );
    };
    let needs = u128::from(rows) * u128::from(columns) * number.bytes() as u128;
    if needs != u128::from(found.len) {
        return Err(bytes.refuse(format!("tensor `{name}`: {} bytes for shape {:?}", found.len, found.shape)));
    }
    FileRows::new(bytes, found.start, number, [rows, columns])
}

/// The bytes before the tensors `(name, type, shape, bytes)`, which follow one another.
pub(super) fn header_bytes(texts: &[(String, String)], tensors: &[(&str, &str, Vec<u64>, u64)]) -> Vec<u8> {
    let texts: serde_json::Map<String, Value> =
        texts.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
    let mut all = serde_json::Map::new();
    all.insert("__metadata__".into(), Value::Object(texts));
    let mut at = 0;
    for (name, dtype, shape, len) in tensors {
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, at + len] });
        all.insert((*name).into(), entry);
        at += len;
    }
    let mut text = Value::Object(all).to_string();
    let padded = (8 + text.len()).next_multiple_of(64) - 8;
    text.extend(std::iter::repeat_n(' ', padded - text.len()));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

//! The header of `.npy` files: numbers in C order, little-endian.

use super::raw::{Bytes, FileRows, Number};
use crate::EmbedError;

/// Longest header that is read.
const MAX_HEADER: usize = 1 << 16;

pub(super) fn is_npy(bytes: &Bytes) -> Result<bool, EmbedError> {
    if bytes.len < 8 {
        return Ok(false);
    }
    let mut magic = [0; 6];
    bytes.read(0, &mut magic)?;
    Ok(magic == *b"\x93NUMPY")
}

/// Number type (without its byte order), shape, and where the numbers start.
pub(super) fn header(bytes: &Bytes) -> Result<(String, Vec<u64>, u64), EmbedError> {
    let mut prefix = [0; 12];
    let have = bytes.len.min(12) as usize;
    bytes.read(0, &mut prefix[..have])?;
    let (start, size) = match (have, prefix[6]) {
        (10.., 1) => (10, usize::from(u16::from_le_bytes([prefix[8], prefix[9]]))),
        (12, 2 | 3) => (12, u32::from_le_bytes([prefix[8], prefix[9], prefix[10], prefix[11]]) as usize),
        _ => return Err(bytes.refuse("not a .npy file of version 1, 2 or 3")),
    };
    if size > MAX_HEADER {
        return Err(bytes.refuse(format!("a header of {size} bytes; at most {MAX_HEADER} are read")));
    }
    bytes.check_end((start + size) as u64, "the header")?;
    let mut text = vec![0; size];
    bytes.read(start as u64, &mut text)?;
    let (descr, shape) = parse(&String::from_utf8_lossy(&text)).map_err(|problem| bytes.refuse(problem))?;
    Ok((descr, shape, (start + size) as u64))
}

fn parse(header: &str) -> Result<(String, Vec<u64>), String> {
    let value = |key: &str| {
        let after =
            header.split_once(&format!("'{key}'")).ok_or_else(|| format!("the header has no '{key}'"))?.1;
        Ok::<_, String>(after.trim_start().trim_start_matches(':').trim_start())
    };
    let quoted = value("descr")?.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
    let (descr, _) = quoted.ok_or("structured arrays are not read")?;
    if !value("fortran_order")?.starts_with("False") {
        return Err("Fortran order: save with `np.ascontiguousarray`".into());
    }
    let shape = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or("'shape' is not a tuple")?;
    let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    let shape = axes
        .map(|axis| axis.parse().map_err(|_| format!("axis '{axis}' of the shape")))
        .collect::<Result<_, _>>()?;
    match descr.split_at_checked(1) {
        Some(("<" | "|" | "=", name)) => Ok((name.to_owned(), shape)),
        _ => Err(format!("numbers of type '{descr}'; little-endian ones are read")),
    }
}

/// A table of floats.
pub(super) fn rows(bytes: Bytes) -> Result<FileRows, EmbedError> {
    let (descr, shape, start) = header(&bytes)?;
    let number = match descr.as_str() {
        "f4" => Number::F32,
        "f2" => Number::F16,
        "f8" => Number::F64,
        other => return Err(bytes.refuse(format!("numbers of type '{other}'; a table has f2, f4 or f8"))),
    };
    let [rows, columns] = shape[..] else {
        return Err(bytes.refuse(format!("an array of shape {shape:?}; a table has two axes")));
    };
    FileRows::new(bytes, start, number, [rows, columns])
}

/// Counts: one number per row.
pub(super) fn counts(bytes: Bytes) -> Result<FileRows, EmbedError> {
    if !is_npy(&bytes)? {
        return Err(bytes.refuse("not a .npy file; counts are one"));
    }
    let (descr, shape, start) = header(&bytes)?;
    let number = match descr.as_str() {
        "f4" => Number::F32,
        "f2" => Number::F16,
        "f8" => Number::F64,
        "i8" => Number::Integer(8, true),
        "i4" => Number::Integer(4, true),
        "i2" => Number::Integer(2, true),
        "u8" => Number::Integer(8, false),
        "u4" => Number::Integer(4, false),
        "u2" => Number::Integer(2, false),
        "u1" => Number::Integer(1, false),
        other => {
            return Err(bytes.refuse(format!("numbers of type '{other}'; counts are integers or floats")));
        }
    };
    match shape[..] {
        [rows] | [rows, 1] => FileRows::new(bytes, start, number, [rows, 1]),
        _ => Err(bytes.refuse(format!("an array of shape {shape:?}; counts are one per row"))),
    }
}

/// The bytes before the numbers of an array of this type and shape.
pub(super) fn header_bytes(descr: &str, rows: u64, columns: usize) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // The numbers begin at a multiple of 64.
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
    text.push('\n');
    [b"\x93NUMPY\x01\x00".as_slice(), &(padded as u16).to_le_bytes(), text.as_bytes()].concat()
}

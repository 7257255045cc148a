//! Arrays of numpy: `.npy`, and `.npz` with `x` and optionally `y`.
//!
//! A header is a Python dictionary of three known keys, read here by hand: sixty lines that allocate nothing a
//! header could ask for. A zip is only asked where its members lie; their bytes are streamed like any other.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use zip::{CompressionMethod, ZipArchive};

use super::{Index, Part, Store, check_length, record_bytes};
use crate::error::{DataError, Fault};
use crate::memory::Bytes;
use crate::record::{Number, Record};
use crate::stream::{Form, Place};

/// Headers are some hundred bytes; numpy itself refuses beyond 10,000.
const MAX_HEADER_BYTES: u64 = 1 << 16;

pub(super) fn open(place: Place) -> Result<Index, DataError> {
    let length = place.len()?;
    let array = Array::open(place, length)?;
    array.index(None)
}

pub(super) fn open_zip(place: Place) -> Result<Index, DataError> {
    let mut members = members(&place)?;
    let mut take =
        |name: &str| members.iter().position(|member| member.name == name).map(|at| members.swap_remove(at));
    let labels = take("y.npy");
    let samples = match take("x.npy") {
        Some(samples) => samples,
        None if members.len() == 1 => members.remove(0),
        None => {
            let names: Vec<_> = members.iter().map(|member| format!("`{}`", member.name)).collect();
            let problem =
                format!("no array `x` among [{}]: expected `x` and optionally `y`", names.join(", "));
            return Err(DataError::structure(&place.path, problem));
        }
    };
    let samples = Array::open(samples.place, Some(samples.bytes))?;
    let labels = labels.map(|member| Array::open(member.place, Some(member.bytes))?.labels()).transpose()?;
    samples.index(labels)
}

struct Member {
    name: String,
    place: Place,
    /// Declared size once unpacked.
    bytes: u64,
}

/// All `.npy` members of a zip.
fn members(place: &Place) -> Result<Vec<Member>, DataError> {
    let broken = |error: zip::result::ZipError| DataError::malformed(&place.path, "zip", error.to_string());
    let file = File::open(&place.path).map_err(DataError::io(&place.path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let length = place.len()?.unwrap_or(0);
    let mut members = Vec::new();
    for at in 0..archive.len() {
        let file = archive.by_index_raw(at).map_err(broken)?;
        let name = String::from_utf8_lossy(file.entry().name_raw()).into_owned();
        if !name.ends_with(".npy") {
            continue;
        }
        let refuse =
            |problem: String| DataError::malformed(&place.path, "zip", format!("`{name}`: {problem}"));
        let start = file.data_start().ok_or_else(|| refuse("its data has no beginning".into()))?;
        let len = file.compressed_size();
        if start.checked_add(len).is_none_or(|end| end > length) {
            return Err(refuse(format!("{len} bytes from byte {start} expected, the file has {length}")));
        }
        let form = match file.compression() {
            _ if file.encrypted() => return Err(refuse("encrypted".into())),
            CompressionMethod::Stored => Form::Stored { start, len },
            CompressionMethod::DEFLATE => Form::Deflated { start, len },
            other => return Err(refuse(format!("packed with {other:?}, stored or deflated expected"))),
        };
        members.push(Member { bytes: file.size(), place: Place { path: place.path.clone(), form }, name });
    }
    Ok(members)
}

/// A header read and checked.
struct Array {
    place: Place,
    start: u64,
    /// The first axis, that of samples.
    samples: usize,
    record: Record,
}

impl Array {
    /// `length`: bytes of header and data together, where known.
    fn open(place: Place, length: Option<u64>) -> Result<Array, DataError> {
        let mut stream = place.open()?;
        let refuse = |problem: String| DataError::malformed(&place.path, "npy header", problem);
        let prefix = stream.read_up_to(8)?;
        let width = match prefix[..] {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _] => 2,
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => 4,
            _ => {
                return Err(refuse(format!(
                    "begins with {prefix:02x?}, expected \\x93NUMPY and version 1, 2 or 3"
                )));
            }
        };
        let mut size = [0; 4];
        stream.read_at(8, &mut size[..width])?;
        let size = u64::from(u32::from_le_bytes(size));
        if size > MAX_HEADER_BYTES {
            return Err(refuse(format!("{size} bytes long, at most {MAX_HEADER_BYTES} are accepted")));
        }
        let start = 8 + width as u64 + size;
        let header = stream.read_up_to(size)?;
        if header.len() as u64 != size {
            let problem = format!("{} bytes of header found, {size} expected", header.len());
            return Err(DataError::truncated(&place.path, problem));
        }
        let (mut record, samples) = parse(&String::from_utf8_lossy(&header)).map_err(refuse)?;
        if record.dims.is_empty() {
            record.dims.push(1);
        }
        if samples == 0 {
            let found = "the array has no rows".into();
            return Err(DataError::NoSamples { path: place.path, found });
        }
        let bytes = record_bytes(&place.path, &record)? as u64;
        let overflow = || refuse(format!("{samples} samples of {bytes} bytes are more than any file holds"));
        let expected = bytes
            .checked_mul(samples as u64)
            .and_then(|data| data.checked_add(start))
            .ok_or_else(overflow)?;
        if let Some(length) = length {
            check_length(&place, length, expected, &format!("{samples} samples of shape {:?}", record.dims))?;
        }
        Ok(Array { place, start, samples, record })
    }

    fn index(self, labels: Option<Vec<u32>>) -> Result<Index, DataError> {
        let path = self.place.path.clone();
        if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != self.samples) {
            return Err(DataError::LabelCount { path, labels: labels.len(), samples: self.samples });
        }
        let parts = vec![Part { place: self.place, start: self.start, samples: self.samples }];
        let store = Store::Records { parts, record: self.record };
        Ok(Index { path, store, class_names: Vec::new(), labels })
    }

    /// All values as labels: integers of shape `[N]` or `[N, 1]`.
    fn labels(self) -> Result<Vec<u32>, DataError> {
        if self.record.dims != [1] || !self.record.number.is_integer() {
            let found =
                format!("{:?} of shape [{}, ..{:?}]", self.record.number, self.samples, self.record.dims);
            let problem = format!("labels `y` are {found}, expected integers of shape [{}]", self.samples);
            return Err(DataError::structure(&self.place.path, problem));
        }
        let mut stream = self.place.open()?;
        let expected = self.samples * self.record.number.bytes();
        stream.read_at(self.start, &mut [])?;
        let bytes = stream.read_up_to(expected as u64)?;
        if bytes.len() != expected {
            let problem = format!("{} bytes of labels found, {expected} expected", bytes.len());
            return Err(DataError::truncated(&self.place.path, problem));
        }
        let label = |(index, value): (usize, Option<i64>)| {
            let found = value.unwrap_or(i64::MAX);
            let fault = Fault::Label { found, classes: u32::MAX };
            let place = || format!("{}: y[{index}]", self.place.path.display());
            u32::try_from(found).ok().filter(|&label| label < u32::MAX).ok_or_else(|| fault.of(place()))
        };
        self.record.integers(&bytes).into_iter().enumerate().map(label).collect()
    }
}

/// Samples in memory, as if they lay in an `.npy` file: `descr` is what its header would say, such as `<f4`.
pub(crate) fn in_memory(
    name: &str,
    descr: &str,
    shape: &[usize],
    bytes: Arc<dyn Bytes>,
    labels: Option<Vec<u32>>,
) -> Result<Index, DataError> {
    let path = PathBuf::from(name);
    let (number, big_endian) = number(descr).map_err(|problem| DataError::structure(&path, problem))?;
    let (&samples, dims) = match shape.split_first() {
        None => return Err(DataError::structure(&path, "a single number, expected [N, ...]")),
        Some((0, _)) => return Err(DataError::NoSamples { path, found: "the array has no rows".into() }),
        Some(split) => split,
    };
    let dims = if dims.is_empty() { vec![1] } else { dims.to_vec() };
    let record = Record { label_bytes: 0, classes: 0, number, big_endian, dims };
    let expected = record_bytes(&path, &record)?.checked_mul(samples).map_or(u64::MAX, |bytes| bytes as u64);
    let found = bytes.len();
    let place = Place { path, form: Form::Memory(bytes) };
    check_length(&place, found, expected, &format!("{samples} samples of shape {:?}", record.dims))?;
    Array { place, start: 0, samples, record }.index(labels)
}

/// Number type and shape of `{'descr': '<f4', 'fortran_order': False, 'shape': (10, 3, 32, 32), }`.
fn parse(header: &str) -> Result<(Record, usize), String> {
    let value = |key: &str| {
        let (_, after) = header.split_once(&format!("'{key}'")).ok_or_else(|| format!("no key '{key}'"))?;
        after
            .trim_start()
            .strip_prefix(':')
            .map(str::trim_start)
            .ok_or_else(|| format!("no value for '{key}'"))
    };
    let descr = value("descr")?;
    let quoted = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
    let (descr, _) = quoted.ok_or("'descr' is not a plain number type: structured arrays are not read")?;
    let (number, big_endian) = number(descr)?;
    let (shape, _) = value("shape")?
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .ok_or("'shape' is not a tuple")?;
    let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    let axis = |text: &str| text.parse::<usize>().map_err(|_| format!("axis '{text}' of the shape"));
    let mut shape = axes.map(axis).collect::<Result<Vec<_>, _>>()?;
    if shape.is_empty() {
        return Err("the array is a single number, expected [N, ...]".into());
    }
    if !value("fortran_order")?.starts_with("False") && shape.len() > 1 {
        return Err("Fortran order: save with `np.ascontiguousarray`".into());
    }
    let samples = shape.remove(0);
    Ok((Record { label_bytes: 0, classes: 0, number, big_endian, dims: shape }, samples))
}

/// Number type of `<f4`, and whether its bytes are in reverse.
fn number(descr: &str) -> Result<(Number, bool), String> {
    let (order, name) = descr.split_at_checked(1).unwrap_or_default();
    let number = match name {
        "b1" => Number::Bool,
        "u1" => Number::U8,
        "i1" => Number::I8,
        "u2" => Number::U16,
        "i2" => Number::I16,
        "u4" => Number::U32,
        "i4" => Number::I32,
        "u8" => Number::U64,
        "i8" => Number::I64,
        "f2" => Number::F16,
        "f4" => Number::F32,
        "f8" => Number::F64,
        _ => {
            return Err(format!(
                "number type '{descr}', expected booleans, integers or floats up to 8 bytes"
            ));
        }
    };
    let big_endian = match order {
        "<" | "|" | "=" => false,
        ">" => true,
        _ => return Err(format!("byte order '{order}' of number type '{descr}'")),
    };
    Ok((number, big_endian))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_numpy_are_read() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 3, 32, 32), }   \n";
        let (record, samples) = parse(header).unwrap();
        assert_eq!((record.number, samples, record.dims), (Number::F32, 10, vec![3, 32, 32]));
        let (record, samples) = parse("{'descr': '>i8', 'fortran_order': True, 'shape': (5,), }").unwrap();
        assert_eq!((record.big_endian, samples, record.dims), (true, 5, vec![]));
    }

    #[test]
    fn headers_that_cannot_be_read_say_why() {
        let refused = |descr: &str, order: &str, shape: &str| {
            parse(&format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")).unwrap_err()
        };
        assert!(refused("'<c8'", "False", "(1,)").contains("number type '<c8'"));
        assert!(refused("[('a', '<f4')]", "False", "(1,)").contains("structured"));
        assert!(refused("'<f4'", "True", "(2, 2)").contains("Fortran order"));
        assert!(refused("'<f4'", "False", "()").contains("single number"));
        assert!(refused("'<f4'", "False", "(-1, 2)").contains("axis '-1'"));
        assert!(parse("{}").unwrap_err().contains("no key 'descr'"));
    }
}

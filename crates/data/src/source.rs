//! From a path to an [`Index`]: which source it is, told by content, and where its samples lie.
//!
//! One file per source beside this one. Each answers with the same three stores, so that reading, decoding
//! and batching know nothing of formats.

mod archive;
mod cifar;
mod classes;
mod folder;
mod idx;
pub(crate) mod npy;

use std::path::{Path, PathBuf};

pub(crate) use folder::read as read_file;

use crate::decode::Pixels;
use crate::error::{DataError, Fault};
use crate::record::Record;
use crate::stream::{Form, Place};

/// An opened source: everything but the pixels.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
    /// In order of labels; empty where the source names none.
    pub(crate) class_names: Vec<String>,
    /// One per sample, where they are not in the records.
    pub(crate) labels: Option<Vec<u32>>,
}

/// Where samples lie.
#[derive(Debug)]
pub(crate) enum Store {
    /// One file each, named relative to the root; `first` is the `[height, width, channels]` of the first.
    Files { names: Names, first: [usize; 3] },
    /// Spans of one stream, ascending.
    Entries { place: Place, spans: Vec<Span>, names: Names, first: [usize; 3] },
    /// Records of one size, parts in order.
    Records { parts: Vec<Part>, record: Record },
}

/// Bytes of one encoded image in a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// A run of records.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) place: Place,
    /// Offset of the first record, in bytes.
    pub(crate) start: u64,
    pub(crate) samples: usize,
}

/// Names of samples in one allocation: a million short strings would cost more than their letters.
#[derive(Debug, Default)]
pub(crate) struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    pub(crate) fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(index).and_then(|&end| self.text.get(start..end)).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// Recognises and indexes what is at `path`.
pub(crate) fn open(path: &Path) -> Result<Index, DataError> {
    let metadata = std::fs::metadata(path).map_err(DataError::io(path))?;
    if metadata.is_dir() {
        return folder::open(path);
    }
    let place = Place { path: path.into(), form: Form::Plain };
    let head = place.open()?.read_up_to(HEAD_BYTES)?;
    if !head.starts_with(&[0x1f, 0x8b]) {
        return recognise(place, &head);
    }
    let place = Place { form: Form::Gzip, ..place };
    let head = place.open()?.read_up_to(HEAD_BYTES)?;
    recognise(place, &head)
}

/// A tar header: the longest beginning any format is told by.
const HEAD_BYTES: u64 = 512;

fn recognise(place: Place, head: &[u8]) -> Result<Index, DataError> {
    let plain = place.form.is_plain();
    match head {
        [] => Err(DataError::NoSamples { path: place.path, found: "the file is empty".into() }),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy::open(place),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] if plain => npy::open_zip(place),
        [0, 0, 8, 1..=8, ..] => idx::open(place),
        _ if archive::is_header(head) => archive::open(place),
        _ if plain && cifar::is_file(&place, head)? => cifar::open(place.path),
        [0xff, 0xd8, ..] | [0x89, b'P', b'N', b'G', ..] => Err(unrecognised(place, "a single image".into())),
        _ => {
            let packed = if plain { "begins" } else { "gzip, unpacked begins" };
            let found = format!("{packed} with {:02x?}", &head[..head.len().min(8)]);
            Err(unrecognised(place, found))
        }
    }
}

fn unrecognised(place: Place, found: String) -> DataError {
    DataError::Unrecognised { path: place.path, found }
}

/// `[height, width, channels]` of the first image, which all others are held to.
fn probe(sample: impl Fn() -> String, bytes: &[u8]) -> Result<[usize; 3], DataError> {
    let decoded = crate::decode::decode(bytes).map_err(|fault| fault.of(sample()))?;
    let Pixels { height, width, channels, .. } = decoded;
    Ok([height, width, channels])
}

/// Refuses records that are empty or larger than any sample should be.
fn record_bytes(path: &Path, record: &Record) -> Result<usize, DataError> {
    let limit = crate::MAX_SAMPLE_BYTES;
    let empty =
        || DataError::NoSamples { path: path.into(), found: format!("samples of shape {:?}", record.dims) };
    match record.bytes() {
        _ if record.dims.contains(&0) => Err(empty()),
        Some(bytes) if bytes as u64 <= limit => Ok(bytes),
        found => {
            let found = found.map_or(u64::MAX, |bytes| bytes as u64);
            let fault = Fault::TooLarge { found, unit: "bytes", limit };
            Err(fault.of(format!("{}: sample of shape {:?}", path.display(), record.dims)))
        }
    }
}

/// Refuses a file that is not as long as its header says; longer is refused too, as numpy writes no tail.
fn check_length(place: &Place, found: u64, expected: u64, what: &str) -> Result<(), DataError> {
    let problem = || format!("{found} bytes found, {expected} expected for {what}");
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(DataError::truncated(&place.path, problem())),
        std::cmp::Ordering::Greater => Err(DataError::structure(&place.path, problem())),
    }
}

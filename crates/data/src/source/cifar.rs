//! CIFAR binary files: a label byte (CIFAR-100: coarse, then fine), then 3×32×32 bytes, planes R, G, B.
//!
//! Nothing in such a file says what it is but its size, a multiple of the record, and labels in range.

use std::path::{Path, PathBuf};

use super::{Index, Part, Place, Store};
use crate::error::DataError;
use crate::record::{Number, Record};
use crate::stream::Form;

/// Label bytes, and how many values the label used has.
const KINDS: [(usize, u32); 2] = [(1, 10), (2, 100)];
const PIXEL_BYTES: usize = 3072;

/// Whether a file that begins with `head` looks like CIFAR.
pub(super) fn is_file(place: &Place, head: &[u8]) -> Result<bool, DataError> {
    let extension = place.path.extension().is_some_and(|extension| extension == "bin");
    Ok(kind(place.len()?.unwrap_or(0), head).is_some() || (extension && named(&place.path)))
}

fn kind(bytes: u64, head: &[u8]) -> Option<(usize, u32)> {
    KINDS.into_iter().find(|&(label_bytes, classes)| {
        bytes > 0
            && bytes.is_multiple_of((PIXEL_BYTES + label_bytes) as u64)
            && head.get(label_bytes - 1).is_some_and(|&label| u32::from(label) < classes)
    })
}

/// Whether a file has one of the names CIFAR is distributed under.
fn named(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("data_batch")
        || name.starts_with("test_batch")
        || name == "train.bin"
        || name == "test.bin"
}

pub(super) fn open(path: PathBuf) -> Result<Index, DataError> {
    index(path.clone(), vec![path])
}

/// The training part of a folder as distributed: `data_batch_*.bin` or `train.bin`; else its test part.
pub(super) fn open_folder(root: &Path, files: &[PathBuf]) -> Result<Option<Index>, DataError> {
    let prefixed = |prefix: &str| -> Vec<PathBuf> {
        let is = |path: &&PathBuf| {
            path.extension().is_some_and(|extension| extension == "bin")
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        };
        files.iter().filter(is).cloned().collect()
    };
    let parts = ["data_batch", "train", "test"].into_iter().map(prefixed).find(|parts| !parts.is_empty());
    parts.map(|parts| index(root.into(), parts)).transpose()
}

fn index(path: PathBuf, files: Vec<PathBuf>) -> Result<Index, DataError> {
    let mut parts = Vec::new();
    let mut found = None;
    for file in files {
        let place = Place { path: file, form: Form::Plain };
        let bytes = place.len()?.unwrap_or(0);
        let head = place.open()?.read_up_to(2)?;
        let Some(kind) = kind(bytes, &head) else {
            let problem = format!(
                "{bytes} bytes beginning with {head:02x?}: expected whole records of {} bytes (CIFAR-10) or {} \
                 (CIFAR-100) and a label in range",
                PIXEL_BYTES + 1,
                PIXEL_BYTES + 2
            );
            return Err(DataError::truncated(&place.path, problem));
        };
        if *found.get_or_insert(kind) != kind {
            return Err(DataError::structure(&path, "CIFAR-10 and CIFAR-100 files in one folder"));
        }
        parts.push(Part { place, start: 0, samples: bytes as usize / (PIXEL_BYTES + kind.0) });
    }
    let (label_bytes, classes) = found.unwrap_or(KINDS[0]);
    let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("")) };
    let class_names = names(folder, classes);
    let record =
        Record { label_bytes, classes, number: Number::U8, big_endian: false, dims: vec![3, 32, 32] };
    Ok(Index { path, store: Store::Records { parts, record }, class_names, labels: None })
}

/// The names distributed beside the files, else the numbers.
fn names(folder: &Path, classes: u32) -> Vec<String> {
    let text = |name: &str| {
        let place = Place { path: folder.join(name), form: Form::Plain };
        let bytes = place.open().and_then(|mut stream| stream.read_up_to(1 << 16)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let written = text(if classes == 100 { "fine_label_names.txt" } else { "batches.meta.txt" });
    if written.len() == classes as usize {
        written
    } else {
        (0..classes).map(|class| class.to_string()).collect()
    }
}

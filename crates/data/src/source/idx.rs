//! IDX files of bytes, the format of MNIST: `00 00 08 rank`, the axes as big-endian u32, then the data.

use std::path::{Path, PathBuf};

use super::{Index, Part, Place, Store, check_length, record_bytes};
use crate::error::DataError;
use crate::record::{Number, Record};
use crate::stream::{Form, Stream};

/// The images at `place` with the labels found beside them by name.
pub(super) fn open(place: Place) -> Result<Index, DataError> {
    let (stream, axes) = header(&place)?;
    if axes.len() < 2 {
        let problem =
            "these are labels (one axis): give the file of the images, labels are found beside it by name";
        return Err(DataError::structure(&place.path, problem));
    }
    let record =
        Record { label_bytes: 0, classes: 0, number: Number::U8, big_endian: true, dims: axes[1..].to_vec() };
    let bytes = record_bytes(stream.path(), &record)? as u64;
    let (samples, start) = (axes[0], 4 + 4 * axes.len() as u64);
    if samples == 0 {
        return Err(DataError::NoSamples { path: place.path, found: "the first axis is 0".into() });
    }
    if let Some(length) = place.len()? {
        let expected = start.saturating_add(bytes.saturating_mul(samples as u64));
        check_length(&place, length, expected, &format!("{samples} samples of shape {:?}", record.dims))?;
    }
    let labels = beside(&place.path).map(|path| labels(&path, samples)).transpose()?;
    let path = place.path.clone();
    let store = Store::Records { parts: vec![Part { place, start, samples }], record };
    Ok(Index { path, store, class_names: Vec::new(), labels })
}

/// A folder with exactly one file of images, by name.
pub(super) fn open_folder(root: &Path, files: &[PathBuf]) -> Result<Option<Index>, DataError> {
    let is_images = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("images") && (name.contains("idx3") || name.contains("ubyte"))
    };
    match files.iter().filter(is_images).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [one] => super::open(one).map(Some),
        [first, ..] => {
            let problem = format!("several IDX files of images: give one, for example `{}`", first.display());
            Err(DataError::structure(root, problem))
        }
    }
}

/// Stream past the header, and the axes.
fn header(place: &Place) -> Result<(Stream, Vec<usize>), DataError> {
    let mut stream = place.open()?;
    let mut magic = [0; 4];
    stream.read_at(0, &mut magic)?;
    let [0, 0, 8, rank @ 1..=8] = magic else {
        let problem = format!("begins with {magic:02x?}, expected 00 00 08 and a rank in 1..=8");
        return Err(DataError::malformed(&place.path, "IDX", problem));
    };
    let mut axes = vec![0; 4 * usize::from(rank)];
    stream.read_at(4, &mut axes)?;
    Ok((stream, axes.as_chunks().0.iter().map(|&axis| u32::from_be_bytes(axis) as usize).collect()))
}

/// The labels' file: the images' name with `labels` for `images` and `idx1` for `idx3`, gzipped or not.
fn beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let plain = labels.strip_suffix(".gz").unwrap_or(&labels);
    let found = [plain.to_owned(), format!("{plain}.gz")].map(|name| images.with_file_name(name));
    found.into_iter().find(|path| path.as_path() != images && path.is_file())
}

fn labels(path: &Path, samples: usize) -> Result<Vec<u32>, DataError> {
    let plain = Place { path: path.into(), form: Form::Plain };
    let gzip = plain.open()?.read_up_to(2)? == [0x1f, 0x8b];
    let place = if gzip { Place { form: Form::Gzip, ..plain } } else { plain };
    let (mut stream, axes) = header(&place)?;
    if axes.len() != 1 || axes[0] != samples {
        return Err(DataError::LabelCount { path: path.into(), labels: axes.iter().product(), samples });
    }
    let bytes = stream.read_up_to(samples as u64)?;
    if bytes.len() != samples {
        return Err(DataError::truncated(path, format!("{} labels found, {samples} expected", bytes.len())));
    }
    Ok(bytes.into_iter().map(u32::from).collect())
}

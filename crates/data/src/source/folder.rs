//! A folder: of images, or of the files of another source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::classes::{classes, is_image};
use super::{Index, Names, Store, cifar, idx, probe};
use crate::MAX_SAMPLE_BYTES;
use crate::error::{DataError, Fault};
use crate::stream::{Form, Place};

/// Deeper is a loop of links, not a data set.
const MAX_DEPTH: usize = 8;

pub(super) fn open(root: &Path) -> Result<Index, DataError> {
    let mut tree = Tree::default();
    walk(root, String::new(), 0, &mut tree)?;
    if tree.images.is_empty() {
        return other(root, tree.others);
    }
    tree.images.sort_unstable();
    let mut names = Names::default();
    tree.images.iter().for_each(|image| names.push(image));
    let (class_names, labels) = classes(root, &names, &tree.folders)?;
    let first = root.join(names.get(0));
    let first = probe(|| first.display().to_string(), &read(&first)?)?;
    Ok(Index { path: root.into(), store: Store::Files { names, first }, class_names, labels })
}

/// A whole image file, unless it is too large to be one.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let place = Place { path: path.into(), form: Form::Plain };
    let bytes = place.open()?.read_up_to(MAX_SAMPLE_BYTES + 1)?;
    if bytes.len() as u64 > MAX_SAMPLE_BYTES {
        let fault = Fault::TooLarge { found: bytes.len() as u64, unit: "bytes", limit: MAX_SAMPLE_BYTES };
        return Err(fault.of(path.display().to_string()));
    }
    Ok(bytes)
}

#[derive(Default)]
struct Tree {
    images: Vec<String>,
    folders: BTreeSet<String>,
    /// Files of the root that are no images.
    others: Vec<PathBuf>,
}

fn walk(root: &Path, prefix: String, depth: usize, tree: &mut Tree) -> Result<(), DataError> {
    let folder = root.join(&prefix);
    if depth > MAX_DEPTH {
        return Err(DataError::structure(&folder, format!("nested deeper than {MAX_DEPTH} folders")));
    }
    for entry in fs::read_dir(&folder).map_err(DataError::io(&folder))? {
        let entry = entry.map_err(DataError::io(&folder))?;
        let path = entry.path();
        let name =
            entry.file_name().into_string().map_err(|_| DataError::structure(&path, "name is not UTF-8"))?;
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let mut kind = entry.file_type().map_err(DataError::io(&path))?;
        if kind.is_symlink() {
            kind = fs::metadata(&path).map_err(DataError::io(&path))?.file_type();
        }
        let relative = format!("{prefix}{name}");
        if kind.is_dir() {
            walk(root, format!("{relative}/"), depth + 1, tree)?;
            tree.folders.insert(relative);
        } else if is_image(root, &relative)? {
            tree.images.push(relative);
        } else if depth == 0 {
            tree.others.push(path);
        }
    }
    Ok(())
}

/// A folder without images may hold CIFAR or IDX files.
fn other(root: &Path, mut files: Vec<PathBuf>) -> Result<Index, DataError> {
    files.sort_unstable();
    if let Some(index) = cifar::open_folder(root, &files)? {
        return Ok(index);
    }
    if let Some(index) = idx::open_folder(root, &files)? {
        return Ok(index);
    }
    let found = match files.len() {
        0 => "the folder holds no files".into(),
        count => format!("the folder holds {count} files, none of them a JPEG or PNG image"),
    };
    Err(DataError::NoSamples { path: root.into(), found })
}

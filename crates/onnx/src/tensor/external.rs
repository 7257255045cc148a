//! Elements that lie in another file beside the model.
//!
//! The file's name comes from the model, which may be hostile: it must stay inside the model's folder, also after
//! symbolic links are followed.

use super::TensorProblem;
use crate::proto::StringStringEntryProto;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Where external data may lie.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// The folder that locations are relative to.
    base: PathBuf,
    /// Real paths of the folders that a location may lead to.
    roots: Vec<PathBuf>,
}

impl Folder {
    /// The folder `base` alone.
    pub(crate) fn new(base: &Path) -> Folder {
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        Folder { base: base.to_owned(), roots: base.canonicalize().into_iter().collect() }
    }

    /// The folder of a model's file, and the one its symbolic link leads to: download caches keep the model and its
    /// data side by side in one folder, and links to both in another.
    pub(crate) fn of_model(path: &Path) -> Folder {
        let mut folder = Folder::new(path.parent().unwrap_or(Path::new("")));
        folder.roots.extend(path.canonicalize().ok().and_then(|p| Some(p.parent()?.to_owned())));
        folder
    }

    fn open(&self, location: &str) -> Result<File, String> {
        let relative = Path::new(location);
        let inside = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if location.is_empty() || !inside {
            return Err(format!("location `{location}` must be a path inside the model's folder"));
        }
        let say = |e: std::io::Error| format!("`{location}`: {e}");
        let real = self.base.join(relative).canonicalize().map_err(say)?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(format!("location `{location}` leads out of the model's folder"));
        }
        if !real.is_file() {
            return Err(format!("location `{location}` is not a file"));
        }
        File::open(real).map_err(say)
    }
}

/// The bytes that the entries `location`, `offset` (default 0) and `length` (default: to the end) describe.
///
/// `check` sees their number, known to be present, before they are read.
pub(super) fn read(
    entries: &[StringStringEntryProto],
    folder: &Folder,
    check: impl FnOnce(u64) -> Result<(), TensorProblem>,
) -> Result<Vec<u8>, TensorProblem> {
    let text =
        |key: &str| entries.iter().find(|e| e.key.as_deref() == Some(key)).and_then(|e| e.value.as_deref());
    let number = |key: &str| match text(key).map(|t| (t, t.parse::<u64>())) {
        None => Ok(None),
        Some((_, Ok(n))) => Ok(Some(n)),
        Some((t, Err(_))) => {
            Err(TensorProblem::External(format!("{key} `{t}` must be a whole number of bytes")))
        }
    };
    let location = text("location").ok_or_else(|| TensorProblem::External("no location is given".into()))?;
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let mut file = folder.open(location).map_err(TensorProblem::External)?;
    let say = |e: std::io::Error| TensorProblem::External(format!("`{location}`: {e}"));
    let size = file.metadata().map_err(say)?.len();
    let length = length.unwrap_or(size.saturating_sub(offset));
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(TensorProblem::External(format!(
            "`{location}` has {size} bytes, too few for {length} from byte {offset}"
        )));
    }
    check(length)?;
    file.seek(SeekFrom::Start(offset)).map_err(say)?;
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes).map_err(say)?;
    // Again, in case the file shrank meanwhile.
    if bytes.len() as u64 != length {
        return Err(TensorProblem::External(format!(
            "`{location}` ended after {} of {length} bytes",
            bytes.len()
        )));
    }
    Ok(bytes)
}

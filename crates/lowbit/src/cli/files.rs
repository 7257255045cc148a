//! Files that appear whole or not at all: written beside their place under another name, then renamed.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::{Builder, NamedTempFile};

use super::usage;

/// Where a file goes, and what is in it.
pub(super) type File = (PathBuf, Vec<u8>);

/// Refuses a place where [`write`] could not put a file, so that nobody waits for work that is then lost.
pub(super) fn check(path: &Path) -> Result<()> {
    // Renaming over a device or a pipe would replace it.
    if path.exists() && !path.is_file() {
        bail!("cannot write {}: it is not a regular file", path.display());
    }
    temporary(path).map(drop)
}

/// Refuses, before work, places where [`write`] could not put a file, one that is asked for twice, and one where what the work
/// starts from lies.
pub(super) fn check_all<'a>(
    outputs: impl IntoIterator<Item = &'a Path>,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let inputs: Vec<&Path> = inputs.into_iter().collect();
    let mut before: Vec<&Path> = Vec::new();
    for output in outputs {
        check(output)?;
        if let Some(input) = inputs.iter().find(|input| is_same(input, output)) {
            return Err(usage(format!(
                "{} would overwrite {}, which it is made from",
                output.display(),
                input.display()
            )));
        }
        if before.iter().any(|other| is_same(other, output)) {
            return Err(usage(format!("two outputs cannot both be {}", output.display())));
        }
        before.push(output);
    }
    Ok(())
}

/// Writes all files, or none if the disk is full or a folder is read-only.
pub(super) fn write(files: &[File]) -> Result<()> {
    let mut ready = Vec::new();
    for (path, bytes) in files {
        check(path)?;
        let mut file = temporary(path)?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .with_context(|| format!("cannot write {}", path.display()))?;
        ready.push((path, file));
    }
    for (path, file) in ready {
        file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Where a run that writes to `output` saves what it would go on from.
pub(super) fn state_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".state");
    name.into()
}

/// Whether both paths lead to one file, which need not exist yet.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    let resolve = |path: &Path| {
        path.canonicalize().or_else(|_| {
            Ok::<_, std::io::Error>(folder(path).canonicalize()?.join(path.file_name().unwrap_or_default()))
        })
    };
    matches!((resolve(a), resolve(b)), (Ok(a), Ok(b)) if a == b)
}

/// An empty file that becomes `path` by [`finish`], for what is too large to be held; gone when dropped.
pub(super) fn begin(path: &Path) -> Result<NamedTempFile> {
    check(path)?;
    temporary(path)
}

/// Puts a whole file in its place.
pub(super) fn finish(file: NamedTempFile, path: &Path) -> Result<()> {
    file.persist(path).with_context(|| format!("cannot write {}", path.display())).map(drop)
}

/// An empty file in the folder of `path`; gone when dropped.
fn temporary(path: &Path) -> Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".lowbit-").suffix(".partial");
    // Temporary files are private by default; this one becomes an ordinary file, so the umask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let folder = folder(path);
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    // The error of `tempfile` names its temporary file; the kind is what helps.
    builder
        .tempfile_in(folder)
        .map_err(|error| std::io::Error::from(error.kind()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_written_if_one_of_the_files_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("a.onnx");
        let bad = folder.path().join("missing").join("b.html");
        assert!(write(&[(good.clone(), vec![1]), (bad, vec![2])]).is_err());
        assert_eq!(names(folder.path()), [""; 0]);
        write(&[(good.clone(), vec![1])]).unwrap();
        assert_eq!(names(folder.path()), ["a.onnx"]);
        assert_eq!(std::fs::read(good).unwrap(), [1]);
    }

    #[test]
    fn a_place_that_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(folder.path()).is_err());
        assert!(check(&folder.path().join("new.onnx")).is_ok());
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn outputs_spare_inputs_and_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        std::fs::write(&a, "in").unwrap();
        let refused = |outputs: &[&Path]| {
            check_all(outputs.iter().copied(), [a.as_path()]).err().map(|error| error.to_string())
        };
        assert_eq!(refused(&[&b, &c]), None);
        assert!(refused(&[&b, &folder.path().join("./a")]).unwrap().contains("would overwrite"));
        assert!(refused(&[&b, &c, &b]).unwrap().contains("two outputs"));
        assert_eq!(std::fs::read(&a).unwrap(), b"in");
    }

    #[test]
    fn two_spellings_of_a_path_are_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("new.onnx");
        let dotted = folder.path().join(".").join("new.onnx");
        assert!(is_same(&plain, &dotted));
        assert!(!is_same(&plain, &folder.path().join("other.onnx")));
    }
}

//! What a killed run goes on from: a file beside the output, to which each finished part of the work is added.
//!
//! Records of key, value and checksum follow one another, the first of them saying what run they belong to. A record
//! that a kill or a full disk cut short ends the file: what is before it counts, the next one is written over it. The
//! file is locked while a run uses it and appears with the first thing worth saving; whoever has written the output
//! removes it.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use lowbit_quantize::run::State;

const MAGIC: &[u8] = b"lowbit state\n";
/// Key of the record that says what run this is.
const RUN: &str = "run";
const CHECKSUM_BYTES: usize = 16;

/// What decides the result of a run, by name: two runs that agree in all of it may share saved parts.
pub(super) type Identity = Vec<(&'static str, String)>;

/// The file, and what is in it.
pub(super) struct StateFile {
    path: PathBuf,
    run: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What was in it, until it is known whose it is.
    found: Vec<u8>,
    saved: HashMap<String, Vec<u8>>,
    /// Open and locked, once there is one.
    file: Option<File>,
    /// Its length, and how much of that is whole and of this run.
    len: u64,
    whole: u64,
}

impl StateFile {
    /// Reads and locks what is at `path`, if there is anything; refuses what is not of lowbit or is in use. Done before
    /// the work begins, so that nobody waits for it in vain.
    pub(super) fn open(path: &Path) -> Result<StateFile> {
        let mut state = StateFile { path: path.to_owned(), run: String::new(), inner: Mutex::default() };
        let place = || format!("cannot use {} to go on from", path.display());
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(error).with_context(place),
            Ok(found) if !found.is_file() => bail!("{}: it is not a regular file", place()),
            Ok(_) => {}
        }
        let mut file = open(path).with_context(place)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(place)?;
        if !bytes.starts_with(MAGIC) && !MAGIC.starts_with(&bytes) {
            bail!("{}: lowbit did not write it; move it away", place());
        }
        let inner = state.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        (inner.file, inner.len, inner.found) = (Some(file), bytes.len() as u64, bytes);
        Ok(state)
    }

    /// Takes over what a run of this identity saved; says so if what is there cannot be used. With `fresh`, whatever is
    /// there counts for nothing.
    pub(super) fn resume(mut self, run: &Identity, fresh: bool) -> (StateFile, Option<String>) {
        self.run = run.iter().map(|(name, value)| format!("{name}\t{value}\n")).collect();
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        let bytes = std::mem::take(&mut inner.found);
        let mut records = Records { bytes: &bytes, at: MAGIC.len().min(bytes.len()) };
        let note = match records.next() {
            Some((RUN, theirs)) if !fresh && theirs == self.run.as_bytes() => {
                inner.saved = records.by_ref().map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
                inner.whole = records.at as u64;
                None
            }
            Some((RUN, theirs)) if !fresh => Some(format!(
                "{} belongs to another run ({}); starting over",
                self.path.display(),
                difference(&String::from_utf8_lossy(theirs), &self.run)
            )),
            // Killed before anything was saved.
            _ => None,
        };
        (self, note)
    }

    /// Where the file is, if it holds anything of this run.
    pub(super) fn kept(&self) -> Option<&Path> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.whole > 0).then_some(&self.path)
    }
}

impl State for StateFile {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).saved.get(key).cloned()
    }

    fn save(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        if inner.whole == 0 {
            bytes.extend_from_slice(MAGIC);
            append(&mut bytes, RUN, self.run.as_bytes());
        }
        append(&mut bytes, key, value);
        inner.add(&self.path, &bytes).map_err(|error| {
            if inner.whole == 0 {
                // Nothing half-written is left where there was nothing; if it stays, it is known for what it is.
                inner.file = None;
                let _ = fs::remove_file(&self.path);
            }
            io::Error::new(error.kind(), format!("cannot write {}: {error}", self.path.display()))
        })?;
        inner.saved.insert(key.to_owned(), value.to_vec());
        Ok(())
    }
}

impl Inner {
    /// Writes behind what is whole, and waits until the disk has it.
    fn add(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            (self.file, self.len) = (Some(open(path)?), 0);
        }
        let file = self.file.as_mut().expect("opened above");
        // Old records behind a new one could be taken for its successors.
        if self.len > self.whole {
            file.set_len(self.whole)?;
        }
        self.len = self.whole + bytes.len() as u64;
        file.seek(SeekFrom::Start(self.whole))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        self.whole = self.len;
        Ok(())
    }
}

/// Opens or makes the file, for one run at a time.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another run is using it")),
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Adds a record: length of key (4 bytes), length of value (8), both themselves, and a checksum of all that.
fn append(bytes: &mut Vec<u8>, key: &str, value: &[u8]) {
    let start = bytes.len();
    bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value);
    let sum = checksum(&bytes[start..]);
    bytes.extend_from_slice(&sum);
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Whole records, up to the first that is none.
struct Records<'a> {
    bytes: &'a [u8],
    /// End of the last whole one.
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let record = &self.bytes[self.at..];
        let (key_len, rest) = record.split_first_chunk()?;
        let (value_len, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
        let (value, rest) = rest.split_at_checked(u64::from_le_bytes(*value_len).try_into().ok()?)?;
        let (sum, rest) = rest.split_first_chunk()?;
        if checksum(&record[..record.len() - rest.len() - CHECKSUM_BYTES]) != *sum {
            return None;
        }
        let key = std::str::from_utf8(key).ok()?;
        self.at += record.len() - rest.len();
        Some((key, value))
    }
}

/// Names of what differs between two identities: `recipe and seed differ`.
fn difference(theirs: &str, ours: &str) -> String {
    let theirs: HashMap<&str, &str> = theirs.lines().filter_map(|line| line.split_once('\t')).collect();
    let ours = ours.lines().filter_map(|line| line.split_once('\t'));
    let names: Vec<&str> =
        ours.filter(|(name, value)| theirs.get(name) != Some(value)).map(|(name, _)| name).collect();
    match &names[..] {
        [] => "of another version of lowbit".to_owned(),
        [one] => format!("{one} differs"),
        [most @ .., last] => format!("{} and {last} differ", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(recipe: &str, seed: u64) -> Identity {
        vec![("version", "1".into()), ("recipe", recipe.into()), ("seed", seed.to_string())]
    }

    /// A place for a state file, in a folder that goes when dropped.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.onnx.state");
        (folder, path)
    }

    fn opened(path: &Path, run: &Identity, fresh: bool) -> (StateFile, Option<String>) {
        StateFile::open(path).unwrap().resume(run, fresh)
    }

    fn resumed(path: &Path) -> StateFile {
        let (state, note) = opened(path, &run("a", 7), false);
        assert_eq!(note, None);
        state
    }

    #[test]
    fn a_killed_run_finds_what_it_saved_last() {
        let (_folder, path) = place();
        let first = resumed(&path);
        assert!(first.kept().is_none() && !path.exists(), "nothing was saved yet");
        for (key, value) in [("brecq/a", &b"one"[..]), ("brecq/b", b""), ("brecq/a", b"two")] {
            first.save(key, value).unwrap();
            assert_eq!(first.load(key).as_deref(), Some(value));
        }
        drop(first);
        let second = resumed(&path);
        assert_eq!(second.kept(), Some(path.as_path()));
        assert_eq!(second.load("brecq/a").as_deref(), Some(&b"two"[..]));
        assert_eq!(second.load("brecq/b").as_deref(), Some(&b""[..]));
        assert_eq!(second.load("brecq/c"), None);
        second.save("brecq/c", b"three").unwrap();
        drop(second);
        assert_eq!(resumed(&path).load("brecq/c").as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn a_file_cut_short_anywhere_keeps_what_is_whole_and_can_be_gone_on_from() {
        let (_folder, path) = place();
        let state = resumed(&path);
        state.save("a", &[1; 40]).unwrap();
        let one = fs::metadata(&path).unwrap().len();
        state.save("b", &[2; 40]).unwrap();
        drop(state);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let state = resumed(&path);
            assert_eq!(state.load("a").is_some(), end as u64 >= one, "{end}");
            assert_eq!(state.load("b"), None, "{end}");
            state.save("c", &[3; 5]).unwrap();
            drop(state);
            let state = resumed(&path);
            assert_eq!(state.load("a").is_some(), end as u64 >= one, "{end}");
            assert_eq!(state.load("c"), Some(vec![3; 5]), "{end}");
        }
    }

    #[test]
    fn a_damaged_record_and_all_behind_it_do_not_count() {
        let (_folder, path) = place();
        let state = resumed(&path);
        let mut ends = vec![];
        for key in ["a", "b", "c"] {
            state.save(key, &[1; 9]).unwrap();
            ends.push(fs::metadata(&path).unwrap().len() as usize);
        }
        drop(state);
        let good = fs::read(&path).unwrap();
        for at in ends[0]..ends[1] {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            fs::write(&path, &bad).unwrap();
            let state = resumed(&path);
            let found = ["a", "b", "c"].map(|key| state.load(key).is_some());
            assert_eq!(found, [true, false, false], "{at}");
        }
    }

    #[test]
    fn what_another_run_saved_is_not_used_and_the_difference_is_said() {
        let (_folder, path) = place();
        resumed(&path).save("a", &[0; 100]).unwrap();
        for (other, words) in [
            (run("b", 7), "(recipe differs); starting over"),
            (run("b", 8), "(recipe and seed differ); starting over"),
        ] {
            let (state, note) = opened(&path, &other, false);
            let note = note.unwrap();
            assert!(
                note.ends_with(words) && note.contains("out.onnx.state belongs to another run"),
                "{note}"
            );
            assert!(state.load("a").is_none() && state.kept().is_none());
        }
        // Looking at it has not harmed it; saving over it leaves nothing of it.
        assert!(resumed(&path).load("a").is_some());
        opened(&path, &run("b", 7), false).0.save("b", b"x").unwrap();
        let (state, note) = opened(&path, &run("b", 7), false);
        assert_eq!((note, state.load("a"), state.load("b")), (None, None, Some(b"x".to_vec())));
    }

    #[test]
    fn a_fresh_run_takes_nothing() {
        let (_folder, path) = place();
        resumed(&path).save("a", b"old").unwrap();
        let (state, note) = opened(&path, &run("a", 7), true);
        assert_eq!((note, state.load("a")), (None, None));
        state.save("b", b"new").unwrap();
        drop(state);
        assert_eq!(resumed(&path).load("a"), None);
    }

    #[test]
    fn a_file_of_someone_else_or_in_use_is_refused() {
        let (folder, path) = place();
        let refused = |path: &Path| match StateFile::open(path) {
            Ok(_) => panic!("{} was taken", path.display()),
            Err(error) => format!("{error:#}"),
        };
        fs::write(&path, "my notes").unwrap();
        assert!(
            refused(&path).contains("out.onnx.state to go on from: lowbit did not write it; move it away")
        );
        assert_eq!(fs::read(&path).unwrap(), b"my notes");
        assert!(refused(folder.path()).contains("not a regular file"));
        fs::remove_file(&path).unwrap();
        let state = resumed(&path);
        state.save("a", b"x").unwrap();
        assert!(refused(&path).contains("another run is using it"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_names_the_file_and_leaves_what_was_saved() {
        let (_folder, path) = place();
        let state = resumed(&path);
        state.save("a", b"one").unwrap();
        let full = File::options().read(true).write(true).open("/dev/full").unwrap();
        let real = state.inner.lock().unwrap().file.replace(full);
        let error = state.save("b", b"two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let said = error.to_string();
        assert!(said.contains("out.onnx.state: No space left on device"), "{said}");
        assert_eq!((state.load("a"), state.load("b")), (Some(b"one".to_vec()), None));
        drop((state, real));
        assert_eq!(resumed(&path).load("a").as_deref(), Some(&b"one"[..]));
    }
}

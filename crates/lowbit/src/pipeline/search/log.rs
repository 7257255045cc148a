//! Trials by strategy, and the file that each is added to as soon as it is measured.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lowbit_quantize::search::trial::{Header, Log};
use lowbit_quantize::search::{Strategy, Trial};

/// What is known of the space.
pub(super) struct TrialLog {
    trials: BTreeMap<Strategy, Trial>,
    found: usize,
    file: Option<(PathBuf, File)>,
}

impl TrialLog {
    /// What is at `path`, locked for this run; a line that a kill cut short is written over.
    pub(super) fn open(path: Option<&Path>, header: &Header) -> Result<TrialLog> {
        let Some(path) = path else {
            return Ok(TrialLog { trials: BTreeMap::new(), found: 0, file: None });
        };
        let place = || format!("cannot use {} for trials", path.display());
        if path.exists() && !path.is_file() {
            bail!("{}: it is not a regular file", place());
        }
        let options = &mut File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).with_context(place)?;
        if let Err(error) = file.try_lock() {
            match error {
                std::fs::TryLockError::WouldBlock => bail!("{}: another run is using it", place()),
                std::fs::TryLockError::Error(error) => return Err(error).with_context(place),
            }
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(place)?;
        // A kill may have cut a name in two; what is behind the last whole line does not count anyway.
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(bytes.len(), |end| end + 1);
        let text = std::str::from_utf8(&bytes[..whole]).with_context(place)?;
        let log = Log::read(&path.display().to_string(), text)?;
        if let Some(found) = &log.header {
            header.same(found, &path.display().to_string())?;
        }
        file.set_len(log.whole as u64).with_context(place)?;
        file.seek(SeekFrom::End(0)).with_context(place)?;
        if log.header.is_none() {
            file.write_all(Log::line(header).as_bytes()).with_context(place)?;
        }
        let trials: BTreeMap<Strategy, Trial> =
            log.trials.into_iter().map(|trial| (trial.strategy.clone(), trial)).collect();
        Ok(TrialLog { found: trials.len(), trials, file: Some((path.to_owned(), file)) })
    }

    /// Trials that the file had.
    pub(super) fn known(&self) -> usize {
        self.found
    }

    pub(super) fn get(&self, strategy: &Strategy) -> Option<&Trial> {
        self.trials.get(strategy)
    }

    /// Adds a trial, to the file first.
    pub(super) fn add(&mut self, trial: &Trial) -> Result<()> {
        if let Some((path, file)) = &mut self.file {
            file.write_all(Log::line(trial).as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.trials.insert(trial.strategy.clone(), trial.clone());
        Ok(())
    }

    /// All of them, in the order of their strategies: who measured what when makes no difference.
    pub(super) fn trials(&self) -> Vec<Trial> {
        self.trials.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(model: &str) -> Header {
        Header { lowbit_search: 1, model: model.into(), samples: "s".into(), space: "g".into() }
    }

    fn trial(choice: usize) -> Trial {
        let (loss, drop) = (0.1 * choice as f64, 0.0);
        Trial { strategy: vec![choice], bits: 8, loss, drop, check_loss: loss, check_drop: drop }
    }

    #[test]
    fn a_killed_search_finds_its_trials_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let mut log = TrialLog::open(Some(&path), &header("m")).unwrap();
        for choice in [2, 0, 1] {
            log.add(&trial(choice)).unwrap();
        }
        let busy = TrialLog::open(Some(&path), &header("m")).err().unwrap().to_string();
        assert!(busy.contains("another run is using it"), "{busy}");
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let mut log = TrialLog::open(Some(&path), &header("m")).unwrap();
        assert_eq!((log.known(), log.get(&vec![1])), (2, None));
        log.add(&trial(1)).unwrap();
        assert_eq!(log.trials(), [trial(0), trial(1), trial(2)]);
        drop(log);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn the_log_of_another_network_is_refused_with_both_hashes_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        TrialLog::open(Some(&path), &header("theirs")).unwrap().add(&trial(0)).unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = format!("{:#}", TrialLog::open(Some(&path), &header("ours")).err().unwrap());
        assert!(error.contains("theirs") && error.contains("ours"), "{error}");
        std::fs::write(folder.path().join("notes"), "my notes\n").unwrap();
        assert!(TrialLog::open(Some(&folder.path().join("notes")), &header("ours")).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

//! What a killed run goes on from: two safetensors files, the last state and the best one, each replaced whole.
//!
//! The header says what run it is (network, samples, recipe, seed), how far it was, and the hash of the numbers; a file
//! of another run or one that is cut short is refused with both sides named, never overwritten unasked.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lowbit_graph::Graph;
use lowbit_onnx::WriteOptions;
use lowbit_quantize::report::TrainingLog;
use lowbit_train::trainer::Progress as Part;
use lowbit_train::{Saved, Trainer};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::Task;

/// What decides the result of a run, by name.
pub(super) type Identity = Vec<(&'static str, String)>;

/// The files of a run.
pub(super) struct Checkpoint {
    path: PathBuf,
    identity: Identity,
}

/// All that decides what a run comes to.
pub(super) fn identity(
    task: &Task<'_>,
    graph: &Graph,
    samples: &blake3::Hash,
    seed: u64,
) -> Result<Identity> {
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_string();
    let network = lowbit_onnx::write_bytes(graph, &WriteOptions::default())?;
    let train = toml::to_string(&task.recipe.train)?;
    Ok(vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("network", hash(&network)),
        ("recipe", hash([task.recipe.bits.text.as_bytes(), train.as_bytes()].concat().as_slice())),
        ("target", hash(toml::to_string(task.target)?.as_bytes())),
        ("samples", samples.to_string()),
        ("seed", seed.to_string()),
    ])
}

impl Checkpoint {
    pub(super) fn new(path: &Path, identity: Identity) -> Checkpoint {
        Checkpoint { path: path.to_owned(), identity }
    }

    /// The file, if there is one.
    pub(super) fn kept(&self) -> Option<&Path> {
        self.path.is_file().then_some(self.path.as_path())
    }

    fn best_path(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".best");
        name.into()
    }

    /// Saves how far a run is.
    pub(super) fn save(&self, saved: &Saved, log: &TrainingLog, part: Part) -> Result<()> {
        let facts = [
            ("log", serde_json::to_string(log)?),
            ("loss", part.loss.to_bits().to_string()),
            ("correct", part.correct.to_string()),
            ("seen", part.samples.to_string()),
        ];
        self.write(&self.path, saved, &facts)
    }

    /// Saves the best state so far.
    pub(super) fn save_best(&self, accuracy: f64, saved: &Saved) -> Result<()> {
        self.write(&self.best_path(), saved, &[("accuracy", accuracy.to_string())])
    }

    fn write(&self, path: &Path, saved: &Saved, facts: &[(&str, String)]) -> Result<()> {
        let place = || format!("cannot save the state of the run in {}", path.display());
        let mut header: HashMap<String, String> =
            self.identity.iter().map(|(name, value)| (format!("run.{name}"), value.clone())).collect();
        header.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        header.insert("step".into(), saved.step.to_string());
        header.insert("hash".into(), hash(saved));
        let views = saved.arrays.iter().map(|(name, values)| {
            Ok((name, TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values))?))
        });
        let views: Vec<_> = views.collect::<Result<_>>()?;
        let bytes = serialize(views, Some(header)).with_context(place)?;
        let mut file = tempfile::Builder::new()
            .prefix(".lowbit-")
            .suffix(".partial")
            .tempfile_in(super::folder_of(path))
            .with_context(place)?;
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).with_context(place)?;
        file.persist(path).with_context(place)?;
        Ok(())
    }

    /// Brings a trainer to the saved state; whether there was one.
    pub(super) fn load(
        &self,
        trainer: &mut Trainer<'_>,
        log: &mut TrainingLog,
        part: &mut Part,
    ) -> Result<bool> {
        let Some((saved, header)) = self.read(&self.path)? else { return Ok(false) };
        let place = || format!("cannot go on from {} (--fresh starts over)", self.path.display());
        trainer.load(&saved).with_context(place)?;
        let fact = |name: &str| header.get(name).with_context(|| format!("{}: `{name}` is missing", place()));
        *log = serde_json::from_str(fact("log")?).with_context(place)?;
        part.loss = f64::from_bits(fact("loss")?.parse().with_context(place)?);
        part.correct = fact("correct")?.parse().with_context(place)?;
        part.samples = fact("seen")?.parse().with_context(place)?;
        Ok(true)
    }

    /// Accuracy and state of the best epoch.
    pub(super) fn best(&self) -> Result<Option<(f64, Saved)>> {
        let Some((saved, header)) = self.read(&self.best_path())? else { return Ok(None) };
        Ok(header.get("accuracy").and_then(|a| a.parse().ok()).map(|accuracy| (accuracy, saved)))
    }

    /// A file of this run, checked.
    fn read(&self, path: &Path) -> Result<Option<(Saved, HashMap<String, String>)>> {
        let place = || format!("cannot go on from {} (--fresh starts over)", path.display());
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(place)?,
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).with_context(place)?;
        let tensors = SafeTensors::deserialize(&bytes).with_context(place)?;
        let Some(header) = metadata.metadata().clone() else {
            bail!("{}: lowbit did not write it; move it away", place());
        };
        for (name, own) in &self.identity {
            match header.get(&format!("run.{name}")) {
                Some(found) if found == own => {}
                Some(found) => bail!(
                    "{}: it is of another run: {name} {} there, {} here",
                    place(),
                    short(found),
                    short(own)
                ),
                None => bail!("{}: it does not say its {name}; move it away", place()),
            }
        }
        let step = header.get("step").and_then(|s| s.parse().ok());
        let step = step.with_context(|| format!("{}: it does not say its step", place()))?;
        let mut arrays = Vec::new();
        for (name, view) in tensors.tensors() {
            if view.dtype() != Dtype::F32 {
                bail!("{}: `{name}` is {:?}, expected F32", place(), view.dtype());
            }
            let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            arrays.push((name, numbers.collect()));
        }
        let saved = Saved { step, arrays };
        if header.get("hash") != Some(&hash(&saved)) {
            bail!("{}: its numbers are not those that were written", place());
        }
        Ok(Some((saved, header)))
    }

    /// The files there are, for the caller to remove once the result is safe.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        [self.path.clone(), self.best_path()].into_iter().filter(|path| path.is_file()).collect()
    }
}

/// Of all numbers with their names, in order of names.
fn hash(saved: &Saved) -> String {
    let mut arrays: Vec<_> = saved.arrays.iter().collect();
    arrays.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = blake3::Hasher::new();
    for (name, values) in arrays {
        hasher.update(name.as_bytes()).update(bytemuck::cast_slice(values));
    }
    hasher.finalize().to_string()
}

/// The beginning of a long hash.
fn short(text: &str) -> &str {
    text.get(..12).unwrap_or(text)
}

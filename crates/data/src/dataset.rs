//! [`Dataset`], an opened source, and [`Options`], what to read of it and how.

use std::path::Path;
use std::sync::Arc;

use crate::batches::Batches;
use crate::error::DataError;
use crate::memory::Bytes;
use crate::preprocess::Preprocess;
use crate::select::Selection;
use crate::source::{self, Index, Store};
use crate::transform::Transform;

/// Which samples to read, and what to do to them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// From stored values to network input.
    pub preprocess: Preprocess,
    /// Places of the seeded shuffle left out at its front: `skip: n` is disjoint from `limit: Some(n)`.
    pub skip: usize,
    /// Places of the seeded shuffle read after those; `None` reads all. Samples are visited in storage order.
    pub limit: Option<usize>,
    /// Seed of the shuffle; the same on every machine.
    pub seed: u64,
    /// Decoding threads; 0 takes one per core. Results do not depend on it.
    pub threads: usize,
}

/// An opened source of samples: number, classes, labels, shape. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dataset {
    index: Arc<Index>,
}

impl Dataset {
    /// Recognises and indexes the source at `path`; no image but the first is decoded.
    ///
    /// A gzipped archive is decompressed once for this; everything else costs reading headers and names.
    pub fn open(path: &Path) -> Result<Dataset, DataError> {
        Ok(Dataset { index: Arc::new(source::open(path)?) })
    }

    /// Samples in memory: `descr` and `shape` (`[N, ...]`) are what an `.npy` file of them would say, such as `<f4`; `name`
    /// is what messages call them.
    ///
    /// # Errors
    /// As for such a file: another type of numbers, no samples, bytes or labels that are not one per sample.
    pub fn in_memory(
        name: &str,
        descr: &str,
        shape: &[usize],
        bytes: Arc<dyn Bytes>,
        labels: Option<Vec<u32>>,
    ) -> Result<Dataset, DataError> {
        Ok(Dataset { index: Arc::new(source::npy::in_memory(name, descr, shape, bytes, labels)?) })
    }

    /// Number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a source without samples does not open")]
    pub fn len(&self) -> usize {
        match &self.index.store {
            Store::Files { names, .. } | Store::Entries { names, .. } => names.len(),
            Store::Records { parts, .. } => parts.iter().map(|part| part.samples).sum(),
        }
    }

    /// Where the samples come from, as given to [`Dataset::open`]; the name of those in memory.
    pub fn path(&self) -> &Path {
        &self.index.path
    }

    /// Names in order of labels; empty where the source has none (arrays, IDX, flat folders).
    pub fn class_names(&self) -> &[String] {
        &self.index.class_names
    }

    /// Whether samples are pictures (encoded, or arrays of bytes), whose values mean nothing before they are
    /// preprocessed.
    pub fn holds_images(&self) -> bool {
        match &self.index.store {
            Store::Files { .. } | Store::Entries { .. } => true,
            Store::Records { record, .. } => {
                record.number == crate::record::Number::U8 && record.image().is_some()
            }
        }
    }

    /// Whether batches carry labels.
    pub fn has_labels(&self) -> bool {
        self.index.has_labels()
    }

    /// Refuses a network of `outputs` classes if the labels cannot be its own: another number of class folders
    /// (a missing folder shifts all labels behind it), or a label beyond its outputs.
    pub fn check_classes(&self, outputs: usize) -> Result<(), DataError> {
        let largest = self.index.labels.iter().flatten().max();
        let found = match (self.class_names().len(), largest) {
            (0, Some(&label)) if label as usize >= outputs => format!("the largest label is {label}"),
            (0, _) => return Ok(()),
            (classes, _) if classes == outputs => return Ok(()),
            (classes, _) => format!("there are {classes} classes"),
        };
        Err(DataError::Classes { path: self.path().into(), found, outputs })
    }

    /// File, and entry or index inside it, of one sample in storage order: for messages.
    pub fn sample_name(&self, sample: usize) -> String {
        self.index.sample_name(sample)
    }

    /// Shape of one sample after preprocessing, `[channels, height, width]` unless the layout or an array of
    /// another rank says otherwise. The first sample in storage order decides.
    pub fn sample_shape(&self, preprocess: &Preprocess) -> Result<Vec<usize>, DataError> {
        Ok(self.index.pipeline(preprocess)?.shape())
    }

    /// Batches of `batch` samples (the last one may be smaller), read and decoded ahead by threads.
    ///
    /// Nothing is read before the first sample wanted, nor after the last. Dropping the iterator stops them.
    pub fn batches(&self, options: &Options, batch: usize) -> Result<Batches, DataError> {
        let zero = |option| Err(DataError::Zero { option });
        if batch == 0 {
            return zero("batch");
        }
        if options.limit == Some(0) {
            return zero("limit");
        }
        let samples = self.len();
        if options.skip >= samples {
            return Err(DataError::NothingLeft { path: self.path().into(), skip: options.skip, samples });
        }
        let pipeline = self.index.pipeline(&options.preprocess)?;
        let selection = Selection::new(samples, options.skip, options.limit, options.seed);
        Batches::start(Arc::clone(&self.index), pipeline, selection, batch, options.threads)
    }
}

/// What a worker does to one sample.
pub(crate) enum Pipeline {
    /// An image, decoded or taken from a record.
    Image(Transform),
    /// A record whose numbers are taken as they are.
    Array(Vec<usize>),
}

impl Pipeline {
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Pipeline::Image(transform) => transform.shape(),
            Pipeline::Array(dims) => dims.clone(),
        }
    }
}

impl Index {
    fn pipeline(&self, preprocess: &Preprocess) -> Result<Pipeline, DataError> {
        let first = match &self.store {
            Store::Files { first, .. } | Store::Entries { first, .. } => *first,
            Store::Records { record, .. } => match record.image() {
                Some((size, _))
                    if record.number == crate::record::Number::U8 || *preprocess != Preprocess::default() =>
                {
                    size
                }
                _ if preprocess.keeps_values() => return Ok(Pipeline::Array(record.dims.clone())),
                _ => {
                    let problem = format!(
                        "samples of shape {:?} are no images ([height, width] or three axes): only preprocessing `none` applies",
                        record.dims
                    );
                    return Err(DataError::structure(&self.path, problem));
                }
            },
        };
        let transform = Transform::new(preprocess, first)?;
        Ok(Pipeline::Image(transform.map_err(|fault| fault.of(self.sample_name(0)))?))
    }

    pub(crate) fn has_labels(&self) -> bool {
        self.labels.is_some()
            || matches!(&self.store, Store::Records { record, .. } if record.label_bytes > 0)
    }

    pub(crate) fn sample_name(&self, sample: usize) -> String {
        match &self.store {
            Store::Files { names, .. } => self.path.join(names.get(sample)).display().to_string(),
            Store::Entries { names, .. } => format!("{}: {}", self.path.display(), names.get(sample)),
            Store::Records { parts, .. } => {
                let mut within = sample;
                for part in parts {
                    if within < part.samples {
                        return format!("{}: sample {within}", part.place.path.display());
                    }
                    within -= part.samples;
                }
                format!("{}: sample {sample}", self.path.display())
            }
        }
    }
}

//! Refusals: [`DataError`] says where, [`Fault`] says what is wrong with one sample.

use std::io;
use std::path::{Path, PathBuf};

use crate::preprocess::PreprocessError;

/// Why samples cannot be read. Each variant names the file, what was found and what would be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Neither path nor content is one of the known sources.
    #[error(
        "{}: not a known source of samples ({found}): expected a folder of JPEG or PNG images, a .tar or .tar.gz \
         of one, .npy, .npz, CIFAR binary or IDX",
        path.display()
    )]
    Unrecognised {
        /// File given.
        path: PathBuf,
        /// What its first bytes look like.
        found: String,
    },
    /// A folder, archive or array without a single sample.
    #[error("{}: no samples: {found}", path.display())]
    NoSamples {
        /// Source given.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// Folders that do not spell classes, or files that do not belong together.
    #[error("{}: {problem}", path.display())]
    Structure {
        /// Source given.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file ends before the data its header or index promises.
    #[error("{}: truncated: {problem}", path.display())]
    Truncated {
        /// File that ends early.
        path: PathBuf,
        /// Bytes found and expected.
        problem: String,
    },
    /// A header or a compressed stream breaks its format's rules.
    #[error("{}: malformed {format}: {problem}", path.display())]
    Malformed {
        /// Broken file.
        path: PathBuf,
        /// Format it was read as.
        format: &'static str,
        /// Rule broken, with the value found.
        problem: String,
    },
    /// As many labels as samples are needed.
    #[error("{}: {labels} labels for {samples} samples", path.display())]
    LabelCount {
        /// File of the labels.
        path: PathBuf,
        /// Labels found.
        labels: usize,
        /// Samples found.
        samples: usize,
    },
    /// The network has another number of outputs than the source has classes.
    #[error("{}: {found}, the network has {outputs} outputs", path.display())]
    Classes {
        /// Source given.
        path: PathBuf,
        /// Number of class folders, or largest label.
        found: String,
        /// Outputs of the network.
        outputs: usize,
    },
    /// `skip` leaves nothing to read.
    #[error("{}: skipping {skip} of {samples} samples leaves none", path.display())]
    NothingLeft {
        /// Source given.
        path: PathBuf,
        /// Samples to skip.
        skip: usize,
        /// Samples there are.
        samples: usize,
    },
    /// Batches or limits of zero samples.
    #[error("`{option}` is 0, at least 1 is needed")]
    Zero {
        /// Option that is zero.
        option: &'static str,
    },
    /// One sample cannot be used.
    #[error("{sample}: {fault}")]
    Sample {
        /// File, and entry or index inside it.
        sample: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A preprocessing that contradicts itself or names something unknown.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

/// What is wrong with one sample.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The decoder refused the bytes.
    #[error("cannot be decoded: {0}")]
    Undecodable(String),
    /// Too large to decode: a mistake or a bomb.
    #[error("{found} {unit}, at most {limit} are accepted")]
    TooLarge {
        /// Declared size.
        found: u64,
        /// What is counted: `pixels` or `bytes`.
        unit: &'static str,
        /// Largest size accepted.
        limit: u64,
    },
    /// Another size than the first sample, after resizing and cropping.
    #[error(
        "{}x{} pixels (height x width), {}x{} like the first sample expected: set `resize` and `crop`",
        found[0], found[1], expected[0], expected[1]
    )]
    Size {
        /// Height and width found.
        found: [usize; 2],
        /// Height and width of the first sample.
        expected: [usize; 2],
    },
    /// The crop does not fit into the image.
    #[error(
        "{}x{} pixels (height x width) after resizing, smaller than the crop of {}x{}: set `resize`",
        found[0], found[1], crop[0], crop[1]
    )]
    Crop {
        /// Height and width found.
        found: [usize; 2],
        /// Height and width of the crop.
        crop: [usize; 2],
    },
    /// Another number of channels than expected.
    #[error("{found} channels, {expected}")]
    Channels {
        /// Channels found.
        found: usize,
        /// What is expected and how to ask for it.
        expected: String,
    },
    /// NaN or an infinity after preprocessing.
    #[error("value {value} at element {element}: only finite values are accepted")]
    NotFinite {
        /// The value.
        value: f32,
        /// Its flat index in the sample.
        element: usize,
    },
    /// A label outside the classes.
    #[error("label {found}, expected an integer in 0..{classes}")]
    Label {
        /// Label found.
        found: i64,
        /// Number of classes.
        classes: u32,
    },
}

impl Fault {
    pub(crate) fn of(self, sample: String) -> DataError {
        DataError::Sample { sample, fault: self }
    }
}

impl DataError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> DataError {
        let path = path.to_owned();
        move |source| DataError::Io { path, source }
    }

    pub(crate) fn malformed(path: &Path, format: &'static str, problem: impl Into<String>) -> DataError {
        DataError::Malformed { path: path.to_owned(), format, problem: problem.into() }
    }

    pub(crate) fn truncated(path: &Path, problem: impl Into<String>) -> DataError {
        DataError::Truncated { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn structure(path: &Path, problem: impl Into<String>) -> DataError {
        DataError::Structure { path: path.to_owned(), problem: problem.into() }
    }
}

//! Arguments that several commands take, and the help heading they share.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Where samples come from and how they are prepared.
#[derive(clap::Args)]
pub(super) struct Samples {
    /// Image folder (class sub-folders), .tar(.gz) of one, .npy, .npz, CIFAR binary or IDX
    #[arg(long, value_name = "DATA")]
    pub(super) data: PathBuf,

    /// Preprocessing: a preset (imagenet, cifar10, none, …) or a TOML file [default: chosen from the data]
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) preprocess: Option<String>,

    /// Use at most N samples, the first of a seeded shuffle
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) limit: Option<usize>,

    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) threads: Option<usize>,

    /// Seed of everything random [default: the recipe's, or 0]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

impl Samples {
    /// The files that they come from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.data.as_path()).chain(self.preprocess.as_ref().map(Path::new))
    }
}

/// One of some values, by name.
pub(super) fn one_of<T, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let named = move |given: String| all.into_iter().find(|value| name(*value) == given);
    PossibleValuesParser::new(all.map(name)).try_map(move |given| named(given).ok_or("unknown name"))
}

/// A count that is not zero.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a whole number".to_owned()),
    }
}

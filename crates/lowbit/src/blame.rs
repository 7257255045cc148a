//! Which of the things that a job was given an error is about, for callers that answer one differently from another.

use std::error::Error as StdError;
use std::fmt;

use anyhow::{Error, Result};

/// What a job was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The network.
    Model,
    /// Samples, labels, or a table.
    Data,
    /// The recipe, or another option: target, flavour, preprocessing.
    Recipe,
}

/// What an error is about, where it is about one of them.
pub fn blamed(error: &Error) -> Option<Given> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Blamed>() {
        Some(found) => Some(found.given),
        // Samples are refused when their turn comes, far from where they were opened.
        None if cause.is::<lowbit_data::DataError>() => Some(Given::Data),
        None if cause.is::<lowbit_embed::EmbedError>() => Some(Given::Data),
        None if cause.is::<lowbit_onnx::ReadError>() => Some(Given::Model),
        None => None,
    })
}

/// Remembers what an error is about, without a word more in its message. The first to know has the last word.
pub(crate) trait Blame<T> {
    fn blame(self, given: Given) -> Result<T>;
}

impl<T, E: Into<Error>> Blame<T> for Result<T, E> {
    fn blame(self, given: Given) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            if blamed(&error).is_some() { error } else { Error::new(Blamed { given, error }) }
        })
    }
}

struct Blamed {
    given: Given,
    error: Error,
}

impl fmt::Debug for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Display for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for Blamed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let error: &(dyn StdError + 'static) = self.error.as_ref();
        error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn blame_changes_no_message_and_is_found_under_context() {
        let inner = || Err::<(), _>(anyhow!("three outputs").context("not a network"));
        let (plain, marked) = (inner().context("x").unwrap_err(), inner().blame(Given::Model));
        let marked = marked.context("x").unwrap_err();
        assert_eq!(format!("{plain:#}"), format!("{marked:#}"));
        assert_eq!((blamed(&plain), blamed(&marked)), (None, Some(Given::Model)));
    }

    #[test]
    fn the_first_to_know_has_the_last_word() {
        let error = Err::<(), _>(anyhow!("no such preset")).blame(Given::Recipe).blame(Given::Data);
        assert_eq!(blamed(&error.unwrap_err()), Some(Given::Recipe));
    }
}

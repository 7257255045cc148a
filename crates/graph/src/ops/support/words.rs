//! Attributes that hold one word of a few.

use crate::{Attribute, AttributeError};

/// The words and what they mean, first the default.
pub(in crate::ops) type Words<T> = [(&'static str, T)];

/// What the word `found` means; the default when there is none.
pub(in crate::ops) fn meaning<T: Copy>(
    words: &Words<T>,
    name: &'static str,
    found: Option<&str>,
    accepted: &'static str,
) -> Result<T, AttributeError> {
    let Some(found) = found else { return Ok(words[0].1) };
    let refused = || AttributeError::Value { name, found: found.to_owned(), accepted };
    words.iter().find(|w| w.0 == found).map(|w| w.1).ok_or_else(refused)
}

/// The word for `value`.
pub(in crate::ops) fn word<T: PartialEq>(words: &Words<T>, value: &T) -> Attribute {
    Attribute::Text(words.iter().find(|w| w.1 == *value).map_or(words[0].0, |w| w.0).to_owned())
}

//! TOML with no key ignored: an unknown one is an error that names the nearest known one.

use serde::de::DeserializeOwned;

/// A recipe or target that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not what is expected.
    #[error("{place}: {message}")]
    Parse {
        /// File or built-in name.
        place: String,
        /// What is wrong and where.
        message: String,
    },
    /// A name that is not in a table.
    #[error("there is no {kind} `{found}`{}; known: {known}", suggestion(.nearest))]
    Unknown {
        /// What kind of thing was asked for.
        kind: &'static str,
        /// The name given.
        found: String,
        /// The closest known name, if close.
        nearest: Option<String>,
        /// All known names.
        known: String,
    },
    /// Values that contradict each other or lie outside what is possible.
    #[error("{place}: {message}")]
    Invalid {
        /// Key or step.
        place: String,
        /// What is wrong, and what is accepted.
        message: String,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |n| format!("; did you mean `{n}`?"))
}

/// The known name closest to `found`, if close enough to be a slip.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .map(|(_, name)| name)
}

/// The error for a name that is not in a table.
pub fn unknown<'a>(
    kind: &'static str,
    found: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> ConfigError {
    ConfigError::Unknown {
        kind,
        found: found.to_owned(),
        nearest: nearest(found, known.clone()).map(str::to_owned),
        known: known.collect::<Vec<_>>().join(", "),
    }
}

/// Parses TOML; `place` names the source in errors.
///
/// # Errors
/// On bad syntax, unknown keys, or values of another kind.
pub fn from_toml<T: DeserializeOwned>(place: &str, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| explain(place, &error))
}

/// Turns a parsed table into a value.
///
/// # Errors
/// On unknown keys or values of another kind.
pub fn from_table<T: DeserializeOwned>(place: &str, table: toml::Table) -> Result<T, ConfigError> {
    T::deserialize(toml::Value::Table(table)).map_err(|error| explain(place, &error))
}

fn explain(place: &str, error: &toml::de::Error) -> ConfigError {
    let mut message = error.to_string().trim_end().to_owned();
    // serde says: unknown field `clp`, expected one of `clip`, `bits`
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    if error.message().starts_with("unknown field")
        && let [found, known @ ..] = quoted.as_slice()
        && let Some(name) = nearest(found, known.iter().copied())
    {
        message.push_str(&format!("\ndid you mean `{name}`?"));
    }
    ConfigError::Parse { place: place.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("acqi", ["aciq", "mse"]), Some("aciq"));
        assert_eq!(nearest("banana", ["aciq", "mse"]), None);
    }
}

//! The methods: one file each, and this list. Help, recipe parsing and the generic tests follow from it.

pub mod aciq;
pub mod adaround;
pub mod bias_correction;
pub mod bit_allocation;
pub mod brecq;
pub mod kl;
pub mod lapq;
pub mod minmax;
pub mod mixed;
pub mod mse;
pub mod multipoint;
pub mod percentile;
pub mod range;
pub mod sparq;
pub mod strategy;

use crate::method::{Entry, Method};
use crate::strict::{self, ConfigError};

/// Every method, in the order in which a recipe would use them.
pub const ALL: &[Entry] = &[
    minmax::ENTRY,
    percentile::ENTRY,
    mse::ENTRY,
    kl::ENTRY,
    aciq::ENTRY,
    bit_allocation::ENTRY,
    mixed::ENTRY,
    lapq::ENTRY,
    adaround::ENTRY,
    brecq::ENTRY,
    multipoint::ENTRY,
    sparq::ENTRY,
    strategy::ENTRY,
    bias_correction::ENTRY,
];

/// The method of a recipe step.
///
/// # Errors
/// When `method` is absent or unknown, or an option is.
pub fn parse(place: &str, mut table: toml::Table) -> Result<Box<dyn Method>, ConfigError> {
    let id = match table.remove("method") {
        Some(toml::Value::String(id)) => id,
        _ => {
            return Err(ConfigError::Invalid {
                place: place.to_owned(),
                message: "`method` is missing; it names what the step does, such as method = \"mse\"".into(),
            });
        }
    };
    let unknown = || ConfigError::Invalid {
        place: place.to_owned(),
        message: strict::unknown("method", &id, ALL.iter().map(|e| e.id)).to_string(),
    };
    let entry = ALL.iter().find(|e| e.id == id).ok_or_else(unknown)?;
    entry.parse(place, table)
}

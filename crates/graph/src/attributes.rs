//! The neutral form of attributes, between a file format and the typed operators.
//!
//! An operator *takes* what it knows; what is left over is unknown to it and refused, so that no attribute is
//! silently ignored.

use lowbit_tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One attribute value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "one variant per kind")]
pub enum Attribute {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
    Tensor(Arc<Tensor>),
}

/// Why an operator refused its attributes. The node's name is added by the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A required attribute is absent.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// The attribute has another kind.
    #[error("attribute `{name}` must be {expected}, found {found}")]
    Kind {
        /// Attribute name.
        name: &'static str,
        /// Kind that the operator takes.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The value is outside what the operator accepts.
    #[error("attribute `{name}` is {found}; accepted: {accepted}")]
    Value {
        /// Attribute name.
        name: &'static str,
        /// What was found.
        found: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// Attributes that the operator does not know.
    #[error("unknown attribute(s) {0}")]
    Unknown(String),
}

/// The attributes of one node by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(BTreeMap<String, Attribute>);

macro_rules! take {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, $expected:literal) => {
        $(#[$doc])*
        pub fn $name(&mut self, name: &'static str) -> Result<Option<$type>, AttributeError> {
            match self.0.remove(name) {
                None => Ok(None),
                Some(Attribute::$variant(value)) => Ok(Some(value)),
                Some(other) => {
                    Err(AttributeError::Kind { name, expected: $expected, found: format!("{other:.60?}") })
                }
            }
        }
    };
}

impl Attributes {
    /// No attributes.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Adds an attribute (builder style).
    pub fn with(mut self, name: &str, value: Attribute) -> Attributes {
        self.set(name, value);
        self
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: Attribute) {
        self.0.insert(name.to_owned(), value);
    }

    /// Looks without taking.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// Takes an attribute of any kind.
    pub fn take(&mut self, name: &str) -> Option<Attribute> {
        self.0.remove(name)
    }

    take!(/// Takes an integer.
        int, Int, i64, "an integer");
    take!(/// Takes a float.
        float, Float, f32, "a float");
    take!(/// Takes a string.
        text, Text, String, "a string");
    take!(/// Takes a list of integers.
        ints, Ints, Vec<i64>, "a list of integers");
    take!(/// Takes a list of floats.
        floats, Floats, Vec<f32>, "a list of floats");
    take!(/// Takes a tensor.
        tensor, Tensor, Arc<Tensor>, "a tensor");

    /// Takes an integer that means a boolean; `default` when absent.
    pub fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, AttributeError> {
        Ok(self.int(name)?.map_or(default, |v| v != 0))
    }

    /// Refuses what no one took.
    pub fn finish(self) -> Result<(), AttributeError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.0.keys().map(|k| format!("`{k}`")).collect();
        Err(AttributeError::Unknown(names.join(", ")))
    }

    /// All attributes in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_checked_and_leftovers_refused() {
        let mut a = Attributes::new().with("axis", Attribute::Int(1)).with("typo", Attribute::Int(2));
        assert!(matches!(a.clone().floats("axis"), Err(AttributeError::Kind { name: "axis", .. })));
        assert_eq!(a.int("axis"), Ok(Some(1)));
        assert_eq!(a.int("axis"), Ok(None));
        assert_eq!(a.finish().unwrap_err().to_string(), "unknown attribute(s) `typo`");
    }
}

//! Types of operands, sums and results as targets name them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An element type of a target's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are the documentation")]
pub enum ElementType {
    I2,
    U2,
    I4,
    U4,
    I8,
    U8,
    I16,
    U16,
    I32,
    F16,
    F32,
}

impl ElementType {
    /// Width in bits.
    pub fn bits(self) -> u8 {
        match self {
            ElementType::I2 | ElementType::U2 => 2,
            ElementType::I4 | ElementType::U4 => 4,
            ElementType::I8 | ElementType::U8 => 8,
            ElementType::I16 | ElementType::U16 | ElementType::F16 => 16,
            ElementType::I32 | ElementType::F32 => 32,
        }
    }

    /// Whether it holds integers.
    pub fn is_integer(self) -> bool {
        !matches!(self, ElementType::F16 | ElementType::F32)
    }

    /// Whether it holds negative numbers.
    pub fn is_signed(self) -> bool {
        !matches!(self, ElementType::U2 | ElementType::U4 | ElementType::U8 | ElementType::U16)
    }

    /// Lowest and highest integer that it holds; of floats, those that it holds exactly with all below.
    pub fn range(self) -> [i64; 2] {
        match self {
            ElementType::F16 => [-(1 << 11), 1 << 11],
            ElementType::F32 => [-(1 << 24), 1 << 24],
            _ if self.is_signed() => [-(1 << (self.bits() - 1)), (1 << (self.bits() - 1)) - 1],
            _ => [0, (1 << self.bits()) - 1],
        }
    }

    /// The integer that this type keeps of `x`: its lowest bits.
    pub fn wrap(self, x: i64) -> i64 {
        let [lo, hi] = self.range();
        (x - lo).rem_euclid(hi - lo + 1) + lo
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_keeps_the_lowest_bits_as_casts_do() {
        for x in [-40_000i64, -32_769, -129, -128, -1, 0, 127, 128, 255, 256, 34_836, 70_000] {
            assert_eq!(ElementType::I8.wrap(x), i64::from(x as i8));
            assert_eq!(ElementType::U8.wrap(x), i64::from(x as u8));
            assert_eq!(ElementType::I16.wrap(x), i64::from(x as i16));
            assert_eq!(ElementType::U16.wrap(x), i64::from(x as u16));
        }
        assert_eq!(ElementType::I32.wrap(i64::from(i32::MAX) + 1), i64::from(i32::MIN));
    }

    #[test]
    fn names_are_those_of_files() {
        assert_eq!((ElementType::U8.to_string(), ElementType::F32.to_string()), ("u8".into(), "f32".into()));
    }
}

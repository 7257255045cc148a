//! Why a shape is refused.

use std::fmt;

/// A shape that no kernel can compute. Callers add which node it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A size that must be at least one.
    #[error("{what} is 0, expected at least 1")]
    Zero {
        /// Which size.
        what: &'static str,
    },
    /// A tensor with the wrong number of values.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// Which tensor.
        what: &'static str,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// Channels that the groups do not divide.
    #[error("{channels} {what} do not divide into {groups} groups")]
    Groups {
        /// Input or output channels.
        what: &'static str,
        /// How many.
        channels: usize,
        /// Number of groups.
        groups: usize,
    },
    /// A dilated kernel larger than the padded input.
    #[error("kernel spans {kernel} along {axis}, but the padded input is only {input}")]
    KernelTooLarge {
        /// `height` or `width`.
        axis: &'static str,
        /// Dilated kernel size.
        kernel: usize,
        /// Input size with padding.
        input: usize,
    },
    /// A plane of codes that does not fit the layer.
    #[error("{plane} plane: {size} is {found}, expected {expected}")]
    Plane {
        /// Which plane: `input`, `output` or `residual`.
        plane: &'static str,
        /// Which size of it.
        size: &'static str,
        /// The size found.
        found: usize,
        /// The size expected.
        expected: Expected,
    },
    /// A weight outside of what its storage holds.
    #[error("a weight is {found}, expected {lo} to {hi} at {bits} bits")]
    Weight {
        /// The weight found.
        found: i8,
        /// The smallest that can be stored.
        lo: i8,
        /// The largest that can be stored.
        hi: i8,
        /// Bits of storage per weight.
        bits: usize,
    },
    /// Sizes whose product does not fit the address space.
    #[error("{what} has more values than memory can hold")]
    TooLarge {
        /// Which tensor.
        what: &'static str,
    },
}

/// What a size has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Just this.
    Exactly(usize),
    /// This or more.
    AtLeast(usize),
    /// A multiple of this.
    MultipleOf(usize),
}

impl Expected {
    pub(crate) fn accepts(self, found: usize) -> bool {
        match self {
            Expected::Exactly(size) => found == size,
            Expected::AtLeast(size) => found >= size,
            Expected::MultipleOf(size) => found.is_multiple_of(size),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Exactly(size) => write!(f, "{size}"),
            Expected::AtLeast(size) => write!(f, "at least {size}"),
            Expected::MultipleOf(size) => write!(f, "a multiple of {size}"),
        }
    }
}

/// The product of `sizes`, refused when it overflows as a byte count.
pub(crate) fn volume(what: &'static str, sizes: &[usize]) -> Result<usize, ShapeError> {
    sizes
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))
        .filter(|&n| n <= isize::MAX as usize / size_of::<f32>())
        .ok_or(ShapeError::TooLarge { what })
}

pub(crate) fn nonzero(sizes: &[(&'static str, usize)]) -> Result<(), ShapeError> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some(&(what, _)) => Err(ShapeError::Zero { what }),
        None => Ok(()),
    }
}

pub(crate) fn length(what: &'static str, found: usize, expected: usize) -> Result<(), ShapeError> {
    if found == expected { Ok(()) } else { Err(ShapeError::Length { what, found, expected }) }
}

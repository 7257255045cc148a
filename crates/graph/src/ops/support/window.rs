//! Sliding windows: the geometry that convolutions and pools share.

use crate::{Attribute, AttributeError, Attributes, ShapeError, mismatch};

/// How a window of `kernel` extents slides over the spatial axes.
///
/// All lists have one entry per spatial axis (`pads` has two: all begins, then all ends, as in ONNX) or are empty,
/// meaning the default (stride 1, dilation 1, no padding).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Steps between windows.
    pub strides: Vec<usize>,
    /// Steps between taps.
    pub dilations: Vec<usize>,
    /// Zeros added: begins, then ends.
    pub padding: Padding,
}

/// Where padding comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Padding {
    /// Given numbers: begins, then ends; empty for none.
    Explicit(Vec<usize>),
    /// So much that the output is the input divided by the stride, rounded up; an odd cell goes to the end.
    SameUpper,
    /// The same with the odd cell at the beginning.
    SameLower,
}

impl Default for Padding {
    fn default() -> Padding {
        Padding::Explicit(Vec::new())
    }
}

/// A window with all numbers resolved for concrete extents; each list has one entry per spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Taps.
    pub kernel: Vec<usize>,
    /// Steps between windows.
    pub strides: Vec<usize>,
    /// Steps between taps.
    pub dilations: Vec<usize>,
    /// Cells added before.
    pub begins: Vec<usize>,
    /// Cells added after.
    pub ends: Vec<usize>,
    /// Extents of the output.
    pub output: Vec<usize>,
}

impl Resolved {
    /// Cells from the first tap to the last on spatial axis `i`, both included.
    pub fn span(&self, i: usize) -> usize {
        self.kernel[i].saturating_sub(1).saturating_mul(self.dilations[i]).saturating_add(1)
    }
}

/// `total` cells of padding as (begin, end); an odd cell goes to the end if `upper`.
pub(in crate::ops) fn split(total: usize, upper: bool) -> (usize, usize) {
    let lesser = total / 2;
    if upper { (lesser, total - lesser) } else { (total - lesser, lesser) }
}

/// A list of sizes that must each lie in `1..=i32::MAX` (0 allowed for pads).
pub(in crate::ops) fn sizes(
    attributes: &mut Attributes,
    name: &'static str,
    least: i64,
) -> Result<Vec<usize>, AttributeError> {
    let values = attributes.ints(name)?.unwrap_or_default();
    if values.iter().any(|&v| v < least || v > i64::from(i32::MAX)) {
        let accepted = if least == 0 { "integers from 0 to 2^31 - 1" } else { "integers from 1 to 2^31 - 1" };
        return Err(AttributeError::Value { name, found: format!("{values:?}"), accepted });
    }
    Ok(values.into_iter().map(|v| v as usize).collect())
}

/// `kernel_shape`, required.
pub(in crate::ops) fn kernel_shape(attributes: &mut Attributes) -> Result<Vec<usize>, AttributeError> {
    let kernel = sizes(attributes, "kernel_shape", 1)?;
    if kernel.is_empty() { Err(AttributeError::Missing("kernel_shape")) } else { Ok(kernel) }
}

/// The same list, back.
pub(in crate::ops) fn to_ints(values: &[usize]) -> Attribute {
    Attribute::Ints(values.iter().map(|&v| v as i64).collect())
}

impl Window {
    /// Takes `strides`, `dilations`, `pads` and `auto_pad`.
    pub(in crate::ops) fn read(attributes: &mut Attributes) -> Result<Window, AttributeError> {
        let pads = sizes(attributes, "pads", 0)?;
        let padding = match attributes.text("auto_pad")?.as_deref() {
            None | Some("NOTSET") => Padding::Explicit(pads),
            Some("VALID") => Padding::Explicit(Vec::new()),
            Some("SAME_UPPER") => Padding::SameUpper,
            Some("SAME_LOWER") => Padding::SameLower,
            Some(other) => {
                return Err(AttributeError::Value {
                    name: "auto_pad",
                    found: other.to_owned(),
                    accepted: "NOTSET, VALID, SAME_UPPER, SAME_LOWER",
                });
            }
        };
        Ok(Window {
            strides: sizes(attributes, "strides", 1)?,
            dilations: sizes(attributes, "dilations", 1)?,
            padding,
        })
    }

    /// Writes what differs from the default.
    pub(in crate::ops) fn write(&self, attributes: &mut Attributes) {
        if !self.strides.is_empty() {
            attributes.set("strides", to_ints(&self.strides));
        }
        if !self.dilations.is_empty() {
            attributes.set("dilations", to_ints(&self.dilations));
        }
        match &self.padding {
            Padding::Explicit(pads) if pads.is_empty() => {}
            Padding::Explicit(pads) => attributes.set("pads", to_ints(pads)),
            Padding::SameUpper => attributes.set("auto_pad", Attribute::Text("SAME_UPPER".into())),
            Padding::SameLower => attributes.set("auto_pad", Attribute::Text("SAME_LOWER".into())),
        }
    }

    /// The lists filled with their defaults for a window of `kernel` taps; `output` is left empty.
    ///
    /// # Errors
    /// When list lengths differ from `rank`, the number of spatial axes.
    pub(in crate::ops) fn fill(&self, rank: usize, kernel: &[usize]) -> Result<Resolved, ShapeError> {
        let pads = match &self.padding {
            Padding::Explicit(pads) => pads.as_slice(),
            _ => &[],
        };
        for (name, list, expected) in [
            ("kernel_shape", kernel, rank),
            ("strides", &self.strides, rank),
            ("dilations", &self.dilations, rank),
            ("pads", pads, 2 * rank),
        ] {
            if list.len() != expected && !(list.is_empty() && name != "kernel_shape") {
                return Err(mismatch!(
                    "{name} {list:?} must have {expected} entries for {rank} spatial axes"
                ));
            }
        }
        let or = |list: &[usize], i: usize, default| list.get(i).copied().unwrap_or(default);
        Ok(Resolved {
            kernel: kernel.to_vec(),
            strides: (0..rank).map(|i| or(&self.strides, i, 1)).collect(),
            dilations: (0..rank).map(|i| or(&self.dilations, i, 1)).collect(),
            begins: (0..rank).map(|i| or(pads, i, 0)).collect(),
            ends: (0..rank).map(|i| or(pads, rank + i, 0)).collect(),
            output: Vec::with_capacity(rank),
        })
    }

    /// All numbers for an input of `extents` (spatial axes only) and a window of `kernel` taps.
    ///
    /// `ceil` rounds the output extent up (`ceil_mode` of pools), dropping a last window that would start in the
    /// padding after the end.
    ///
    /// # Errors
    /// When list lengths differ from the number of spatial axes, or the padded input is smaller than the window.
    pub fn resolve(&self, extents: &[usize], kernel: &[usize], ceil: bool) -> Result<Resolved, ShapeError> {
        let mut r = self.fill(extents.len(), kernel)?;
        for (i, &input) in extents.iter().enumerate() {
            let stride = r.strides[i];
            let span = r.span(i);
            if let Padding::SameUpper | Padding::SameLower = self.padding {
                let output = input.div_ceil(stride);
                let total = (output.saturating_sub(1).saturating_mul(stride))
                    .saturating_add(span)
                    .saturating_sub(input);
                (r.begins[i], r.ends[i]) = split(total, self.padding == Padding::SameUpper);
                r.output.push(output);
                continue;
            }
            let padded = input.saturating_add(r.begins[i]).saturating_add(r.ends[i]);
            let Some(room) = padded.checked_sub(span) else {
                return Err(mismatch!(
                    "a window spanning {span} does not fit axis {i} of {padded} padded cells"
                ));
            };
            let mut output = if ceil { room.div_ceil(stride) + 1 } else { room / stride + 1 };
            if ceil && (output - 1).saturating_mul(stride) >= input.saturating_add(r.begins[i]) {
                output -= 1;
            }
            r.output.push(output);
        }
        Ok(r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_stride_and_dilation_count() {
        let window = Window { strides: vec![2], dilations: vec![2], padding: Padding::Explicit(vec![1, 2]) };
        let r = window.resolve(&[10], &[3], false).unwrap();
        assert_eq!((r.output, r.begins, r.ends), (vec![5], vec![1], vec![2]));
    }

    #[test]
    fn same_padding_divides_and_places_the_odd_cell() {
        let window = |padding| Window { strides: vec![2], dilations: vec![], padding };
        let upper = window(Padding::SameUpper).resolve(&[6], &[3], false).unwrap();
        let lower = window(Padding::SameLower).resolve(&[6], &[3], false).unwrap();
        assert_eq!((upper.output, upper.begins, upper.ends), (vec![3], vec![0], vec![1]));
        assert_eq!((lower.output, lower.begins, lower.ends), (vec![3], vec![1], vec![0]));
    }

    #[test]
    fn ceil_mode_drops_a_window_that_starts_after_the_input() {
        let window = Window { strides: vec![2], dilations: vec![], padding: Padding::Explicit(vec![0, 1]) };
        assert_eq!(window.resolve(&[4], &[2], true).unwrap().output, [2]);
        assert_eq!(window.resolve(&[5], &[2], true).unwrap().output, [3]);
    }

    #[test]
    fn a_window_larger_than_the_input_is_refused() {
        assert!(Window::default().resolve(&[2], &[3], false).is_err());
    }
}

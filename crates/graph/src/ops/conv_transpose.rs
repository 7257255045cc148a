//! `ConvTranspose`: the transpose of a convolution with respect to its input, in groups.

use super::support::window::{Padding, Resolved, Window, sizes, split, to_ints};
use super::support::{positive, product, same_type};
use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Each input cell adds its multiple of the filter to the output. `X: [n, c, d1, …]`, `W: [c, m/group, k1, …]`,
/// `B: [m]`, `Y: [n, m, o1, …]`.
///
/// Cell `i` under tap `t` lands on output `i·stride + t·dilation − begin`; what falls outside is dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose {
    /// Strides, dilations and padding; padding here crops the output.
    pub window: Window,
    /// Channel groups.
    pub group: usize,
    /// Cells added after the output, one entry per spatial axis or none.
    pub output_padding: Vec<usize>,
    /// Output extents that override the padding, one entry per spatial axis or none.
    pub output_shape: Vec<usize>,
}

impl ConvTranspose {
    /// The window in numbers, for input and weight shapes.
    ///
    /// # Errors
    /// When ranks, channels or groups do not fit together, an input extent is 0, or padding crops all of the output.
    pub fn resolve(&self, x: &[usize], w: &[usize]) -> Result<Resolved, ShapeError> {
        if x.len() < 3 || w.len() != x.len() {
            return Err(mismatch!("input {x:?} and weight {w:?} must have one rank of at least 3"));
        }
        if x[1] != w[0] || self.group == 0 || !x[1].is_multiple_of(self.group) {
            return Err(mismatch!(
                "input channels {} must equal weight channels {} and be a multiple of group {}",
                x[1],
                w[0],
                self.group
            ));
        }
        let (extents, rank) = (&x[2..], x.len() - 2);
        let mut r = self.window.fill(rank, &w[2..])?;
        for (name, list) in [("output_padding", &self.output_padding), ("output_shape", &self.output_shape)] {
            if !list.is_empty() && list.len() != rank {
                return Err(mismatch!("{name} {list:?} must have {rank} entries for {rank} spatial axes"));
            }
        }
        for (i, &extent) in extents.iter().enumerate() {
            let Some(steps) = extent.checked_sub(1) else {
                return Err(mismatch!("input {x:?} has no cells on spatial axis {i}"));
            };
            let extra = self.output_padding.get(i).copied().unwrap_or(0);
            let full = steps.saturating_mul(r.strides[i]).saturating_add(r.span(i)).saturating_add(extra);
            let wanted = match (self.output_shape.get(i), &self.window.padding) {
                (Some(&wanted), _) => Some(wanted),
                (None, Padding::SameUpper | Padding::SameLower) => Some(extent.saturating_mul(r.strides[i])),
                (None, Padding::Explicit(_)) => None,
            };
            if let Some(wanted) = wanted {
                // The specification gives the odd cell to the end for SAME_UPPER only.
                let upper = self.window.padding == Padding::SameUpper;
                (r.begins[i], r.ends[i]) = split(full.saturating_sub(wanted), upper);
                r.output.push(wanted);
                continue;
            }
            let crop = r.begins[i].saturating_add(r.ends[i]);
            let Some(output) = full.checked_sub(crop).filter(|&o| o > 0) else {
                return Err(mismatch!("padding {crop} crops all {full} cells of output axis {i}"));
            };
            r.output.push(output);
        }
        Ok(r)
    }
}

impl OpSpec for ConvTranspose {
    const NAME: &'static str = "ConvTranspose";

    fn read(attributes: &mut Attributes) -> Result<ConvTranspose, AttributeError> {
        // `kernel_shape` repeats what the weight says.
        sizes(attributes, "kernel_shape", 1)?;
        Ok(ConvTranspose {
            group: positive(attributes, "group")?.unwrap_or(1),
            output_padding: sizes(attributes, "output_padding", 0)?,
            output_shape: sizes(attributes, "output_shape", 1)?,
            window: Window::read(attributes)?,
        })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new();
        self.window.write(&mut attributes);
        if self.group != 1 {
            attributes.set("group", Attribute::Int(self.group as i64));
        }
        for (name, list) in [("output_padding", &self.output_padding), ("output_shape", &self.output_shape)] {
            if !list.is_empty() {
                attributes.set(name, to_ints(list));
            }
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, w) = (&inputs.required(0, "X")?.ty, &inputs.required(1, "W")?.ty);
        same_type(x, "W", w)?;
        let window = self.resolve(&x.shape, &w.shape)?;
        let Some(channels) = w.shape[1].checked_mul(self.group) else {
            return Err(mismatch!("group {} × weight channels {} is too large", self.group, w.shape[1]));
        };
        if let Some(b) = inputs.optional(2).filter(|b| b.ty.shape != [channels]) {
            return Err(mismatch!("bias {:?} must be [{channels}]", b.ty.shape));
        }
        Ok(vec![TensorType::new(x.dtype, [&[x.shape[0], channels], window.output.as_slice()].concat())])
    }

    /// The weight's channel axis is 1: with groups, index `j` stands for output channels `j`, `j + m/group`, …
    /// together, one of each group, because the weight stores the groups one after another along its axis 0.
    fn role(&self, input: usize) -> Role {
        match input {
            0 => Role::Activation,
            1 => Role::Weight { channel_axis: 1 },
            _ => Role::Bias,
        }
    }

    fn macs(&self, inputs: &[Option<Input<'_>>], _: &[TensorType]) -> u64 {
        // Each input element multiplies the filters of its group, cropped outputs included.
        let taps = inputs.optional(1).map_or(0, |w| product(w.ty.shape.iter().skip(1)));
        inputs.optional(0).map_or(0, |x| product(&x.ty.shape)).saturating_mul(taps)
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, infer, read};
    use super::*;

    fn with(pairs: &[(&str, &[i64])]) -> Attributes {
        pairs.iter().fold(Attributes::new(), |a, (name, v)| a.with(name, Attribute::Ints(v.to_vec())))
    }

    #[test]
    fn strides_enlarge_and_pads_crop() {
        let op: ConvTranspose =
            read(with(&[("strides", &[2, 2]), ("pads", &[1, 0, 1, 1]), ("output_padding", &[1, 0])]));
        assert_eq!(infer(&op, &[&[1, 4, 5, 5], &[4, 3, 3, 3], &[3]]), Ok(vec![1, 3, 10, 10]));
        assert_eq!(op.macs(&[float(&[1, 4, 5, 5]), float(&[4, 3, 3, 3])], &[]), 4 * 25 * 27);
    }

    #[test]
    fn groups_multiply_the_output_channels() {
        let op: ConvTranspose = read(Attributes::new().with("group", Attribute::Int(2)));
        assert_eq!(infer(&op, &[&[1, 4, 5], &[4, 3, 2], &[6]]), Ok(vec![1, 6, 6]));
        assert!(infer(&op, &[&[1, 4, 5], &[4, 3, 2], &[3]]).is_err());
    }

    #[test]
    fn a_given_output_shape_decides_the_padding_and_the_odd_cell_is_cropped_at_the_beginning() {
        let op: ConvTranspose = read(with(&[("strides", &[2]), ("output_shape", &[6])]));
        let r = op.resolve(&[1, 1, 3], &[1, 1, 3]).unwrap();
        assert_eq!((r.output, r.begins, r.ends), (vec![6], vec![1], vec![0]));
        let same = with(&[("strides", &[2])]).with("auto_pad", Attribute::Text("SAME_UPPER".into()));
        let r = read::<ConvTranspose>(same).resolve(&[1, 1, 3], &[1, 1, 3]).unwrap();
        assert_eq!((r.output, r.begins, r.ends), (vec![6], vec![0], vec![1]));
    }

    #[test]
    fn nothing_left_is_refused() {
        let op: ConvTranspose = read(with(&[("pads", &[2, 2])]));
        assert!(infer(&op, &[&[1, 1, 1], &[1, 1, 3]]).is_err());
        assert!(infer(&op, &[&[1, 1, 0], &[1, 1, 3]]).is_err());
    }
}

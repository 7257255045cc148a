//! `Conv`: cross-correlation over any number of spatial axes, in groups.

use super::support::window::{Resolved, Window, sizes};
use super::support::{positive, product, same_type};
use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Y = W ⋆ X + B. `X: [n, c, d1, …]`, `W: [m, c/group, k1, …]`, `B: [m]`, `Y: [n, m, o1, …]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Strides, dilations and padding.
    pub window: Window,
    /// Channel groups; `group = c` is depthwise.
    pub group: usize,
}

impl Conv {
    /// The window in numbers, for input and weight shapes.
    ///
    /// # Errors
    /// When ranks, channels or groups do not fit together.
    pub fn resolve(&self, x: &[usize], w: &[usize]) -> Result<Resolved, ShapeError> {
        if x.len() < 3 || w.len() != x.len() {
            return Err(mismatch!("input {x:?} and weight {w:?} must have one rank of at least 3"));
        }
        if self.group == 0 || w[1].checked_mul(self.group) != Some(x[1]) || !w[0].is_multiple_of(self.group) {
            return Err(mismatch!(
                "input channels {} must be group {} × weight channels {}, and output channels {} a multiple of group",
                x[1],
                self.group,
                w[1],
                w[0]
            ));
        }
        self.window.resolve(&x[2..], &w[2..], false)
    }
}

impl OpSpec for Conv {
    const NAME: &'static str = "Conv";

    fn read(attributes: &mut Attributes) -> Result<Conv, AttributeError> {
        // `kernel_shape` repeats what the weight says.
        sizes(attributes, "kernel_shape", 1)?;
        Ok(Conv { group: positive(attributes, "group")?.unwrap_or(1), window: Window::read(attributes)? })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new();
        self.window.write(&mut attributes);
        if self.group != 1 {
            attributes.set("group", Attribute::Int(self.group as i64));
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, w) = (&inputs.required(0, "X")?.ty, &inputs.required(1, "W")?.ty);
        same_type(x, "W", w)?;
        let window = self.resolve(&x.shape, &w.shape)?;
        if let Some(b) = inputs.optional(2).filter(|b| b.ty.shape != [w.shape[0]]) {
            return Err(mismatch!("bias {:?} must be [{}]", b.ty.shape, w.shape[0]));
        }
        Ok(vec![TensorType::new(x.dtype, [&[x.shape[0], w.shape[0]], window.output.as_slice()].concat())])
    }

    fn role(&self, input: usize) -> Role {
        match input {
            0 => Role::Activation,
            1 => Role::Weight { channel_axis: 0 },
            _ => Role::Bias,
        }
    }

    fn macs(&self, inputs: &[Option<Input<'_>>], outputs: &[TensorType]) -> u64 {
        // Each output element reads one filter.
        let taps = inputs.optional(1).map_or(0, |w| product(w.ty.shape.iter().skip(1)));
        outputs.first().map_or(0, |y| product(&y.shape)).saturating_mul(taps)
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, infer, read};
    use super::*;
    use lowbit_tensor::DType;

    fn strided() -> Conv {
        read(
            Attributes::new()
                .with("group", Attribute::Int(4))
                .with("kernel_shape", Attribute::Ints(vec![3, 3]))
                .with("strides", Attribute::Ints(vec![2, 2]))
                .with("pads", Attribute::Ints(vec![1, 1, 1, 1])),
        )
    }

    #[test]
    fn grouped_and_strided_shapes() {
        assert_eq!(infer(&strided(), &[&[2, 8, 5, 5], &[12, 2, 3, 3], &[12]]), Ok(vec![2, 12, 3, 3]));
        assert!(infer(&strided(), &[&[2, 8, 5, 5], &[12, 3, 3, 3]]).is_err());
        assert!(infer(&strided(), &[&[2, 8, 5, 5], &[12, 2, 3, 3], &[11]]).is_err());
    }

    #[test]
    fn each_output_costs_one_filter_for_any_rank() {
        let inputs = [float(&[2, 8, 5, 5]), float(&[12, 2, 3, 3])];
        let output = TensorType::new(DType::F32, [2, 12, 3, 3]);
        assert_eq!(strided().macs(&inputs, &[output]), 2 * 12 * 9 * 2 * 9);
        let line = Conv { window: Window::default(), group: 1 };
        let inputs = [float(&[1, 2, 6]), float(&[3, 2, 4])];
        let output = TensorType::new(DType::F32, infer(&line, &[&[1, 2, 6], &[3, 2, 4]]).unwrap());
        assert_eq!(line.macs(&inputs, &[output]), 3 * 3 * 2 * 4);
    }

    #[test]
    fn a_group_of_any_size_is_refused_not_multiplied() {
        let op = Conv { group: usize::MAX, ..strided() };
        assert!(infer(&op, &[&[2, 8, 5, 5], &[12, 2, 3, 3]]).is_err());
    }
}

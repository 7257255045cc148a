//! `Conv`: cross-correlation over any number of spatial axes, in groups.

use super::support::window::{Resolved, Window, sizes};
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
        if self.group == 0 || x[1] != w[1] * self.group || !w[0].is_multiple_of(self.group) {
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
        let group = attributes.int("group")?.unwrap_or(1);
        let group = usize::try_from(group).ok().filter(|&g| g > 0).ok_or(AttributeError::Value {
            name: "group",
            found: group.to_string(),
            accepted: "a positive integer",
        })?;
        Ok(Conv { window: Window::read(attributes)?, group })
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
        let taps = inputs.optional(1).map_or(0, |w| w.ty.shape[1..].iter().product());
        outputs[0].len() as u64 * taps as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::DType;

    fn infer(op: &Conv, shapes: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let inputs: Vec<_> =
            shapes.iter().map(|&s| Some(Input { ty: TensorType::new(DType::F32, s), value: None })).collect();
        op.infer(&inputs).map(|mut t| t.remove(0).shape)
    }

    #[test]
    fn grouped_and_strided_shapes() {
        let mut attributes = Attributes::new()
            .with("group", Attribute::Int(4))
            .with("strides", Attribute::Ints(vec![2, 2]))
            .with("pads", Attribute::Ints(vec![1, 1, 1, 1]));
        let op = Conv::read(&mut attributes).unwrap();
        assert_eq!(infer(&op, &[&[2, 8, 5, 5], &[12, 2, 3, 3], &[12]]), Ok(vec![2, 12, 3, 3]));
        assert!(infer(&op, &[&[2, 8, 5, 5], &[12, 3, 3, 3]]).is_err());
        assert_eq!(Conv::read(&mut op.write()).unwrap(), op);
    }
}

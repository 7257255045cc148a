//! `MaxPool`: the largest element of each window.

use super::support::window::{Resolved, Window, kernel_shape, to_ints};
use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Largest element under each window, channel by channel: `X: [n, c, d1, …]`, `Y: [n, c, o1, …]`; padding never wins.
///
/// Only the first output is computed: the indices of the second serve unpooling.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool {
    /// Taps per spatial axis.
    pub kernel: Vec<usize>,
    /// Strides, dilations and padding.
    pub window: Window,
    /// Whether output extents round up.
    pub ceil: bool,
}

impl MaxPool {
    /// The window in numbers, for the shape of the input.
    ///
    /// # Errors
    /// When ranks do not fit together, or the padded input is smaller than the window.
    pub fn resolve(&self, x: &[usize]) -> Result<Resolved, ShapeError> {
        if x.len() < 3 {
            return Err(mismatch!("input {x:?} must have a rank of at least 3"));
        }
        self.window.resolve(&x[2..], &self.kernel, self.ceil)
    }
}

impl OpSpec for MaxPool {
    const NAME: &'static str = "MaxPool";

    fn read(attributes: &mut Attributes) -> Result<MaxPool, AttributeError> {
        // The order of the indices, which are not computed.
        attributes.int("storage_order")?;
        Ok(MaxPool {
            kernel: kernel_shape(attributes)?,
            window: Window::read(attributes)?,
            ceil: attributes.flag("ceil_mode", false)?,
        })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new().with("kernel_shape", to_ints(&self.kernel));
        self.window.write(&mut attributes);
        if self.ceil {
            attributes.set("ceil_mode", Attribute::Int(1));
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        let window = self.resolve(&x.shape)?;
        Ok(vec![TensorType::new(x.dtype, [&x.shape[..2], &window.output].concat())])
    }

    fn since(&self) -> u64 {
        // 8-bit integers would need 12; the type is not known here, and networks at rest hold floats.
        if self.ceil || !self.window.dilations.is_empty() { 10 } else { 7 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn extents_round_down_or_up() {
        let attributes = || {
            Attributes::new()
                .with("kernel_shape", Attribute::Ints(vec![2, 2]))
                .with("strides", Attribute::Ints(vec![2, 2]))
        };
        let down: MaxPool = read(attributes());
        let up: MaxPool = read(attributes().with("ceil_mode", Attribute::Int(1)));
        assert_eq!(infer(&down, &[&[1, 3, 5, 4]]), Ok(vec![1, 3, 2, 2]));
        assert_eq!(infer(&up, &[&[1, 3, 5, 4]]), Ok(vec![1, 3, 3, 2]));
        assert_eq!((down.since(), up.since()), (7, 10));
    }

    #[test]
    fn the_kernel_is_required() {
        assert_eq!(MaxPool::read(&mut Attributes::new()), Err(AttributeError::Missing("kernel_shape")));
    }
}

//! `AveragePool`: the mean of each window.

use super::support::window::{Resolved, Window, kernel_shape, to_ints};
use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Mean of the elements under each window, channel by channel: `X: [n, c, d1, …]`, `Y: [n, c, o1, …]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AveragePool {
    /// Taps per spatial axis.
    pub kernel: Vec<usize>,
    /// Strides, dilations and padding.
    pub window: Window,
    /// Whether output extents round up; taps past the padding that this adds are never counted.
    pub ceil: bool,
    /// Whether padding counts, as zeros.
    pub count_include_pad: bool,
}

impl AveragePool {
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

impl OpSpec for AveragePool {
    const NAME: &'static str = "AveragePool";

    fn read(attributes: &mut Attributes) -> Result<AveragePool, AttributeError> {
        Ok(AveragePool {
            kernel: kernel_shape(attributes)?,
            window: Window::read(attributes)?,
            ceil: attributes.flag("ceil_mode", false)?,
            count_include_pad: attributes.flag("count_include_pad", false)?,
        })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new().with("kernel_shape", to_ints(&self.kernel));
        self.window.write(&mut attributes);
        for (name, _) in
            [("ceil_mode", self.ceil), ("count_include_pad", self.count_include_pad)].iter().filter(|f| f.1)
        {
            attributes.set(name, Attribute::Int(1));
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        let window = self.resolve(&x.shape)?;
        Ok(vec![TensorType::new(x.dtype, [&x.shape[..2], &window.output].concat())])
    }

    fn since(&self) -> u64 {
        match self {
            op if !op.window.dilations.is_empty() => 19,
            op if op.ceil => 10,
            _ => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn each_attribute_has_its_opset() {
        let kernel = || Attributes::new().with("kernel_shape", Attribute::Ints(vec![3]));
        let plain: AveragePool = read(kernel().with("count_include_pad", Attribute::Int(1)));
        let ceil: AveragePool = read(kernel().with("ceil_mode", Attribute::Int(1)));
        let dilated: AveragePool = read(kernel().with("dilations", Attribute::Ints(vec![2])));
        assert_eq!([plain.since(), ceil.since(), dilated.since()], [7, 10, 19]);
        assert_eq!(infer(&dilated, &[&[1, 2, 7]]), Ok(vec![1, 2, 3]));
        assert!(infer(&dilated, &[&[1, 2, 4]]).is_err() && infer(&plain, &[&[2, 7]]).is_err());
    }
}

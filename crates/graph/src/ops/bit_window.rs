//! `BitWindow` (domain `lowbit`): what a layer makes of an operand of 8-bit codes that it reads through a window.
//!
//! A node between an edge and one layer, as the window is the layer's: an addition beside it reads the edge itself. The
//! simulation inserts it; in a file it is a note on the layer, beside which any runtime finds plain 8-bit codes.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};
use lowbit_tensor::Windowed;

/// y = windowed codes · scale, of x on an unsigned 8-bit grid with zero point 0.
#[derive(Clone, Debug, PartialEq)]
pub struct BitWindow {
    /// The window, and whether neighbours along `axis` (2j and 2j + 1) share their bits.
    pub read: Windowed,
    /// Axis that the layer sums over: 1 for convolutions, the last one for matrix products. From the end if negative.
    pub axis: i64,
    /// Real units per code.
    pub scale: f32,
}

impl OpSpec for BitWindow {
    const NAME: &'static str = "BitWindow";
    const DOMAIN: &'static str = "lowbit";

    fn read(_: &mut Attributes) -> Result<BitWindow, AttributeError> {
        // Internal: files say it in the metadata of the layer that reads it.
        Err(AttributeError::Unknown("BitWindow is internal; write `lowbit.window` on the layer that reads it".into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        axis(self.axis, x.shape.len())?;
        if !(x.dtype.is_float() && self.scale > 0.0 && self.scale.is_finite()) {
            return Err(mismatch!("a window takes floats on a grid, found {} with steps of {}", x.dtype, self.scale));
        }
        Ok(vec![x.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::support::testing::infer;
    use super::*;
    use lowbit_tensor::Window;
    use lowbit_tensor::code::window::Rounding;

    #[test]
    fn it_needs_its_axis_and_a_usable_step() {
        let window = Window::named("5opt", Rounding::Round).unwrap();
        let op = |axis, scale| BitWindow { read: Windowed { window, pairs: true }, axis, scale };
        assert!(infer(&op(1, 0.5), &[&[2, 3, 4, 4]]).is_ok() && infer(&op(-1, 0.5), &[&[2, 3]]).is_ok());
        assert!(infer(&op(1, 0.5), &[&[2]]).is_err());
        assert!(infer(&op(1, 0.0), &[&[2, 3]]).is_err() && infer(&op(1, f32::NAN), &[&[2, 3]]).is_err());
    }
}

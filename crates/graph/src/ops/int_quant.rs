//! `IntQuant` (QONNX, also known as `Quant`): rounding to an integer code and back, in one node.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// `(round(clamp(x / scale + zeropt)) - zeropt) · scale`; inputs are X, scale, zeropt, bitwidth.
///
/// Scale and zero point broadcast against X; the bit width is one number. Signed codes of 1 bit are -1 and 1, by the
/// sign of `x / scale + zeropt`.
#[derive(Clone, Debug, PartialEq)]
pub struct IntQuant {
    /// Whether codes are two's complement, else from 0.
    pub signed: bool,
    /// Whether one code at an end is left out: the lowest if signed, else the highest.
    pub narrow: bool,
    /// How `x / scale + zeropt` becomes an integer.
    pub rounding: Rounding,
}

/// Ways to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Nearest, ties to even.
    HalfEven,
    /// Nearest, ties away from zero.
    HalfUp,
    /// Nearest, ties towards zero.
    HalfDown,
    /// Towards positive infinity.
    Ceil,
    /// Towards negative infinity.
    Floor,
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
}

impl Rounding {
    /// The first name of a mode is the one written.
    const NAMES: [(&'static str, Rounding); 8] = [
        ("ROUND", Rounding::HalfEven),
        ("HALF_EVEN", Rounding::HalfEven),
        ("HALF_UP", Rounding::HalfUp),
        ("HALF_DOWN", Rounding::HalfDown),
        ("CEIL", Rounding::Ceil),
        ("FLOOR", Rounding::Floor),
        ("UP", Rounding::Up),
        ("DOWN", Rounding::Down),
    ];
}

impl IntQuant {
    /// Smallest and largest code of `bits` (1..=64), before the special case of one signed bit.
    pub fn range(&self, bits: u8) -> [f32; 2] {
        let [span, narrow] = [2f32.powi(i32::from(bits)), f32::from(u8::from(self.narrow))];
        if self.signed { [-span / 2.0 + narrow, span / 2.0 - 1.0] } else { [0.0, span - 1.0 - narrow] }
    }
}

impl OpSpec for IntQuant {
    const NAME: &'static str = "IntQuant";
    const DOMAIN: &'static str = "qonnx.custom_op.general";

    fn read(attributes: &mut Attributes) -> Result<IntQuant, AttributeError> {
        let mut flag = |name| Ok(attributes.int(name)?.ok_or(AttributeError::Missing(name))? != 0);
        let (signed, narrow) = (flag("signed")?, flag("narrow")?);
        let found = attributes.text("rounding_mode")?.unwrap_or_else(|| "ROUND".into());
        let rounding = Rounding::NAMES.into_iter().find(|(name, _)| found.eq_ignore_ascii_case(name));
        let (_, rounding) = rounding.ok_or(AttributeError::Value {
            name: "rounding_mode",
            found,
            accepted: "ROUND, HALF_EVEN, HALF_UP, HALF_DOWN, CEIL, FLOOR, UP, DOWN",
        })?;
        Ok(IntQuant { signed, narrow, rounding })
    }

    fn write(&self) -> Attributes {
        let name =
            Rounding::NAMES.into_iter().find(|(_, r)| *r == self.rounding).map_or("ROUND", |(name, _)| name);
        Attributes::new()
            .with("signed", Attribute::Int(self.signed.into()))
            .with("narrow", Attribute::Int(self.narrow.into()))
            .with("rounding_mode", Attribute::Text(name.into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        for (i, name) in [(0, "X"), (1, "scale"), (2, "zeropt"), (3, "bitwidth")] {
            let ty = &inputs.required(i, name)?.ty;
            if !ty.dtype.is_float() && i < 2 {
                return Err(mismatch!("{name} is {}; it must be a float", ty.dtype));
            }
            support::broadcasts_into(name, &ty.shape, &x.shape)?;
        }
        let bits = &inputs.required(3, "bitwidth")?.ty.shape;
        if bits.iter().any(|&d| d != 1) {
            return Err(mismatch!("bitwidth {bits:?} must be one number"));
        }
        Ok(vec![x.clone()])
    }

    fn since(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips};

    #[test]
    fn ranges_are_qonnxs() {
        let range = |signed, narrow| IntQuant { signed, narrow, rounding: Rounding::HalfEven }.range(8);
        assert_eq!([range(true, false), range(true, true)], [[-128.0, 127.0], [-127.0, 127.0]]);
        assert_eq!([range(false, false), range(false, true)], [[0.0, 255.0], [0.0, 254.0]]);
    }

    #[test]
    fn parameters_broadcast_against_x() {
        let op = IntQuant { signed: true, narrow: false, rounding: Rounding::HalfEven };
        let x = || float(&[2, 3, 4]);
        assert!(op.infer(&[x(), float(&[3, 1]), float(&[]), float(&[1])]).is_ok());
        assert!(op.infer(&[x(), float(&[2]), float(&[]), float(&[])]).is_err());
        assert!(op.infer(&[x(), float(&[]), float(&[]), float(&[4])]).is_err());
        assert!(op.infer(&[x(), float(&[]), float(&[])]).is_err());
    }

    #[test]
    fn attributes_round_trip() {
        for (_, rounding) in Rounding::NAMES {
            round_trips(IntQuant { signed: false, narrow: true, rounding });
        }
        assert_eq!(IntQuant::read(&mut Attributes::new()), Err(AttributeError::Missing("signed")));
    }
}

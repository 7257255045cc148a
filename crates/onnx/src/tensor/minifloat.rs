//! Floats of 8 and 4 bits, which the rest of the program sees as the float32 they stand for (always exactly one).

/// A sign, an exponent and a mantissa of few bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MiniFloat {
    /// Name in the ONNX schema, in lower case.
    pub(super) name: &'static str,
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    special: Special,
}

/// Which codes are not numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Special {
    /// None: all codes are finite.
    None,
    /// The largest exponent, as in IEEE 754.
    Ieee,
    /// Only all ones below the sign: NaN.
    AllOnes,
    /// Only the code of negative zero: NaN.
    NegativeZero,
    /// All ones, and there is neither sign nor subnormal (the exponent-only scale type).
    Scale,
}

impl MiniFloat {
    /// The float of an ONNX type id.
    pub(super) fn from_id(id: i32) -> Option<MiniFloat> {
        let (name, exponent_bits, mantissa_bits, bias, special) = match id {
            17 => ("float8e4m3fn", 4, 3, 7, Special::AllOnes),
            18 => ("float8e4m3fnuz", 4, 3, 8, Special::NegativeZero),
            19 => ("float8e5m2", 5, 2, 15, Special::Ieee),
            20 => ("float8e5m2fnuz", 5, 2, 16, Special::NegativeZero),
            23 => ("float4e2m1", 2, 1, 1, Special::None),
            24 => ("float8e8m0", 8, 0, 127, Special::Scale),
            _ => return None,
        };
        Some(MiniFloat { name, exponent_bits, mantissa_bits, bias, special })
    }

    /// Width in bits: 4 or 8.
    pub(super) fn bits(self) -> usize {
        let sign = u32::from(self.special != Special::Scale);
        (sign + self.exponent_bits + self.mantissa_bits) as usize
    }

    /// The value of a code, whose upper bits beyond [`MiniFloat::bits`] are zero.
    pub(super) fn decode(self, code: u8) -> f32 {
        let code = u32::from(code);
        let magnitude_bits = self.exponent_bits + self.mantissa_bits;
        let magnitude = code & ((1 << magnitude_bits) - 1);
        let (exponent, mantissa) =
            (magnitude >> self.mantissa_bits, magnitude & ((1 << self.mantissa_bits) - 1));
        let negative = code >> magnitude_bits != 0;
        let top = exponent == (1 << self.exponent_bits) - 1;
        let value = match self.special {
            Special::Ieee if top && mantissa == 0 => f64::INFINITY,
            Special::Ieee if top => f64::NAN,
            Special::AllOnes | Special::Scale if magnitude == (1 << magnitude_bits) - 1 => f64::NAN,
            Special::NegativeZero if negative && magnitude == 0 => f64::NAN,
            _ => {
                let fraction = f64::from(mantissa) / f64::from(1u32 << self.mantissa_bits);
                if exponent == 0 && self.special != Special::Scale {
                    fraction * f64::exp2(f64::from(1 - self.bias))
                } else {
                    (1.0 + fraction) * f64::exp2(f64::from(exponent as i32 - self.bias))
                }
            }
        };
        if negative { -value as f32 } else { value as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(id: i32, code: u8) -> f32 {
        MiniFloat::from_id(id).unwrap().decode(code)
    }

    #[test]
    fn largest_smallest_and_one_are_those_of_the_specification() {
        // (id, code of 1.0, code of the largest, largest, smallest subnormal)
        let table = [
            (17, 0x38, 0x7E, 448.0, 2f32.powi(-9)),
            (18, 0x40, 0x7F, 240.0, 2f32.powi(-10)),
            (19, 0x3C, 0x7B, 57344.0, 2f32.powi(-16)),
            (20, 0x40, 0x7F, 57344.0, 2f32.powi(-17)),
            (23, 0x02, 0x07, 6.0, 0.5),
        ];
        for (id, one, top, largest, smallest) in table {
            assert_eq!(
                [decode(id, one), decode(id, top), decode(id, 1)],
                [1.0, largest, smallest],
                "type {id}"
            );
            let sign = 1 << (MiniFloat::from_id(id).unwrap().bits() - 1);
            assert_eq!(decode(id, one | sign), -1.0, "type {id}");
        }
        assert_eq!([decode(24, 127), decode(24, 0), decode(24, 254)], [1.0, 2f32.powi(-127), 2f32.powi(127)]);
    }

    #[test]
    fn only_the_codes_set_aside_are_not_finite() {
        let odd = |id| (0..=255u8).filter(|&c| !decode(id, c).is_finite()).collect::<Vec<_>>();
        assert_eq!(odd(17), [0x7F, 0xFF]);
        assert_eq!(odd(18), [0x80]);
        assert_eq!(odd(19), [0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF]);
        assert_eq!(odd(20), [0x80]);
        assert_eq!(odd(24), [0xFF]);
        assert_eq!(decode(19, 0xFC), f32::NEG_INFINITY);
    }
}

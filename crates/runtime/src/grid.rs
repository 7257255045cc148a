//! The codes of an edge.

use lowbit_graph::Op;
use lowbit_kernels::integer::Steps;
use lowbit_tensor::{Levels, Uniform, number::encode};

/// Evenly spaced levels of an edge as unsigned bytes: `x = (code − zero) · scale`, codes from `lo` to `hi`.
///
/// The kernels know unsigned codes only. A signed edge has the same levels 128 codes higher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Real units per step.
    pub scale: f32,
    /// Code of real zero.
    pub zero: u8,
    /// Lowest code.
    pub lo: u8,
    /// Highest code.
    pub hi: u8,
}

impl Grid {
    /// The grid of a code, if it is one for the whole tensor, of 1 to 8 bits.
    pub fn of(code: &Uniform) -> Option<Grid> {
        let (&[bits], &[scale], &[zero]) =
            (code.bits.as_slice(), code.scale.as_slice(), code.zero_point.as_slice())
        else {
            return None;
        };
        if code.axis.is_some() || code.shift.is_some() || !(1..=8).contains(&bits) {
            return None;
        }
        let offset = if code.signed { 128 } else { 0 };
        let byte = |q: i32| u8::try_from(q + offset).ok();
        let [lo, hi] = code.range(0);
        let usable = scale.is_finite() && scale > 0.0;
        Some(Grid { scale, zero: byte(zero)?, lo: byte(lo)?, hi: byte(hi)? }).filter(|_| usable)
    }

    /// The grid of what a node rounds to: of levels, from the lowest to the highest.
    pub(crate) fn of_rounding(op: &Op) -> Option<Grid> {
        match op {
            Op::FakeQuantize(op) => Grid::of(&op.code),
            Op::FakeLevels(op) => {
                let grid = Grid::of(&op.code.grid)?;
                let levels = steps(&op.code);
                Some(Grid { lo: levels.levels().next()?, hi: levels.levels().last()?, ..grid })
            }
            _ => None,
        }
    }

    /// The code of a real number.
    pub fn encode(&self, x: f32) -> u8 {
        encode(x, self.scale, i32::from(self.zero), [i32::from(self.lo), i32::from(self.hi)]) as u8
    }

    /// The real number of a code.
    pub fn decode(&self, code: u8) -> f32 {
        f32::from(i16::from(code) - i16::from(self.zero)) * self.scale
    }

    /// The codes that remain where real values are held to `[lo, hi]` before they are rounded.
    pub(crate) fn within(&self, [lo, hi]: [f32; 2]) -> Grid {
        Grid { lo: self.encode(lo), hi: self.encode(hi), ..*self }
    }
}

/// The levels of a code among the bytes of its [`Grid`].
pub(crate) fn steps(code: &Levels) -> Steps {
    let offset = if code.grid.signed { 128 } else { 0 };
    let bytes = |codes: &[i32]| codes.iter().map(|&q| (q + offset) as u8).collect::<Vec<u8>>();
    Steps::new(&bytes(&code.bounds), &bytes(&code.levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_reach_from_the_lowest_to_the_highest() {
        let grid = Uniform::per_tensor(8, true, 0.5, -2);
        let code = Levels::nearest(grid, vec![-100, 0, 20]).unwrap();
        assert!(steps(&code).levels().eq([28, 128, 148]));
        let op = lowbit_graph::ops::FakeLevels { code: code.into() }.into();
        assert_eq!(Grid::of_rounding(&op), Some(Grid { scale: 0.5, zero: 126, lo: 28, hi: 148 }));
    }

    #[test]
    fn a_signed_code_is_the_unsigned_one_moved() {
        let grid = Grid::of(&Uniform::per_tensor(4, true, 0.5, -2)).unwrap();
        assert_eq!(grid, Grid { scale: 0.5, zero: 126, lo: 120, hi: 135 });
        assert_eq!(grid.encode(1.0), 128);
        assert_eq!(grid.decode(128), 1.0);
    }

    #[test]
    fn a_relu_takes_the_codes_below_zero() {
        let grid = Grid { scale: 1.0, zero: 10, lo: 0, hi: 255 };
        assert_eq!(grid.within([0.0, f32::INFINITY]), Grid { lo: 10, ..grid });
    }
}

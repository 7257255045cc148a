//! The windows of SPARQ (Shomron et al. 2021, arXiv 2105.11010): an 8-bit code keeps few consecutive bits, from its
//! highest set bit downwards, and a pair of codes with one zero keeps twice as many of the other.
//!
//! A window is a function of one code onto codes on the same scale, and pairing needs only which of two codes is zero.
//! So two tables of 256 entries ([`Window::tables`]) hold all of it, for the simulation and for integer kernels alike.
//! The codes are unsigned with zero point 0; weights keep all their bits.

use serde::{Deserialize, Serialize};

/// What happens to the bits below a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// They are dropped.
    Trim,
    /// To nearest, ties to an even window code. A carry out of the window saturates in it; the window does not move.
    Round,
}

/// How many bits are kept, and where the window may sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub struct Window {
    /// The paper's name: the number of places. `6bit-3opt` is what `6opt` uses beside a zero.
    pub name: &'static str,
    /// Bits kept, 2..=6: the paper's n.
    pub bits: u8,
    /// Allowed places: the exponent of the lowest bit kept, ascending. The last reaches bit 7.
    pub shifts: &'static [u8],
    /// What happens to the bits below.
    pub rounding: Rounding,
}

const fn both(name: &'static str, bits: u8, shifts: &'static [u8]) -> [Window; 2] {
    let trim = Window { name, bits, shifts, rounding: Rounding::Trim };
    [trim, Window { rounding: Rounding::Round, ..trim }]
}

/// Every window, in the order of the paper's tables: those of 4 bits, of 3 and of 2, then the wide one of 3 bits.
pub const ALL: [[Window; 2]; 6] = [
    both("5opt", 4, &[0, 1, 2, 3, 4]),
    both("3opt", 4, &[0, 2, 4]),
    both("2opt", 4, &[0, 4]),
    both("6opt", 3, &[0, 1, 2, 3, 4, 5]),
    both("7opt", 2, &[0, 1, 2, 3, 4, 5, 6]),
    both("6bit-3opt", 6, &[0, 1, 2]),
];

impl Window {
    /// The window called `name`.
    pub fn named(name: &str, rounding: Rounding) -> Option<Window> {
        ALL.as_flattened().iter().copied().find(|w| w.name == name && w.rounding == rounding)
    }

    /// The lowest place at which the window covers the highest set bit of `code`: its exponent, one of `shifts`.
    /// Decided before rounding.
    pub fn shift(&self, code: u8) -> u8 {
        place(code, self.bits, self.shifts.iter().copied())
    }

    /// What is left of `code` in the window: the paper's `W(a)`. Codes below `2^bits` are kept.
    pub fn value(&self, code: u8) -> u8 {
        keep(code, self.bits, self.shift(code), self.rounding)
    }

    /// What is left of `code` when its partner is zero, `F(a)`: a window of twice the bits at any place, which is all
    /// of the code from 4 bits on.
    pub fn value_beside_zero(&self, code: u8) -> u8 {
        let bits = (2 * self.bits).min(8);
        keep(code, bits, place(code, bits, 0..=8 - bits), self.rounding)
    }

    /// What is left of two neighbours of the reduction.
    pub fn pair(&self, [a, b]: [u8; 2]) -> [u8; 2] {
        match [a, b] {
            [a, 0] => [self.value_beside_zero(a), 0],
            [0, b] => [0, self.value_beside_zero(b)],
            [a, b] => [self.value(a), self.value(b)],
        }
    }

    /// [`Window::value`] and [`Window::value_beside_zero`] of every code: the paper's arithmetic for any kernel that
    /// multiplies 8-bit codes.
    pub fn tables(&self) -> [[u8; 256]; 2] {
        let of = |f: &dyn Fn(u8) -> u8| std::array::from_fn(|code| f(code as u8));
        [of(&|code| self.value(code)), of(&|code| self.value_beside_zero(code))]
    }
}

/// The first of `shifts`, ascending, from which `bits` reach the highest set bit of `code`.
fn place(code: u8, bits: u8, mut shifts: impl Iterator<Item = u8>) -> u8 {
    let fits = |shift: &u8| u32::from(code) < 1 << (shift + bits);
    shifts.find(fits).expect("the last place reaches bit 7")
}

/// `code` with `bits` bits from `shift` upwards left of it.
fn keep(code: u8, bits: u8, shift: u8, rounding: Rounding) -> u8 {
    let (kept, rest) = (code >> shift, u32::from(code) % (1 << shift));
    // Twice the rest against one unit of the window: half a unit has no integer where the shift is 0.
    let up = match (2 * rest).cmp(&(1 << shift)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => kept & 1,
        std::cmp::Ordering::Greater => 1,
    };
    let kept = match rounding {
        Rounding::Trim => kept,
        Rounding::Round => (u32::from(kept) + u32::from(up)).min((1 << bits) - 1) as u8,
    };
    kept << shift
}

/// How a window is written in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    window: String,
    rounding: Rounding,
}

impl From<Window> for Named {
    fn from(window: Window) -> Named {
        Named { window: window.name.to_owned(), rounding: window.rounding }
    }
}

impl TryFrom<Named> for Window {
    type Error = String;

    fn try_from(Named { window, rounding }: Named) -> Result<Window, String> {
        Window::named(&window, rounding).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|[window, _]| window.name).collect();
            format!("window `{window}` is not one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests;

//! How a layer reads an operand of 8-bit codes through a [`Window`]: alone, or in pairs of neighbours.
//!
//! It belongs to the reader, not to the codes: an addition that reads the same edge sees all of their bits. Files carry it
//! as text, such as `4 bits, shifts 4 3 2 1 0, round, pairs`: numbers, not names, so that nothing but the text is needed to
//! follow it.

use super::window::{self, Rounding, Window};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A window, and whether neighbours of the reduction share their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Windowed {
    /// What is left of a code.
    pub window: Window,
    /// Whether a code beside a zero keeps [more](Window::value_beside_zero): the paper's vSPARQ.
    pub pairs: bool,
}

impl Windowed {
    /// Narrows the codes of one stretch of the reduction in place: neighbours 2j and 2j + 1 are a pair, and the last of an
    /// odd number has an imaginary zero beside it.
    pub fn narrow(&self, codes: &mut [u8]) {
        if !self.pairs {
            return codes.iter_mut().for_each(|code| *code = self.window.value(*code));
        }
        let mut pairs = codes.chunks_exact_mut(2);
        for pair in &mut pairs {
            pair.copy_from_slice(&self.window.pair([pair[0], pair[1]]));
        }
        if let [last] = pairs.into_remainder() {
            *last = self.window.value_beside_zero(*last);
        }
    }
}

impl fmt::Display for Windowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits, shifts", self.window.bits)?;
        self.window.shifts.iter().rev().try_for_each(|shift| write!(f, " {shift}"))?;
        f.write_str(match self.window.rounding {
            Rounding::Trim => ", trim",
            Rounding::Round => ", round",
        })?;
        f.write_str(if self.pairs { ", pairs" } else { "" })
    }
}

impl From<Windowed> for String {
    fn from(read: Windowed) -> String {
        read.to_string()
    }
}

impl TryFrom<String> for Windowed {
    type Error = UnknownWindow;

    fn try_from(text: String) -> Result<Windowed, UnknownWindow> {
        text.parse()
    }
}

impl FromStr for Windowed {
    type Err = UnknownWindow;

    fn from_str(text: &str) -> Result<Windowed, UnknownWindow> {
        // As many as there are, so looking them up is the shortest parser; spaces are free.
        let words =
            |text: &str| text.split([' ', ',']).filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let wanted: Vec<String> = words(text);
        let all = window::ALL.as_flattened().iter();
        all.flat_map(|&window| [false, true].map(|pairs| Windowed { window, pairs }))
            .find(|known| words(&known.to_string()) == wanted)
            .ok_or_else(|| UnknownWindow(text.to_owned()))
    }
}

/// A text that names no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("window `{0}` is not known; expected a form such as `4 bits, shifts 4 3 2 1 0, round, pairs`")]
pub struct UnknownWindow(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn windowed(name: &str, rounding: Rounding, pairs: bool) -> Windowed {
        Windowed { window: Window::named(name, rounding).unwrap(), pairs }
    }

    #[test]
    fn a_text_says_what_is_meant_and_reads_back() {
        let text = windowed("5opt", Rounding::Round, true).to_string();
        assert_eq!(text, "4 bits, shifts 4 3 2 1 0, round, pairs");
        let text = windowed("7opt", Rounding::Trim, false).to_string();
        assert_eq!(text, "2 bits, shifts 6 5 4 3 2 1 0, trim");
        let mut texts = std::collections::BTreeSet::new();
        for &window in window::ALL.as_flattened() {
            for pairs in [false, true] {
                let known = Windowed { window, pairs };
                assert_eq!(known.to_string().parse(), Ok(known));
                texts.insert(known.to_string());
            }
        }
        assert_eq!(texts.len(), 24);
    }

    #[test]
    fn other_texts_are_refused_with_the_form() {
        for text in ["", "4 bits", "4 bits, shifts 4 3 1 0, round", "5opt", "9 bits, shifts 0, trim"] {
            let error = text.parse::<Windowed>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{text}`")) && error.contains("4 bits, shifts 4 3 2 1 0"),
                "{error}"
            );
        }
    }

    /// The worked example of nine codes, whose last has no partner, with the weights that they face.
    const CODES: [u8; 9] = [27, 0, 0, 215, 100, 33, 0, 0, 247];
    const WEIGHTS: [i32; 9] = [-5, 7, 3, -128, 12, -9, 77, 1, 127];

    fn sum(read: Windowed) -> i32 {
        let mut codes = CODES;
        read.narrow(&mut codes);
        codes.iter().zip(WEIGHTS).map(|(&a, b)| i32::from(a) * b).sum()
    }

    #[test]
    fn worked_dot_products_come_out() {
        let exact: i32 = CODES.iter().zip(WEIGHTS).map(|(&a, b)| i32::from(a) * b).sum();
        assert_eq!(exact, 4617);
        for (name, [trim, round], [trim_alone, round_alone]) in [
            ("5opt", [4578, 4578], [4590, 4580]),
            ("3opt", [4578, 4578], [4600, 4580]),
            ("2opt", [4578, 4578], [4640, 4560]),
            ("6opt", [4581, 4577], [4616, 500]),
            ("7opt", [4590, 4580], [552, 552]),
        ] {
            let sums = |pairs| {
                [sum(windowed(name, Rounding::Trim, pairs)), sum(windowed(name, Rounding::Round, pairs))]
            };
            assert_eq!((sums(true), sums(false)), ([trim, round], [trim_alone, round_alone]), "{name}");
        }
    }

    #[test]
    fn four_bits_among_zeros_are_all_eight() {
        for name in ["5opt", "3opt", "2opt"] {
            let mut codes: Vec<u8> = (0..=255).flat_map(|a| [[a, 0], [0, a]]).flatten().collect();
            let whole = codes.clone();
            windowed(name, Rounding::Round, true).narrow(&mut codes);
            assert_eq!(codes, whole);
        }
    }
}

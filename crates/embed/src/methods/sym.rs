//! SYM: the grid reaches as far below zero as above. Its `2^bits` points have none at zero.

use super::{Entry, Kind, Method};
use crate::numbers::extremes;

pub(super) const ENTRY: Entry = Entry {
    method: Method::Sym,
    name: "sym",
    summary: "range around zero: for comparison",
    kind: Kind::Range(range),
};

/// `±max |x|`.
fn range(row: &[f32], _bits: u32) -> [f64; 2] {
    let [low, high] = extremes(row);
    let largest = high.max(-low);
    [-largest, largest]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::{A, loss, near};

    #[test]
    fn the_worked_example() {
        let range = range(&A, 4);
        near(range[1], 0.9, 1e-7);
        near(loss(&A, range, 4), 0.068_842_8, 1e-6);
    }
}

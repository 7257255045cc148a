//! GSS: the best range around zero by golden-section search.
//!
//! The published code stops at a width of 0.01; rows of trained tables are often smaller than that as a whole, so the
//! width here is a millionth of the largest value.

use super::{Entry, Kind, Method};
use crate::numbers::{extremes, levels, squared_error};

pub(super) const ENTRY: Entry = Entry {
    method: Method::Gss,
    name: "gss",
    summary: "range around zero by golden-section search: for comparison",
    kind: Kind::Range(range),
};

/// `±t` with the smallest error, for `t` in `[0, max |x|]`.
fn range(row: &[f32], bits: u32) -> [f64; 2] {
    let [low, high] = extremes(row);
    let largest = high.max(-low);
    let error = |t: f64| squared_error(row, [-t, t], levels(bits));
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut d) = (0.0, largest);
    let inner = |a: f64, d: f64| [a + golden * golden * (d - a), a + golden * (d - a)];
    let [mut b, mut c] = inner(a, d);
    let [mut at_b, mut at_c] = [error(b), error(c)];
    while d - a > 1e-6 * largest {
        if at_b < at_c {
            d = c;
            (c, at_c) = (b, at_b);
            b = inner(a, d)[0];
            at_b = error(b);
        } else {
            a = b;
            (b, at_b) = (c, at_c);
            c = inner(a, d)[1];
            at_c = error(c);
        }
    }
    let best = [a, b, c, d].into_iter().min_by(|x, y| error(*x).total_cmp(&error(*y))).unwrap_or(largest);
    [-best, best]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::{A, loss, near};

    #[test]
    fn the_worked_example() {
        let range = range(&A, 4);
        near(range[1], 0.8875, 2e-4);
        near(loss(&A, range, 4), 0.067_393_3, 2e-6);
    }

    #[test]
    fn a_row_of_zeros_ends() {
        assert_eq!(range(&[0.0; 4], 4), [-0.0, 0.0]);
    }
}

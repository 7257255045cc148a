//! Sliding windows, tap by tap.

use super::count;
use crate::EvalError;
use lowbit_graph::ops::Resolved;
use lowbit_tensor::Tensor;

/// Where a tap of a window lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) enum Cell {
    /// On this cell of the input, counted row-major over the spatial axes.
    At(usize),
    /// On padding.
    Padding,
    /// Past the padding after the end, where only rounding the output up can lead.
    Beyond,
}

/// Where tap `tap` of the window at output `position` lands; both count row-major over the spatial axes of `extents`.
pub(in crate::ops) fn cell(
    mut position: usize,
    mut tap: usize,
    window: &Resolved,
    extents: &[usize],
) -> Cell {
    let (mut cell, mut stride, mut padding) = (0, 1, false);
    for axis in (0..extents.len()).rev() {
        let start = position % window.output[axis] * window.strides[axis];
        let at = start + tap % window.kernel[axis] * window.dilations[axis];
        let end = window.begins[axis] + extents[axis];
        if at >= end + window.ends[axis] {
            return Cell::Beyond;
        }
        padding |= !(window.begins[axis]..end).contains(&at);
        cell += at.saturating_sub(window.begins[axis]) * stride;
        stride *= extents[axis];
        position /= window.output[axis];
        tap /= window.kernel[axis];
    }
    if padding { Cell::Padding } else { Cell::At(cell) }
}

/// For each output of a pool over `[n, c, d1, …]`, in row-major order: where its plane of the input begins, and the cells
/// of its window on that plane.
///
/// # Errors
/// When the taps are too many: they are attributes here, nothing else has bounded their number.
pub(in crate::ops) fn windows<'a>(
    shape: &'a [usize],
    window: &'a Resolved,
) -> Result<impl Iterator<Item = (usize, impl Iterator<Item = Cell> + Clone + 'a)> + 'a, EvalError> {
    count(&window.kernel)?;
    let (planes, extents) = (shape[0] * shape[1], &shape[2..]);
    let (cells, outputs): (usize, usize) = (extents.iter().product(), window.output.iter().product());
    let taps: usize = window.kernel.iter().product();
    let of = move |position| (0..taps).map(move |tap| cell(position, tap, window, extents));
    Ok((0..planes * outputs).map(move |y| (y / outputs * cells, of(y % outputs))))
}

/// `of_window` of each plane of `x` (`[n, c, d1, …]`) and the cells of each window on it, in row-major order.
pub(in crate::ops) fn pool(
    x: &Tensor,
    window: &Resolved,
    of_window: impl Fn(&[f64], &mut dyn Iterator<Item = Cell>) -> f64,
) -> Result<Vec<f64>, EvalError> {
    let xs = x.to_f64();
    Ok(windows(x.shape(), window)?.map(|(plane, mut cells)| of_window(&xs[plane..], &mut cells)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::ops::{Padding, Window};

    #[test]
    fn taps_land_on_cells_padding_or_beyond() {
        let window = Window { strides: vec![3], dilations: vec![], padding: Padding::Explicit(vec![1, 1]) };
        let window = window.resolve(&[4], &[3], true).unwrap();
        let cells = |position| [0, 1, 2].map(|tap| cell(position, tap, &window, &[4]));
        assert_eq!(cells(0), [Cell::Padding, Cell::At(0), Cell::At(1)]);
        assert_eq!(cells(1), [Cell::At(2), Cell::At(3), Cell::Padding]);
        let window = Resolved { output: vec![3], ..window };
        assert_eq!(cell(2, 0, &window, &[4]), Cell::Beyond);
    }
}

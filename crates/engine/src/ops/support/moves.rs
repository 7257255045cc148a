//! Data that only moves: each element of the result is one element of the input, found axis by axis.
//!
//! One description serves transposes, slices, pieces, gathers, padding, nearest-neighbour resizing and broadcasting.

/// Where each element of a result comes from.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Moves {
    fill: f32,
    /// For each axis of the result but the innermost ones that are copied in runs: what each index contributes to the
    /// flat index of the input; `None` where the result holds `fill`.
    axes: Vec<Vec<Option<usize>>>,
    /// Elements copied at a time.
    run: usize,
    start: usize,
}

impl Moves {
    /// `axes[a][i]`: what index `i` of axis `a` of the result (slowest axis first) adds to the flat index of the input.
    pub(in crate::ops) fn new(mut axes: Vec<Vec<Option<usize>>>, fill: f32) -> Moves {
        let (mut run, mut start) = (1, 0);
        // Inner axes that follow one another in the input as in the result become one run.
        while let Some(first) = axes.last().and_then(|axis| contiguous(axis, run)) {
            start += first;
            run *= axes.pop().map_or(1, |axis| axis.len());
        }
        Moves { fill, axes, run, start }
    }

    /// Elements that are copied at a time; all of them where the result is a plain copy.
    pub(in crate::ops) fn run(&self) -> usize {
        self.run
    }

    /// Fills `y`, which may end early.
    pub(in crate::ops) fn apply(&self, x: &[f32], y: &mut [f32]) {
        let Some((inner, outer)) = self.axes.split_last() else {
            return y.copy_from_slice(&x[self.start..][..y.len()]);
        };
        let mut position = vec![0; outer.len()];
        for block in y.chunks_mut(inner.len() * self.run) {
            let base =
                position.iter().zip(outer).try_fold(self.start, |sum, (&i, axis)| Some(sum + axis[i]?));
            match base {
                None => block.fill(self.fill),
                Some(base) if self.run == 1 => {
                    for (y, at) in block.iter_mut().zip(inner) {
                        *y = at.map_or(self.fill, |at| x[base + at]);
                    }
                }
                Some(base) => {
                    for (y, at) in block.chunks_mut(self.run).zip(inner) {
                        match at {
                            Some(at) => y.copy_from_slice(&x[base + at..][..self.run]),
                            None => y.fill(self.fill),
                        }
                    }
                }
            }
            // The odometer: the last axis turns fastest.
            for (i, axis) in position.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < axis.len() {
                    break;
                }
                *i = 0;
            }
        }
    }
}

/// What the first index adds, if every next one adds `step` more.
fn contiguous(axis: &[Option<usize>], step: usize) -> Option<usize> {
    let first = (*axis.first()?)?;
    axis.iter().enumerate().all(|(i, &at)| at == Some(first + i * step)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(axes: &[&[Option<usize>]], len: usize) -> (Vec<f32>, usize) {
        let moves = Moves::new(axes.iter().map(|a| a.to_vec()).collect(), -1.0);
        let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut y = vec![f32::NAN; len];
        moves.apply(&x, &mut y);
        (y, moves.run())
    }

    #[test]
    fn inner_axes_that_stay_together_are_copied_at_once() {
        let rows = [Some(8), Some(0)];
        let columns = [Some(0), Some(1), Some(2), Some(3)];
        assert_eq!(moved(&[&rows, &columns], 8), (vec![8., 9., 10., 11., 0., 1., 2., 3.], 4));
        assert_eq!(moved(&[&[Some(4), Some(8)], &columns], 8), (vec![4., 5., 6., 7., 8., 9., 10., 11.], 8));
    }

    #[test]
    fn axes_turn_repeat_and_leave_holes() {
        let (turned, _) = moved(&[&[Some(0), Some(1)], &[Some(0), Some(4), Some(8)]], 6);
        assert_eq!(turned, [0., 4., 8., 1., 5., 9.]);
        let (padded, _) = moved(&[&[None, Some(4)], &[Some(0), Some(0), None]], 6);
        assert_eq!(padded, [-1., -1., -1., 4., 4., -1.]);
    }

    #[test]
    fn a_result_may_end_early_along_the_first_axis() {
        assert_eq!(moved(&[&[Some(8), Some(4), Some(0)], &[Some(1), Some(0)]], 4).0, [9., 8., 5., 4.]);
        assert_eq!(moved(&[&[Some(0), Some(2)], &[Some(0), Some(1)]], 2).0, [0., 1.]);
    }
}

//! Pixels and channels picked by index: slices, splits and padding.

use super::{Around, Io, Kernel};
use lowbit_kernels::integer::Plane;

/// What each index of an axis of the output shows: an index of the input, or real zero.
pub(crate) type Map = Vec<Option<usize>>;

/// `y[c, h, w] = x[channels[c], rows[h], columns[w]]`, real zero where there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Take {
    /// Maps of channels, rows and columns.
    pub(crate) maps: [Map; 3],
}

impl Take {
    /// This after `before`, as one.
    pub(crate) fn after(&self, before: &Take) -> Take {
        let axis = |i: usize| self.maps[i].iter().map(|at| before.maps[i][(*at)?]).collect();
        Take { maps: [axis(0), axis(1), axis(2)] }
    }

    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let (output, _, grid) = around.write.codes();
        let [channels, rows, columns] = self.maps.clone();
        Ready {
            runs: runs(&channels),
            rows,
            columns,
            zero: grid.zero,
            input: around.reads[0].codes().0,
            output,
        }
    }
}

/// Channels that lie side by side in both: where they start in the output and in the input, and how many.
fn runs(channels: &Map) -> Vec<[usize; 3]> {
    let mut runs: Vec<[usize; 3]> = Vec::new();
    for (to, from) in channels.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?))) {
        match runs.last_mut() {
            Some([first, source, len]) if *first + *len == to && *source + *len == from => *len += 1,
            _ => runs.push([to, from, 1]),
        }
    }
    runs
}

pub(crate) struct Ready {
    runs: Vec<[usize; 3]>,
    rows: Map,
    columns: Map,
    zero: u8,
    input: Plane,
    output: Plane,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let images = io.reads.codes(0).chunks_exact(self.input.len());
        for (x, y) in images.zip(io.write.chunks_exact_mut(self.output.len())) {
            for (row, from_row) in self.rows.iter().enumerate() {
                let line = &mut y[self.output.offset(row, 0)..][..self.output.w * self.output.c];
                line.fill(self.zero);
                let Some(from_row) = *from_row else { continue };
                for (pixel, from) in line.chunks_exact_mut(self.output.c).zip(&self.columns) {
                    let Some(from) = *from else { continue };
                    let source = &x[self.input.offset(from_row, from)..][..self.input.c];
                    for &[to, from, len] in &self.runs {
                        pixel[to..to + len].copy_from_slice(&source[from..from + len]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_in_a_row_are_one() {
        let whole = |n: usize| (0..n).map(Some).collect::<Map>();
        let every_second = Take { maps: [whole(2), vec![Some(0), Some(2)], whole(1)] };
        let padded = Take { maps: [vec![None, Some(0), Some(1), None], whole(2), whole(1)] };
        let both = padded.after(&every_second);
        assert_eq!(both.maps, [vec![None, Some(0), Some(1), None], vec![Some(0), Some(2)], vec![Some(0)]]);
    }

    #[test]
    fn channels_side_by_side_are_copied_together() {
        assert_eq!(runs(&vec![None, Some(3), Some(4), Some(0)]), [[1, 3, 2], [3, 0, 1]]);
    }
}

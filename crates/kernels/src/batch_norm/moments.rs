//! Mean and sum of squared deviations per channel, of rows that come in pieces.

use super::rows_per_row;
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Vectors of channels summed in registers at once.
pub(super) const VECTORS: usize = 4;
/// Values of the most lanes and vectors.
pub(super) const WIDTH: usize = 16 * VECTORS;
/// Rows summed in f32 before they join the f64 sums.
pub(super) const BLOCK: usize = 256;

/// Of the rows so far, per channel. Pieces merge exactly but for rounding (Chan, Golub and LeVeque 1983).
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Rows.
    pub rows: usize,
    /// `[channels]`.
    pub mean: Vec<f64>,
    /// `Σ (x - mean)²`, `[channels]`.
    pub squares: Vec<f64>,
}

impl Moments {
    /// Of no rows.
    pub fn new(channels: usize) -> Moments {
        Moments { rows: 0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        *self = Moments { rows: 0, ..std::mem::replace(self, Moments::new(0)) };
        self.mean.fill(0.0);
        self.squares.fill(0.0);
    }

    /// Of these rows and those of `other`.
    ///
    /// # Panics
    /// The channels differ.
    pub fn merge(&mut self, other: &Moments) {
        assert_eq!(self.mean.len(), other.mean.len(), "channels");
        for (c, (mean, squares)) in other.mean.iter().zip(&other.squares).enumerate() {
            self.merge_channel(c, other.rows, *mean, *squares);
        }
        self.rows += other.rows;
    }

    /// Adds the rows `x: [rows, channels]`.
    ///
    /// # Panics
    /// The length is no multiple of the channels, or there are none.
    pub fn add(&mut self, isa: Isa, x: &[f32]) {
        let channels = self.mean.len();
        assert!(
            channels > 0 && x.len().is_multiple_of(channels),
            "{channels} channels for {} values",
            x.len()
        );
        if !x.is_empty() {
            isa.run(Add { moments: self, x });
        }
    }

    /// `Σ (x - mean)² / rows`: the variance that normalizes. Zeros if there are no rows.
    pub fn variance(&self) -> impl Iterator<Item = f64> {
        let rows = self.rows.max(1) as f64;
        self.squares.iter().map(move |squares| squares / rows)
    }

    fn merge_channel(&mut self, c: usize, rows: usize, mean: f64, squares: f64) {
        let (old, new) = (self.rows as f64, rows as f64);
        let (difference, both) = (mean - self.mean[c], (old + new).max(1.0));
        self.mean[c] += difference * new / both;
        self.squares[c] += squares + difference * difference * old * new / both;
    }
}

struct Add<'a> {
    moments: &'a mut Moments,
    x: &'a [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Add { moments, x } = self;
        let channels = moments.mean.len();
        let times = rows_per_row(channels, VECTORS * S::LANES);
        let rows = x.len() / channels;
        // Several short rows count as one; those left over are added value by value.
        let (wide, rest) = x.split_at(rows / times * times * channels);
        for first in (0..times * channels).step_by(VECTORS * S::LANES) {
            let columns = first..(first + VECTORS * S::LANES).min(times * channels);
            let mut sums = [[0.0; WIDTH]; 2];
            let pivot = |c: usize| x[(first + c) % channels];
            match columns.len().div_ceil(S::LANES) {
                1 => sum::<S, 1>(s, wide, times * channels, columns.clone(), pivot, &mut sums),
                2 => sum::<S, 2>(s, wide, times * channels, columns.clone(), pivot, &mut sums),
                3 => sum::<S, 3>(s, wide, times * channels, columns.clone(), pivot, &mut sums),
                _ => sum::<S, VECTORS>(s, wide, times * channels, columns.clone(), pivot, &mut sums),
            }
            for c in 0..columns.len().min(channels) {
                let pivot = f64::from(pivot(c));
                let [mut sum, mut square] =
                    [0, 1].map(|i| sums[i][c..columns.len()].iter().step_by(channels).sum::<f64>());
                for value in rest.iter().skip(first + c).step_by(channels) {
                    let d = f64::from(*value) - pivot;
                    (sum, square) = (sum + d, square + d * d);
                }
                let off = sum / rows as f64;
                moments.merge_channel(first + c, rows, pivot + off, (square - sum * off).max(0.0));
            }
        }
        moments.rows += rows;
    }
}

/// Sums of `x - pivot` and of its square over the rows, of up to `V` vectors of columns.
#[inline(always)]
fn sum<S: Simd, const V: usize>(
    s: S,
    x: &[f32],
    width: usize,
    columns: std::ops::Range<usize>,
    pivot: impl Fn(usize) -> f32,
    sums: &mut [[f64; WIDTH]; 2],
) {
    let mut pivots = [0.0; WIDTH];
    pivots[..columns.len()].iter_mut().enumerate().for_each(|(c, to)| *to = pivot(c));
    let mut about = [s.splat(0.0); V];
    for v in 0..V {
        about[v] = s.read(&pivots[v * S::LANES..]);
    }
    for rows in x.chunks(BLOCK * width) {
        let mut parts = [[s.splat(0.0); V]; 2];
        for row in rows.chunks_exact(width) {
            let row = &row[columns.clone()];
            for v in 0..V {
                let d = s.sub(s.read(&row[v * S::LANES..]), about[v]);
                parts[0][v] = s.add(parts[0][v], d);
                parts[1][v] = s.fma(d, d, parts[1][v]);
            }
        }
        for i in 0..2 {
            let mut lanes = [0.0; WIDTH];
            for v in 0..V {
                s.write(&mut lanes[v * S::LANES..], parts[i][v]);
            }
            sums[i][..V * S::LANES].iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += f64::from(lane));
        }
    }
}

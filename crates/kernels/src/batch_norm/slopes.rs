//! The first pass back: through the activation, and what the gradient of the input needs to know of all rows.

use super::moments::{BLOCK, VECTORS, WIDTH};
use super::rows_per_row;
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Takes `dy: [rows, channels]` back through the activation, in place (it is kept where `lo < y < hi`), and adds
/// `Σ dy` and `Σ dy·(x - mean)` to the two `sums`, each `[channels]`.
///
/// # Panics
/// The lengths do not fit together.
pub fn slopes(
    isa: Isa,
    x: &[f32],
    mean: &[f32],
    y: &[f32],
    bounds: [f32; 2],
    dy: &mut [f32],
    sums: [&mut [f64]; 2],
) {
    let channels = mean.len();
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{channels} channels for {} values", x.len());
    assert_eq!([y.len(), dy.len()], [x.len(); 2], "outputs and gradients");
    assert!(sums.iter().all(|sums| sums.len() == channels), "one sum per channel");
    isa.run(Slopes { x, mean, y, bounds, dy, sums });
}

struct Slopes<'a> {
    x: &'a [f32],
    mean: &'a [f32],
    y: &'a [f32],
    bounds: [f32; 2],
    dy: &'a mut [f32],
    sums: [&'a mut [f64]; 2],
}

impl Kernel for Slopes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Slopes { x, mean, y, bounds, dy, sums: mut totals } = self;
        let channels = mean.len();
        let times = rows_per_row(channels, VECTORS * S::LANES);
        let width = times * channels;
        let wide = x.len() / width * width;
        for first in (0..width).step_by(VECTORS * S::LANES) {
            let columns = first..(first + VECTORS * S::LANES).min(width);
            let mut means = [0.0; WIDTH];
            let of = means[..columns.len()].iter_mut().enumerate();
            of.for_each(|(c, to)| *to = mean[(first + c) % channels]);
            let mut sums = [[0.0; WIDTH]; 2];
            let part =
                Part { x: &x[..wide], y: &y[..wide], bounds, width, columns: columns.clone(), means: &means };
            let into = &mut dy[..wide];
            match columns.len().div_ceil(S::LANES) {
                1 => part.run::<S, 1>(s, into, &mut sums),
                2 => part.run::<S, 2>(s, into, &mut sums),
                3 => part.run::<S, 3>(s, into, &mut sums),
                _ => part.run::<S, VECTORS>(s, into, &mut sums),
            }
            for (total, sums) in totals.iter_mut().zip(&sums) {
                for (c, sum) in sums[..columns.len()].iter().enumerate() {
                    total[(first + c) % channels] += sum;
                }
            }
        }
        // The rows that make up no wide one.
        for (i, dy) in dy.iter_mut().enumerate().skip(wide) {
            let c = i % channels;
            if !(bounds[0] < y[i] && y[i] < bounds[1]) {
                *dy = 0.0;
            }
            totals[0][c] += f64::from(*dy);
            totals[1][c] += f64::from(*dy) * (f64::from(x[i]) - f64::from(mean[c]));
        }
    }
}

/// Up to [`VECTORS`] vectors of columns.
struct Part<'a> {
    x: &'a [f32],
    y: &'a [f32],
    bounds: [f32; 2],
    width: usize,
    columns: std::ops::Range<usize>,
    means: &'a [f32; WIDTH],
}

impl Part<'_> {
    #[expect(
        clippy::needless_range_loop,
        reason = "constant bounds unroll; iterators over registers may not"
    )]
    #[inline(always)]
    fn run<S: Simd, const V: usize>(&self, s: S, dy: &mut [f32], sums: &mut [[f64; WIDTH]; 2]) {
        let (width, columns) = (self.width, &self.columns);
        let (lo, hi, zero) = (s.splat(self.bounds[0]), s.splat(self.bounds[1]), s.splat(0.0));
        let masks = self.bounds != [f32::NEG_INFINITY, f32::INFINITY];
        let mut mean = [zero; V];
        for v in 0..V {
            mean[v] = s.read(&self.means[v * S::LANES..]);
        }
        let (block, mut at) = (BLOCK * width, 0);
        while at < dy.len() {
            let end = (at + block).min(dy.len());
            let mut parts = [[zero; V]; 2];
            let rows = self.x[at..end].chunks_exact(width).zip(self.y[at..end].chunks_exact(width));
            for ((x, y), dy) in rows.zip(dy[at..end].chunks_exact_mut(width)) {
                let (x, y, dy) = (&x[columns.clone()], &y[columns.clone()], &mut dy[columns.clone()]);
                for v in 0..V {
                    let mut d = s.read(&dy[v * S::LANES..]);
                    if masks {
                        let y = s.read(&y[v * S::LANES..]);
                        d = s.select_lt(lo, y, s.select_lt(y, hi, d, zero), zero);
                        s.write(&mut dy[v * S::LANES..], d);
                    }
                    parts[0][v] = s.add(parts[0][v], d);
                    parts[1][v] = s.fma(d, s.sub(s.read(&x[v * S::LANES..]), mean[v]), parts[1][v]);
                }
            }
            for i in 0..2 {
                let mut lanes = [0.0; WIDTH];
                for v in 0..V {
                    s.write(&mut lanes[v * S::LANES..], parts[i][v]);
                }
                sums[i][..V * S::LANES].iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += f64::from(lane));
            }
            at = end;
        }
    }
}

//! Statistics of one chunk of an edge on vectors: what [`Statistics::of`] defines, at the speed of a pass over memory.

use lowbit_engine::{Layout, View};
use lowbit_kernels::{Isa, statistics};
use lowbit_tensor::stats::{LEAST_EXPONENT, SIDE};
use lowbit_tensor::{Histogram, Moments};

/// Rows whose f32 sums are added up in f64: short enough to keep seven digits.
const ROWS: usize = 64;

/// Moments of a view, whose first axis counts images: of the whole tensor, and of each channel. Without `spread`
/// deviations are left at zero.
pub(super) fn moments(isa: Isa, view: &View<'_>, spread: bool) -> (Moments, Vec<Moments>) {
    let (channels, inner) = view.channel_of();
    let images = view.shape.first().copied().unwrap_or(1);
    let (mut tensor, mut each) = (Moments::default(), vec![Moments::default(); channels]);
    if images == 0 || view.data.is_empty() {
        return (tensor, each);
    }
    let mut sums = Sums::new(channels);
    for image in view.data.chunks(view.data.len() / images) {
        if view.layout == Layout::RowMajor && inner > 1 {
            sums.measure_planes(image, inner);
        } else {
            sums.measure(isa, image, spread);
        }
        sums.add_to(&mut tensor, &mut each, image.len() / channels);
    }
    (tensor, each)
}

/// A histogram being counted: all bins, in the interleaved tables of the kernel.
pub(super) struct Tables {
    exponent: i32,
    counts: Vec<u32>,
}

const BINS: usize = 2 * SIDE as usize;

impl Tables {
    pub(super) fn new() -> Tables {
        Tables { exponent: LEAST_EXPONENT, counts: vec![0; BINS * statistics::TABLES] }
    }

    /// Counts values whose extremes are given.
    pub(super) fn add(&mut self, isa: Isa, values: &[f32], extremes: [f32; 2]) {
        while self.exponent < Histogram::exponent_for(extremes) {
            self.coarsen();
        }
        statistics::histogram(isa, values, 0.5f32.powi(self.exponent), -SIDE, &mut self.counts);
    }

    /// Doubles the width of the bins.
    fn coarsen(&mut self) {
        let side = SIDE as usize;
        // Nothing is counted at the finest width, where a long way up begins.
        if self.exponent > LEAST_EXPONENT {
            for table in self.counts.chunks_mut(BINS) {
                let coarse: Vec<u32> = table.chunks(2).map(|pair| pair[0] + pair[1]).collect();
                table.fill(0);
                table[side / 2..side / 2 + side].copy_from_slice(&coarse);
            }
        }
        self.exponent += 1;
    }

    /// What was counted; the tables are empty again.
    pub(super) fn take(&mut self) -> Histogram {
        let mut sums = vec![0u64; BINS];
        for table in self.counts.chunks(BINS) {
            sums.iter_mut().zip(table).for_each(|(sum, &n)| *sum += u64::from(n));
        }
        self.counts.fill(0);
        Histogram::from_bins(self.exponent, &sums)
    }
}

/// Sums of one image, per channel.
struct Sums {
    min: Vec<f32>,
    max: Vec<f32>,
    mean: Vec<f64>,
    absolute: Vec<f64>,
    square: Vec<f64>,
    /// Σ|x − centre| over all channels, and the centre (the mean of all).
    around: f64,
    centre: f64,
    block: [Vec<f32>; 3],
}

impl Sums {
    fn new(channels: usize) -> Sums {
        let (f32s, f64s) = (vec![0f32; channels], vec![0f64; channels]);
        Sums {
            min: f32s.clone(),
            max: f32s.clone(),
            mean: f64s.clone(),
            absolute: f64s.clone(),
            square: f64s,
            around: 0.0,
            centre: 0.0,
            block: [f32s.clone(), f32s.clone(), f32s],
        }
    }

    fn measure(&mut self, isa: Isa, image: &[f32], spread: bool) {
        let channels = self.min.len();
        self.min.fill(f32::INFINITY);
        self.max.fill(f32::NEG_INFINITY);
        for sums in [&mut self.mean, &mut self.absolute, &mut self.square] {
            sums.fill(0.0);
        }
        for rows in image.chunks(ROWS * channels) {
            self.block[0].fill(0.0);
            statistics::extremes(isa, rows, [&mut self.min, &mut self.max, &mut self.block[0]]);
            gather(&mut self.mean, &self.block[0]);
        }
        let rows = (image.len() / channels) as f64;
        self.mean.iter_mut().for_each(|m| *m /= rows);
        self.centre = self.mean.iter().sum::<f64>() / channels as f64;
        self.around = 0.0;
        if !spread {
            return;
        }
        let means: Vec<f32> = self.mean.iter().map(|&m| m as f32).collect();
        for rows in image.chunks(ROWS * channels) {
            self.block.iter_mut().for_each(|b| b.fill(0.0));
            let [absolute, square, around] = &mut self.block;
            statistics::deviations(isa, rows, &means, self.centre as f32, [absolute, square, around]);
            gather(&mut self.absolute, &self.block[0]);
            gather(&mut self.square, &self.block[1]);
            self.around += self.block[2].iter().map(|&x| f64::from(x)).sum::<f64>();
        }
    }

    /// The same of a row-major image: `inner` values of each channel in turn.
    fn measure_planes(&mut self, image: &[f32], inner: usize) {
        let planes =
            || image.chunks(inner).enumerate().map(|(c, plane)| (c, plane.iter().map(|&x| f64::from(x))));
        for (c, plane) in planes() {
            self.mean[c] = plane.clone().sum::<f64>() / inner as f64;
            self.min[c] = plane.clone().fold(f64::INFINITY, f64::min) as f32;
            self.max[c] = plane.fold(f64::NEG_INFINITY, f64::max) as f32;
        }
        self.centre = self.mean.iter().sum::<f64>() / self.mean.len() as f64;
        self.around = 0.0;
        for (c, plane) in planes() {
            self.absolute[c] = plane.clone().map(|x| (x - self.mean[c]).abs()).sum();
            self.square[c] = plane.clone().map(|x| (x - self.mean[c]).powi(2)).sum();
            self.around += plane.map(|x| (x - self.centre).abs()).sum::<f64>();
        }
    }

    fn add_to(&self, tensor: &mut Moments, each: &mut [Moments], rows: usize) {
        let (mut square, mut extremes) = (0.0, [f32::INFINITY, f32::NEG_INFINITY]);
        for (c, moments) in each.iter_mut().enumerate() {
            moments.widen(self.min[c], self.max[c]);
            moments.add(rows as u64, self.mean[c], self.absolute[c], self.square[c]);
            extremes = [extremes[0].min(self.min[c]), extremes[1].max(self.max[c])];
            // Spread within the channel and of its mean.
            square += self.square[c] + rows as f64 * (self.mean[c] - self.centre).powi(2);
        }
        tensor.widen(extremes[0], extremes[1]);
        tensor.add((rows * self.min.len()) as u64, self.centre, self.around, square);
    }
}

fn gather(sums: &mut [f64], block: &[f32]) {
    sums.iter_mut().zip(block).for_each(|(sum, &b)| *sum += f64::from(b));
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Statistics;

    #[test]
    fn vectors_agree_with_the_plain_definition() {
        for (channels, pixels) in [(1, 5), (3, 130), (16, 64), (20, 77), (64, 1)] {
            let shape = [2, channels, pixels];
            let data: Vec<f32> = (0..2 * channels * pixels)
                .map(|i| ((i * 7919 % 1009) as f32 / 300.0).powi(2) - 3.0)
                .collect();
            for (layout, inner) in [(Layout::ChannelsLast, 1), (Layout::RowMajor, pixels)] {
                let view = View { shape: &shape, layout, data: &data };
                let plain = Statistics::of(&data, 2, (channels, inner));
                for isa in Isa::supported() {
                    let (tensor, each) = moments(isa, &view, true);
                    let mut tables = Tables::new();
                    // A coarse start, as when an earlier chunk held larger values and then smaller ones came.
                    tables.add(isa, &data[..data.len() / 2], [0.0, 0.01]);
                    tables.take();
                    tables.add(isa, &data, [tensor.min, tensor.max]);
                    assert_eq!(tables.take(), plain.histogram);
                    let pairs = each.iter().zip(&plain.channels).chain([(&tensor, &plain.tensor)]);
                    for (f, p) in pairs {
                        assert_eq!((f.min, f.max, f.images), (p.min, p.max, p.images));
                        for (f, p) in
                            [(f.mean(), p.mean()), (f.deviation(), p.deviation()), (f.std(), p.std())]
                        {
                            assert!((f - p).abs() < 1e-5 * (1.0 + p.abs()), "{f} {p}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn counts_survive_a_wider_range() {
        let (small, large) = ([0.5f32, -0.25, 0.5], [900.0f32, -3.0]);
        for isa in Isa::supported() {
            let mut tables = Tables::new();
            tables.add(isa, &small, [-0.25, 0.5]);
            tables.add(isa, &large, [-3.0, 900.0]);
            let all = [small.as_slice(), &large].concat();
            assert_eq!(tables.take(), Histogram::of(&all, [-3.0, 900.0]));
        }
    }
}

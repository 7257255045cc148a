//! Statistics of one chunk of an edge on vectors: what [`Statistics::of`] defines, at the speed of a pass over memory.

use lowbit_engine::{Layout, View};
use lowbit_kernels::{Isa, statistics};
use lowbit_tensor::{Histogram, Moments, Statistics};

/// Rows whose f32 sums are added up in f64: short enough to keep seven digits.
const ROWS: usize = 64;

/// How an edge is measured.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) isa: Isa,
    pub(super) histogram: bool,
}

impl Measure {
    /// Statistics of a view; its first axis counts images.
    pub(super) fn of(self, view: &View<'_>) -> Statistics {
        let (channels, inner) = view.channel_of();
        let images = view.shape.first().copied().unwrap_or(1);
        if view.layout == Layout::RowMajor && inner > 1 {
            return Statistics::of(view.data, images, (channels, inner));
        }
        let mut all = Statistics { channels: vec![Moments::default(); channels], ..Statistics::default() };
        if images == 0 || view.data.is_empty() {
            return all;
        }
        let mut sums = Sums::new(channels);
        for image in view.data.chunks(view.data.len() / images) {
            sums.measure(self.isa, image);
            sums.add_to(&mut all, image.len() / channels);
        }
        if self.histogram {
            all.histogram = histogram(self.isa, view.data, [all.tensor.min, all.tensor.max]);
        }
        all
    }
}

/// What [`Histogram::of`] defines.
fn histogram(isa: Isa, data: &[f32], extremes: [f32; 2]) -> Histogram {
    let mut histogram = Histogram::covering(extremes);
    let bins = histogram.counts().len();
    let mut counts = vec![0u32; bins * statistics::TABLES];
    statistics::histogram(isa, data, 1.0 / histogram.width(), histogram.first_bin(), &mut counts);
    histogram.add_counts((0..bins).map(|bin| counts.iter().skip(bin).step_by(bins).map(|&n| u64::from(n)).sum()));
    histogram
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

    fn measure(&mut self, isa: Isa, image: &[f32]) {
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

    fn add_to(&self, all: &mut Statistics, rows: usize) {
        let mut square = 0.0;
        for (c, moments) in all.channels.iter_mut().enumerate() {
            moments.widen(self.min[c], self.max[c]);
            moments.add(rows as u64, self.mean[c], self.absolute[c], self.square[c]);
            all.tensor.widen(self.min[c], self.max[c]);
            // Spread within the channel and of its mean.
            square += self.square[c] + rows as f64 * (self.mean[c] - self.centre).powi(2);
        }
        all.tensor.add((rows * self.min.len()) as u64, self.centre, self.around, square);
    }
}

fn gather(sums: &mut [f64], block: &[f32]) {
    sums.iter_mut().zip(block).for_each(|(sum, &b)| *sum += f64::from(b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_agree_with_the_plain_definition() {
        for (channels, pixels) in [(1, 5), (3, 130), (16, 64), (20, 77), (64, 1)] {
            let shape = [2, channels, pixels];
            let data: Vec<f32> = (0..2 * channels * pixels)
                .map(|i| ((i * 7919 % 1009) as f32 / 300.0).powi(2) - 3.0)
                .collect();
            let view = View { shape: &shape, layout: Layout::ChannelsLast, data: &data };
            let plain = Statistics::of(&data, 2, (channels, 1));
            for isa in Isa::supported() {
                let fast = Measure { isa, histogram: true }.of(&view);
                assert_eq!(fast.histogram, plain.histogram);
                let pairs = fast.channels.iter().zip(&plain.channels).chain([(&fast.tensor, &plain.tensor)]);
                for (f, p) in pairs {
                    assert_eq!((f.min, f.max, f.images), (p.min, p.max, p.images));
                    for (f, p) in [(f.mean(), p.mean()), (f.deviation(), p.deviation()), (f.std(), p.std())] {
                        assert!((f - p).abs() < 1e-5 * (1.0 + p.abs()), "{f} {p}");
                    }
                }
            }
        }
    }
}

//! Statistics of what flows through an edge: ranges, moments, histogram. All merge: two halves of the data seen apart
//! and merged give what one pass gives (counts and extremes exactly, sums to f64 rounding).

/// Extremes and moments of one population (a tensor or one channel of it).
///
/// `mean`, `deviation`, `std` and `mean_max` are averages over images of each image's own statistic, as ACIQ and SPARQ
/// measure them.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Smallest value; `+∞` before any was seen.
    pub min: f32,
    /// Largest value; `-∞` before any was seen.
    pub max: f32,
    /// Images seen.
    pub images: u64,
    sum_mean: f64,
    sum_deviation: f64,
    sum_std: f64,
    sum_max: f64,
}

impl Default for Moments {
    fn default() -> Moments {
        Moments {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            images: 0,
            sum_mean: 0.0,
            sum_deviation: 0.0,
            sum_std: 0.0,
            sum_max: 0.0,
        }
    }
}

impl Moments {
    /// Adds the values of one image.
    pub fn add_image(&mut self, values: &[f32]) {
        let n = values.len().max(1) as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let deviations = values.iter().map(|&x| f64::from(x) - mean);
        let (absolute, square) = deviations.fold((0.0, 0.0), |(a, s), d| (a + d.abs(), s + d * d));
        self.widen(
            values.iter().copied().fold(f32::INFINITY, f32::min),
            values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        );
        self.add(values.len() as u64, mean, absolute, square);
    }

    /// Takes the extremes of one image in, once for each.
    pub fn widen(&mut self, min: f32, max: f32) {
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        self.sum_max += f64::from(max);
    }

    /// Adds one image of `n` values from its mean and the sums of |x − mean| and (x − mean)² (extremes are set apart).
    pub fn add(&mut self, n: u64, mean: f64, absolute: f64, square: f64) {
        self.images += 1;
        self.sum_mean += mean;
        self.sum_deviation += absolute / n as f64;
        self.sum_std += (square / n.saturating_sub(1).max(1) as f64).sqrt();
    }

    /// Adds what another pass saw.
    pub fn merge(&mut self, other: &Moments) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.images += other.images;
        self.sum_mean += other.sum_mean;
        self.sum_deviation += other.sum_deviation;
        self.sum_std += other.sum_std;
        self.sum_max += other.sum_max;
    }

    /// Mean, averaged over images.
    pub fn mean(&self) -> f64 {
        self.average(self.sum_mean)
    }

    /// Mean absolute deviation from the mean (ACIQ's `b`), averaged over images.
    pub fn deviation(&self) -> f64 {
        self.average(self.sum_deviation)
    }

    /// Standard deviation (divisor `n − 1`), averaged over images.
    pub fn std(&self) -> f64 {
        self.average(self.sum_std)
    }

    /// Largest value of an image, averaged over images: below [`Moments::max`] where few images have large values.
    pub fn mean_max(&self) -> f64 {
        self.average(self.sum_max)
    }

    fn average(&self, sum: f64) -> f64 {
        sum / self.images.max(1) as f64
    }
}

/// Bins on each side of zero.
pub const SIDE: i32 = 4096;
/// Exponent of the narrowest bins: 2^-126 is the smallest normal number.
pub const LEAST_EXPONENT: i32 = -126;

/// Counts in bins of one width, a power of two, with an edge at zero.
///
/// When a value does not fit, the width doubles and neighbours merge, which is exact; so the final histogram depends
/// only on what was seen, not on its order or on how it was split.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Width of a bin is 2^exponent.
    exponent: i32,
    /// Bin index of `counts[0]`: bin `i` holds `[i, i + 1) · 2^exponent`.
    first: i32,
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { exponent: LEAST_EXPONENT, first: 0, counts: Vec::new() }
    }
}

impl Histogram {
    /// The finest bin width, as an exponent of two, whose bins reach `[min, max]`.
    pub fn exponent_for([min, max]: [f32; 2]) -> i32 {
        // An infinite value lands in the last bin.
        let reach = min.abs().max(max.abs()).min(f32::MAX);
        // 2^e · SIDE must exceed the largest magnitude.
        if reach > 0.0 {
            (reach.log2().floor() as i32 + 1 - SIDE.ilog2() as i32).max(LEAST_EXPONENT)
        } else {
            LEAST_EXPONENT
        }
    }

    /// Histogram of finite `values`, whose extremes are `[min, max]`.
    pub fn of(values: &[f32], extremes: [f32; 2]) -> Histogram {
        let exponent = Histogram::exponent_for(extremes);
        let scale = 0.5f32.powi(exponent); // a power of two: the product is exact
        let mut counts = vec![0; 2 * SIDE as usize];
        for &x in values {
            counts[(((x * scale).floor() as i32).clamp(-SIDE, SIDE - 1) + SIDE) as usize] += 1;
        }
        Histogram::from_bins(exponent, &counts)
    }

    /// Histogram from the counts of all bins `-SIDE..SIDE` of width 2^exponent.
    pub fn from_bins(exponent: i32, counts: &[u64]) -> Histogram {
        let Some(first) = counts.iter().position(|&n| n > 0) else { return Histogram::default() };
        let last = counts.iter().rposition(|&n| n > 0).unwrap_or(first);
        Histogram { exponent, first: first as i32 - SIDE, counts: counts[first..=last].to_vec() }
    }

    /// Adds what another pass saw.
    pub fn merge(&mut self, other: &Histogram) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            *self = other.clone();
            return;
        }
        let exponent = self.exponent.max(other.exponent);
        self.coarsen(exponent);
        let mut other = other.clone();
        other.coarsen(exponent);
        let first = self.first.min(other.first);
        let end = (self.first + self.counts.len() as i32).max(other.first + other.counts.len() as i32);
        let mut counts = vec![0; (end - first) as usize];
        for h in [&*self, &other] {
            let offset = (h.first - first) as usize;
            counts[offset..].iter_mut().zip(&h.counts).for_each(|(sum, n)| *sum += n);
        }
        (self.first, self.counts) = (first, counts);
    }

    fn coarsen(&mut self, exponent: i32) {
        while self.exponent < exponent {
            let first = self.first.div_euclid(2);
            let last = (self.first + self.counts.len() as i32 - 1).div_euclid(2);
            let mut counts = vec![0; (last - first + 1) as usize];
            for (i, n) in self.counts.iter().enumerate() {
                counts[((self.first + i as i32).div_euclid(2) - first) as usize] += n;
            }
            (self.exponent, self.first, self.counts) = (self.exponent + 1, first, counts);
        }
    }

    /// Width of a bin in real units.
    pub fn width(&self) -> f32 {
        2f32.powi(self.exponent)
    }

    /// Lower edge of the first bin.
    pub fn lo(&self) -> f32 {
        self.first as f32 * self.width()
    }

    /// Counts of the bins, from [`Histogram::lo`] upwards.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of values.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// (centre, count) of each non-empty bin.
    pub fn centres(&self) -> impl Iterator<Item = (f32, u64)> + '_ {
        let (lo, width) = (self.lo(), self.width());
        let bins = self.counts.iter().enumerate().filter(|&(_, &n)| n > 0);
        bins.map(move |(i, &n)| (lo + (i as f32 + 0.5) * width, n))
    }

    /// The value below which a share `q` (0..=1) of the population lies, linear within its bin.
    pub fn quantile(&self, q: f64) -> f32 {
        let target = q.clamp(0.0, 1.0) * self.total() as f64;
        let mut below = 0.0;
        for (i, &n) in self.counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
            if below + n as f64 >= target {
                let inside = ((target - below) / n as f64).clamp(0.0, 1.0);
                return self.lo() + (i as f32 + inside as f32) * self.width();
            }
            below += n as f64;
        }
        self.lo() + self.counts.len() as f32 * self.width()
    }
}

/// Everything calibration keeps of one edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Of the whole tensor.
    pub tensor: Moments,
    /// Of each channel (axis 1).
    pub channels: Vec<Moments>,
    /// Of the whole tensor.
    pub histogram: Histogram,
}

impl Statistics {
    /// Statistics of `images` rows of an edge: element `i` of a row belongs to channel `i / inner % channels`.
    ///
    /// `inner` is 1 for channels-last data and the product of the spatial axes for row-major data. This is the plain
    /// definition; calibration computes the same on vectors.
    pub fn of(data: &[f32], images: usize, (channels, inner): (usize, usize)) -> Statistics {
        let mut all = Statistics { channels: vec![Moments::default(); channels], ..Statistics::default() };
        if images == 0 || data.is_empty() {
            return all;
        }
        for image in data.chunks(data.len() / images) {
            let of_channel = |c: usize| {
                let runs = image.chunks(inner).skip(c).step_by(channels);
                runs.flatten().copied().collect::<Vec<f32>>()
            };
            all.tensor.add_image(image);
            all.channels.iter_mut().enumerate().for_each(|(c, moments)| moments.add_image(&of_channel(c)));
        }
        all.histogram = Histogram::of(data, [all.tensor.min, all.tensor.max]);
        all
    }

    /// Adds what another pass saw.
    pub fn merge(&mut self, other: &Statistics) {
        self.tensor.merge(&other.tensor);
        self.channels.resize(self.channels.len().max(other.channels.len()), Moments::default());
        self.channels.iter_mut().zip(&other.channels).for_each(|(a, b)| a.merge(b));
        self.histogram.merge(&other.histogram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values in about [-3, 5].
    fn values(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        std::iter::repeat_with(next).take(n).map(|u| u * u * 8.0 - 3.0).collect()
    }

    #[test]
    fn halves_merged_equal_one_pass() {
        let data = values(8 * 12, 7);
        let whole = Statistics::of(&data, 8, (3, 1));
        let mut merged = Statistics::of(&data[..3 * 12], 3, (3, 1));
        merged.merge(&Statistics::of(&data[3 * 12..], 5, (3, 1)));
        assert_eq!(merged.histogram, whole.histogram);
        assert_eq!((merged.tensor.min, merged.tensor.max), (whole.tensor.min, whole.tensor.max));
        for (a, b) in merged.channels.iter().zip(&whole.channels) {
            assert!((a.mean() - b.mean()).abs() < 1e-12 && (a.deviation() - b.deviation()).abs() < 1e-12);
        }
    }

    #[test]
    fn layouts_agree() {
        let nhwc = values(2 * 5 * 3, 1);
        let mut nchw = vec![0.0; nhwc.len()];
        for (i, &x) in nhwc.iter().enumerate() {
            let (n, p, c) = (i / 15, i % 15 / 3, i % 3);
            nchw[n * 15 + c * 5 + p] = x;
        }
        let (a, b) = (Statistics::of(&nhwc, 2, (3, 1)), Statistics::of(&nchw, 2, (3, 5)));
        assert_eq!(a.histogram, b.histogram);
        for (a, b) in a.channels.iter().zip(&b.channels).chain([(&a.tensor, &b.tensor)]) {
            assert_eq!((a.min, a.max), (b.min, b.max));
            let close = |x: f64, y: f64| (x - y).abs() < 1e-6;
            assert!(
                close(a.mean(), b.mean()) && close(a.deviation(), b.deviation()) && close(a.std(), b.std())
            );
            assert_eq!(a.mean_max(), b.mean_max());
        }
    }

    #[test]
    fn the_mean_of_maxima_is_over_images() {
        let moments = Statistics::of(&[3.0, -1.0, 5.0, 0.5, -9.0, 4.0], 3, (1, 1)).tensor;
        assert_eq!((moments.mean_max(), moments.max), (4.0, 5.0));
    }

    #[test]
    fn deviation_is_from_the_mean_and_std_has_n_minus_one() {
        let x = [-2.1f32, -0.9, -0.6, -0.35, -0.2, -0.1, 0.05, 0.15, 0.3, 0.45, 0.8, 4.6];
        let moments = Statistics::of(&x, 1, (1, 1)).tensor;
        let found = [moments.mean(), moments.deviation(), moments.std()];
        for (found, expected) in found.into_iter().zip([0.175, 0.908_333, 1.581_211]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn quantiles_and_totals_come_from_the_bins() {
        let data: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let h = Histogram::of(&data, [0.0, 0.999]);
        assert_eq!(h.total(), 1000);
        assert!((h.quantile(0.5) - 0.5).abs() < 2e-3 && (h.quantile(1.0) - 1.0).abs() < 2e-3);
    }

    #[test]
    fn widths_grow_by_exact_merging() {
        let (small, large) = (values(500, 3), [1000.0f32, -2000.0]);
        let mut merged = Histogram::of(&small, [-3.0, 5.0]);
        merged.merge(&Histogram::of(&large, [-2000.0, 1000.0]));
        let all: Vec<f32> = small.iter().chain(&large).copied().collect();
        assert_eq!(merged, Histogram::of(&all, [-2000.0, 1000.0]));
    }

    #[test]
    fn zeros_alone_are_a_histogram_too() {
        let h = Histogram::of(&[0.0; 5], [0.0, 0.0]);
        assert_eq!((h.total(), h.quantile(0.5) >= 0.0), (5, true));
    }
}

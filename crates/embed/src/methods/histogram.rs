//! A row's histogram, and the error of rounding it to a part of its range, assuming values evenly spread within bins.

/// Bins of a row.
pub(super) const BINS: usize = 200;

/// Counts of evenly wide bins between a row's extremes.
pub(super) struct Histogram {
    pub(super) counts: Vec<f64>,
    pub(super) low: f64,
    pub(super) width: f64,
}

impl Histogram {
    /// `None` for a constant row.
    pub(super) fn new(row: &[f32], [low, high]: [f64; 2]) -> Option<Histogram> {
        let width = (high - low) / BINS as f64;
        if width <= 0.0 {
            return None;
        }
        let mut counts = vec![0.0; BINS];
        for &x in row {
            counts[(((f64::from(x) - low) / width) as usize).min(BINS - 1)] += 1.0;
        }
        Some(Histogram { counts, low, width })
    }

    /// Squared error of rounding to `points` evenly spaced points over `bins` bins from `start` on.
    pub(super) fn error(&self, start: usize, bins: usize, points: usize) -> f64 {
        let w = self.width;
        let step = w * bins as f64 / (points - 1) as f64;
        let part = |density: f64, from: f64, to: f64| density * (to.powi(3) - from.powi(3)) / 3.0;
        let target = |at: f64| ((at + step / 2.0) / step).floor().clamp(0.0, (points - 1) as f64);
        let mut sum = 0.0;
        for (s, &count) in self.counts.iter().enumerate() {
            if count == 0.0 {
                continue;
            }
            let begin = (s as f64 - start as f64) * w;
            let end = begin + w;
            let density = count / w;
            let (first, last) = (target(begin), target(end));
            let (near, far) = (begin - first * step, end - last * step);
            sum += if first == last {
                part(density, near, far)
            } else {
                part(density, near, step / 2.0)
                    + (last - first - 1.0) * part(density, -step / 2.0, step / 2.0)
                    + part(density, -step / 2.0, far)
            };
        }
        sum
    }

    /// The range of `bins` bins from `start` on.
    pub(super) fn range(&self, start: usize, bins: usize) -> [f64; 2] {
        let edge = |bin: usize| self.low + self.width * bin as f64;
        [edge(start), edge(start + bins)]
    }
}

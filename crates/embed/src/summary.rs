//! What quantizing a table cost: sums, the distribution over rows, the worst rows.

use serde::Serialize;

use crate::numbers::normalised;

/// Rows that are named as the worst.
const WORST: usize = 10;
/// Steps of the distribution per factor of two.
const PER_OCTAVE: f64 = 8.0;
/// Factors of two below 1 that the distribution reaches.
const OCTAVES: f64 = 20.0;

/// A row and its normalised L2 loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RowLoss {
    /// Its number, from zero.
    pub row: u64,
    /// `‖x − x'‖ / ‖x‖`.
    pub loss: f64,
}

/// Sums over rows. Blocks are [merged](Summary::merge) in their order, so that the number of threads changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Rows seen.
    pub rows: u64,
    /// Sum of squared errors.
    pub squared_error: f64,
    /// Sum of squares.
    pub squared_norm: f64,
    /// The same two, each row times its count, where counts were given.
    pub weighted: Option<[f64; 2]>,
    /// Rows that held what no code says, and were changed.
    pub mended: u64,
    /// Rows whose values are all the same.
    pub constant: u64,
    /// The worst rows, the worst first.
    pub worst: Vec<RowLoss>,
    /// Rows by loss: eighths of octaves below 1, then 1 and more.
    #[serde(skip)]
    pub(crate) histogram: Vec<u64>,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary {
            rows: 0,
            squared_error: 0.0,
            squared_norm: 0.0,
            weighted: None,
            mended: 0,
            constant: 0,
            worst: Vec::new(),
            histogram: vec![0; (OCTAVES * PER_OCTAVE) as usize + 2],
        }
    }
}

impl Summary {
    /// Adds a row: what it was, and what it became.
    pub fn add(&mut self, row: u64, x: &[f32], decoded: &[f32], count: Option<f64>) {
        // Sums of a row in f32 over eight lanes: enough for its loss, and the compiler makes vectors of them.
        let mut sums = [[0f32; 8]; 2];
        for (x, y) in x.chunks(8).zip(decoded.chunks(8)) {
            for (lane, (x, y)) in x.iter().zip(y).enumerate() {
                let error = x - y;
                sums[0][lane] += error * error;
                sums[1][lane] += x * x;
            }
        }
        let [error, norm] = sums.map(|lanes| lanes.iter().map(|&x| f64::from(x)).sum::<f64>());
        self.rows += 1;
        self.squared_error += error;
        self.squared_norm += norm;
        if let Some(count) = count {
            let weighted = self.weighted.get_or_insert_default();
            weighted[0] += count * error;
            weighted[1] += count * norm;
        }
        self.constant += u64::from(x.iter().all(|&value| value == x[0]));
        let loss = normalised(error, norm);
        let octaves = (-loss.log2()).clamp(0.0, OCTAVES);
        let bin = if loss >= 1.0 { self.histogram.len() - 1 } else { (octaves * PER_OCTAVE) as usize };
        self.histogram[bin] += 1;
        self.keep(RowLoss { row, loss });
    }

    fn keep(&mut self, row: RowLoss) {
        if self.worst.len() == WORST && self.worst[WORST - 1].loss >= row.loss {
            return;
        }
        let at = self.worst.partition_point(|kept| kept.loss >= row.loss);
        self.worst.insert(at, row);
        self.worst.truncate(WORST);
    }

    /// Adds the rows of a later block.
    pub fn merge(&mut self, later: &Summary) {
        self.rows += later.rows;
        self.squared_error += later.squared_error;
        self.squared_norm += later.squared_norm;
        if let Some([error, norm]) = later.weighted {
            let weighted = self.weighted.get_or_insert_default();
            weighted[0] += error;
            weighted[1] += norm;
        }
        self.mended += later.mended;
        self.constant += later.constant;
        self.histogram.iter_mut().zip(&later.histogram).for_each(|(to, n)| *to += n);
        later.worst.iter().for_each(|&row| self.keep(row));
    }

    /// Normalised L2 loss of the table: `‖X − X'‖ / ‖X‖` over all values.
    pub fn loss(&self) -> f64 {
        normalised(self.squared_error, self.squared_norm)
    }

    /// The same with each row as often as it is read.
    pub fn weighted_loss(&self) -> Option<f64> {
        self.weighted.map(|[error, norm]| normalised(error, norm))
    }

    /// The loss that a share of the rows does not exceed, to a twelfth of its value and never above the worst.
    pub fn quantile(&self, share: f64) -> f64 {
        let edge = self.bin_edge(share);
        self.worst.first().map_or(edge, |worst| edge.min(worst.loss))
    }

    /// The upper end of the bin in which a share of the rows is full; the last has none.
    fn bin_edge(&self, share: f64) -> f64 {
        let wanted = (share * self.rows as f64).ceil() as u64;
        let mut left = wanted.max(1);
        // From the smallest loss on: the finest bins are in front of the last one, which holds 1 and more.
        let last = self.histogram.len() - 1;
        for bin in (0..last).rev().chain([last]) {
            if self.histogram[bin] >= left {
                return if bin == last { f64::INFINITY } else { 2f64.powf(-(bin as f64) / PER_OCTAVE) };
            }
            left -= self.histogram[bin];
        }
        1.0
    }

    /// Rows by loss, as `(below, rows)` from small to large, without the empty ends.
    pub fn distribution(&self) -> Vec<(f64, u64)> {
        let last = self.histogram.len() - 1;
        let mut all: Vec<(f64, u64)> =
            (0..last).rev().map(|bin| (2f64.powf(-(bin as f64) / PER_OCTAVE), self.histogram[bin])).collect();
        all.push((f64::INFINITY, self.histogram[last]));
        let first = all.iter().position(|&(_, n)| n > 0).unwrap_or(0);
        let end = all.iter().rposition(|&(_, n)| n > 0).map_or(0, |at| at + 1);
        all[first..end.max(first)].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_merge_to_the_whole() {
        let rows: Vec<[f32; 4]> = (0..40).map(|i| [1.0, i as f32, -2.0, 0.5]).collect();
        let near: Vec<[f32; 4]> =
            rows.iter().enumerate().map(|(i, r)| r.map(|x| x + i as f32 / 100.0)).collect();
        let add = |range: std::ops::Range<usize>| {
            let mut summary = Summary::default();
            range.for_each(|i| summary.add(i as u64, &rows[i], &near[i], Some(i as f64)));
            summary
        };
        let (whole, mut parts) = (add(0..40), add(0..13));
        parts.merge(&add(13..40));
        assert_eq!(whole.worst, parts.worst);
        assert_eq!((whole.rows, whole.histogram.clone()), (parts.rows, parts.histogram.clone()));
        assert!((whole.loss() - parts.loss()).abs() < 1e-12);
        assert!(whole.quantile(0.5) <= whole.quantile(0.99));
        // All rows end in the bin of the worst, whose upper end no row has.
        assert!(whole.bin_edge(1.0) > whole.worst[0].loss);
        assert_eq!(whole.quantile(1.0), whole.worst[0].loss);
        assert_eq!(whole.distribution().iter().map(|&(_, n)| n).sum::<u64>(), 40);
    }

    #[test]
    fn exact_rows_have_no_loss() {
        let mut summary = Summary::default();
        summary.add(0, &[0.0; 4], &[0.0; 4], None);
        assert_eq!((summary.loss(), summary.constant, summary.weighted_loss()), (0.0, 1, None));
    }
}

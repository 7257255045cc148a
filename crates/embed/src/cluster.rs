//! KMEANS-CLS in two tiers: k-means over rows, then over the values of each cluster.
//!
//! Both learn from at most [`LEARN`] rows, evenly spread over the table, so that tables of any size take the same memory;
//! then every row goes to its nearest cluster. With counts, rows weigh as often as they are read.

use lowbit_kernels::embedding::reference::{half_bits, half_value, round_half};
use rayon::prelude::*;

use crate::methods::lloyd;
use crate::quantizer::put_codes;
use crate::{EmbedError, Format, Source};

/// Rows that clusters are learned from.
pub const LEARN: u64 = 1 << 16;
/// Rounds of k-means over rows.
const ROUNDS: usize = 12;
/// Clusters that are taken at most where nobody says: the time grows with them.
const MOST: u64 = 1024;

/// Centres of clusters and the values that their codes stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    format: Format,
    /// `[clusters, columns]`.
    centres: Vec<f32>,
    /// Half of each centre's squared length.
    halves: Vec<f32>,
    /// `[clusters, 2^bits]`, of half precision, ascending.
    books: Vec<f32>,
}

/// Most clusters for which the table is no larger than in fused rows: ids of whole bits, codebooks of half precision.
pub fn equal_size(rows: u64, bits: u32) -> u64 {
    let book = 8 * (2 << bits) as u64;
    let budget = 32 * rows;
    let fits = |clusters: u64| {
        let id = u64::from(u64::BITS - clusters.saturating_sub(1).leading_zeros());
        rows * id + book * clusters <= budget
    };
    let (mut low, mut high) = (1, rows.max(1));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

impl Clusters {
    /// Learns `clusters` (or as many as make the size of fused rows, at most 1024) from a table. `count` says how often a row is
    /// read.
    ///
    /// # Errors
    /// Rows that cannot be read or are not finite; columns or bits that do not fit; more clusters than rows.
    pub fn learn(
        source: &dyn Source,
        bits: u32,
        clusters: Option<usize>,
        count: &(dyn Fn(u64) -> f64 + Sync),
    ) -> Result<Clusters, EmbedError> {
        let columns = source.columns();
        let format = Format::codebook(columns, bits, true)?;
        let learned = source.rows().min(LEARN);
        let clusters = clusters.map_or_else(|| equal_size(source.rows(), bits).min(MOST), |n| n as u64);
        if clusters == 0 || clusters > learned {
            return Err(EmbedError::Options(format!(
                "{clusters} clusters of the {learned} rows that are learned from"
            )));
        }
        let mut x = vec![0.0; learned as usize * columns];
        let mut weights = vec![0.0; learned as usize];
        for (nth, (row, weight)) in x.chunks_exact_mut(columns).zip(&mut weights).enumerate() {
            let at = (nth as u128 * u128::from(source.rows()) / u128::from(learned)) as u64;
            source.read(at, row)?;
            if let Some(column) = row.iter().position(|x| !x.is_finite()) {
                let problem = format!("{} in column {column}", row[column]);
                return Err(EmbedError::Row { row: at, problem });
            }
            *weight = count(at);
        }
        let count = clusters as usize;
        let mut known = Clusters { format, centres: Vec::new(), halves: Vec::new(), books: Vec::new() };
        let spread = |k: usize| k * weights.len() / count;
        known.set_centres((0..count).flat_map(|k| x[spread(k) * columns..][..columns].to_vec()).collect());
        let mut ids = Vec::new();
        for _ in 0..ROUNDS {
            let next: Vec<usize> = x.par_chunks_exact(columns).map(|row| known.nearest(row)).collect();
            if next == ids {
                break;
            }
            ids = next;
            let mut sums = vec![0f64; count * columns];
            let mut total = vec![0f64; count];
            for ((row, &id), &weight) in x.chunks_exact(columns).zip(&ids).zip(&weights) {
                total[id] += weight;
                for (sum, &x) in sums[id * columns..][..columns].iter_mut().zip(row) {
                    *sum += weight * f64::from(x);
                }
            }
            let mut centres = known.centres.clone();
            for (id, centre) in
                centres.chunks_exact_mut(columns).enumerate().filter(|&(id, _)| total[id] > 0.0)
            {
                for (to, &sum) in centre.iter_mut().zip(&sums[id * columns..]) {
                    *to = (sum / total[id]) as f32;
                }
            }
            known.set_centres(centres);
        }
        let mut members: Vec<Vec<(f64, f64)>> = vec![Vec::new(); count];
        for ((row, &id), &weight) in x.chunks_exact(columns).zip(&ids).zip(&weights) {
            members[id].extend(row.iter().map(|&x| (f64::from(x), weight)));
        }
        known.books = members.into_par_iter().flat_map_iter(|values| book(values, 1 << bits)).collect();
        Ok(known)
    }

    fn set_centres(&mut self, centres: Vec<f32>) {
        let half = |c: &[f32]| c.iter().map(|x| x * x).sum::<f32>() / 2.0;
        self.halves = centres.chunks_exact(self.format.columns()).map(half).collect();
        self.centres = centres;
    }

    /// Of books read from a file; such clusters decode, and have no centres to encode with.
    pub(crate) fn from_books(format: Format, books: &[u8]) -> Clusters {
        let halves = books.chunks_exact(2).map(|b| half_value(u16::from_le_bytes([b[0], b[1]])));
        Clusters { format, centres: Vec::new(), halves: Vec::new(), books: halves.collect() }
    }

    /// The form of rows.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.books.len() >> self.format.bits()
    }

    /// Bytes that the number of one takes in a file.
    pub fn id_bytes(&self) -> usize {
        match self.len().saturating_sub(1) {
            0..0x100 => 1,
            0x100..0x1_0000 => 2,
            _ => 4,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// Values of a cluster's codes.
    pub(crate) fn book(&self, id: usize) -> &[f32] {
        let n = 1 << self.format.bits();
        &self.books[id * n..][..n]
    }

    /// All books as they are stored.
    pub fn book_bytes(&self) -> Vec<u8> {
        self.books.iter().flat_map(|&x| half_bits(x).to_le_bytes()).collect()
    }

    /// The cluster whose centre is nearest, the first of equally near ones.
    fn nearest(&self, row: &[f32]) -> usize {
        let mut best = (f32::INFINITY, 0);
        for (id, (centre, half)) in self.centres.chunks_exact(row.len()).zip(&self.halves).enumerate() {
            // Sixteen sums, which the compiler makes vectors of.
            let mut lanes = [0f32; 16];
            for (a, b) in row.chunks(16).zip(centre.chunks(16)) {
                lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
            }
            let distance = half - lanes.iter().sum::<f32>();
            if distance < best.0 {
                best = (distance, id);
            }
        }
        best.1
    }

    /// Packs rows and says their clusters.
    pub(crate) fn encode(&self, x: &[f32], out: &mut [u8], clusters: &mut [u32]) {
        let (columns, bits, bytes) = (self.format.columns(), self.format.bits(), self.format.row_bytes());
        for ((row, out), cluster) in x.chunks_exact(columns).zip(out.chunks_exact_mut(bytes)).zip(clusters) {
            let id = self.nearest(row);
            *cluster = id as u32;
            let book: Vec<f64> = self.book(id).iter().map(|&x| f64::from(x)).collect();
            let codes: Vec<u8> =
                row.iter().map(|&x| crate::methods::nearest(&book, f64::from(x)) as u8).collect();
            put_codes(&codes, bits, out);
        }
    }
}

/// Values for the codes of a cluster.
fn book(mut values: Vec<(f64, f64)>, count: usize) -> Vec<f32> {
    if values.is_empty() {
        return vec![0.0; count];
    }
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (x, weights): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
    lloyd(&x, &weights, count).into_iter().map(|x| round_half(x as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryRows;

    #[test]
    fn the_published_numbers_of_clusters_fill_the_size_of_fused_rows() {
        for (rows, clusters) in
            [(1_000, 97), (10_000, 859), (100_000, 7421), (1_000_000, 62500), (50_000_000, 2_097_152)]
        {
            assert_eq!(equal_size(rows, 4), clusters);
        }
    }

    #[test]
    fn two_kinds_of_rows_become_two_clusters() {
        let rows: Vec<f32> = (0..64)
            .flat_map(|i| if i % 2 == 0 { [1.0, 1.25, 1.5, 1.0] } else { [-9.0, -8.0, -9.0, -7.0] })
            .collect();
        let source = MemoryRows::new(rows.clone(), 4).unwrap();
        let known = Clusters::learn(&source, 2, Some(2), &|_| 1.0).unwrap();
        let (mut out, mut ids) = (vec![0; 64], vec![9; 64]);
        known.encode(&rows, &mut out, &mut ids);
        assert!(ids.chunks(2).all(|pair| pair == &ids[..2]) && ids[0] != ids[1]);
        assert_eq!(known.book(ids[1] as usize)[..2], [-9.0, -8.333_333].map(round_half));
        assert!(Clusters::learn(&source, 2, Some(65), &|_| 1.0).is_err());
    }
}

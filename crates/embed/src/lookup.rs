//! Look-up: rows of a packed table, and sums of them, without decoding the table.

use lowbit_kernels::Isa;
pub use lowbit_kernels::embedding::reference::half_value;
pub use lowbit_kernels::embedding::touch_rows;
use lowbit_kernels::embedding::{Rows, pool_rows};
pub use lowbit_kernels::large_zeroed;
use rayon::prelude::*;

use crate::cluster::Clusters;
use crate::files::{Packed, Source, decode};
use crate::{EmbedError, Format};

/// What becomes of the rows of a bag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Their sum; weighted where bags have weights.
    #[default]
    Sum,
    /// Their mean; zeros for an empty bag.
    Mean,
}

/// Bags of rows, as PyTorch's embedding bag takes them.
#[derive(Clone, Copy, Debug)]
pub struct Bags<'a> {
    /// Rows of all bags, one after the other; −1 is a row that was pruned, which adds nothing.
    pub indices: &'a [i64],
    /// Where each bag begins in `indices`; it ends where the next begins.
    pub offsets: &'a [usize],
    /// A weight per index.
    pub weights: Option<&'a [f32]>,
}

/// A packed table in memory.
#[derive(Clone, Debug)]
pub struct PackedTable {
    format: Format,
    bytes: Vec<u8>,
    ids: Vec<u32>,
    clusters: Option<Clusters>,
}

impl PackedTable {
    /// From rows of bytes: `[rows, row bytes]`.
    ///
    /// # Errors
    /// The bytes do not fill rows, or the form needs clusters.
    pub fn new(format: Format, bytes: Vec<u8>) -> Result<PackedTable, EmbedError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(format.row_bytes()) {
            let rows = format.row_bytes();
            return Err(EmbedError::Options(format!("{} bytes in rows of {rows}", bytes.len())));
        }
        if matches!(format, Format::Clusters { .. }) {
            return Err(EmbedError::Options("rows with clusters need their codebooks".into()));
        }
        Ok(PackedTable { format, bytes, ids: Vec::new(), clusters: None })
    }

    /// The whole of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(file: &Packed) -> Result<PackedTable, EmbedError> {
        let format = file.format();
        let mut bytes = large_zeroed(file.rows() as usize * format.row_bytes());
        file.read_packed(0, &mut bytes)?;
        let ids = file.read_clusters(0, file.rows() as usize)?;
        Ok(PackedTable { format, bytes, ids, clusters: file.clusters().cloned() })
    }

    /// Form of its rows.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.bytes.len() / self.format.row_bytes()
    }

    /// Its rows as they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The values of a row below [`rows`](PackedTable::rows), to `out: [columns]`.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let stride = self.format.row_bytes();
        let book = self.clusters.as_ref().map(|known| known.book(self.ids[row] as usize));
        decode(self.format, &self.bytes[row * stride..][..stride], book, out);
    }

    /// Pools each bag to `out: [bags, columns]`, on the threads of the present pool. Equal to decoding and adding up, to the
    /// rounding of floats; the same for any number of threads.
    ///
    /// # Errors
    /// An index that the table has no row for, offsets that do not ascend within the indices, weights that are not as many as
    /// indices, an `out` of another size.
    pub fn pool(
        &self,
        isa: Isa,
        bags: &Bags<'_>,
        pooling: Pooling,
        out: &mut [f32],
    ) -> Result<(), EmbedError> {
        let columns = self.format.columns();
        let ends = self.check(bags, out.len())?;
        // Some parts per thread, so that none waits for long.
        let part = bags.offsets.len().div_ceil(4 * rayon::current_num_threads()).max(16);
        out.par_chunks_mut(part * columns).zip(ends.par_chunks(part)).for_each(|(out, ends)| {
            let (from, to) = (ends.first().map_or(0, |bag| bag[0]), ends.last().map_or(0, |bag| bag[1]));
            // Indices of this part only, so that fetching ahead stays inside it.
            let local: Vec<[usize; 2]> = ends.iter().map(|bag| bag.map(|at| at - from)).collect();
            let (indices, weights) = (&bags.indices[from..to], bags.weights.map(|all| &all[from..to]));
            let mean = pooling == Pooling::Mean;
            if let Some(layout) = self.format.layout() {
                let rows = Rows { bytes: &self.bytes, layout };
                pool_rows(isa, &rows, indices, &local, weights, mean, out);
            } else {
                self.plain(indices, &local, weights, mean, out);
            }
        });
        Ok(())
    }

    fn check(&self, bags: &Bags<'_>, out: usize) -> Result<Vec<[usize; 2]>, EmbedError> {
        let refuse = |problem: String| Err(EmbedError::Bags(problem));
        let Bags { indices, offsets, weights } = *bags;
        if let Some(weights) = weights.filter(|weights| weights.len() != indices.len()) {
            return refuse(format!("{} weights for {} indices", weights.len(), indices.len()));
        }
        if out != offsets.len() * self.format.columns() {
            return refuse(format!(
                "room for {out} values, {} bags of {}",
                offsets.len(),
                self.format.columns()
            ));
        }
        if offsets.first().is_some_and(|&first| first != 0) {
            return refuse(format!("the first bag begins at {}, not at 0", offsets[0]));
        }
        let rows = self.rows() as i64;
        let (low, high) = indices.iter().fold((0, -1), |(low, high), &i| (i.min(low), i.max(high)));
        if low < -1 || high >= rows {
            let at = indices.iter().position(|&i| i < -1 || i >= rows).unwrap_or(0);
            return refuse(format!("index {} (number {at}) of a table of {rows} rows", indices[at]));
        }
        let ends = offsets.iter().skip(1).copied().chain([indices.len()]);
        let ends: Vec<[usize; 2]> = offsets.iter().copied().zip(ends).map(|(from, to)| [from, to]).collect();
        if let Some(nth) = ends.iter().position(|&[from, to]| from > to) {
            let [from, to] = ends[nth];
            return refuse(format!("bag {nth} begins at {from} and ends at {to}"));
        }
        Ok(ends)
    }

    /// Bags of rows with codebooks: plain loops.
    fn plain(
        &self,
        indices: &[i64],
        bags: &[[usize; 2]],
        weights: Option<&[f32]>,
        mean: bool,
        out: &mut [f32],
    ) {
        let mut values = vec![0.0; self.format.columns()];
        for (&[from, to], out) in bags.iter().zip(out.chunks_exact_mut(values.len())) {
            out.fill(0.0);
            let mut held = 0u32;
            for (nth, &index) in indices.iter().enumerate().take(to).skip(from) {
                let Ok(row) = usize::try_from(index) else { continue };
                self.row(row, &mut values);
                held += 1;
                let weight = weights.map_or(1.0, |weights| weights[nth]);
                out.iter_mut().zip(&values).for_each(|(to, x)| *to += weight * x);
            }
            if mean && held > 0 {
                out.iter_mut().for_each(|x| *x /= held as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::A;
    use crate::{Method, Order, Quantizer};

    const B: [f32; 8] = [0.01, 0.02, -0.015, 0.005, 0.0, -0.02, 0.012, 0.6];

    fn table(method: Method) -> PackedTable {
        let quantizer = Quantizer::new(method, 8, 4, Order::Last, Isa::best()).unwrap();
        let mut bytes = vec![0; 2 * quantizer.format().row_bytes()];
        quantizer.rows(0, &mut [A, B].concat(), &mut bytes, &mut []).unwrap();
        PackedTable::new(quantizer.format(), bytes).unwrap()
    }

    #[test]
    fn the_worked_example_of_bags() {
        let table = table(Method::Asym);
        let want = [
            0.042_633_06,
            0.042_633_06,
            -0.040_008_54,
            0.042_633_06,
            -0.040_008_54,
            -0.040_008_54,
            0.042_633_06,
            1.199_615_5,
        ];
        for isa in Isa::supported() {
            let mut out = vec![0.0; 16];
            let bags = Bags { indices: &[0, 1, 1], offsets: &[0, 1], weights: None };
            table.pool(isa, &bags, Pooling::Sum, &mut out).unwrap();
            for (got, want) in out[8..].iter().zip(want) {
                assert!((got - want).abs() <= 2e-7, "{got} {want}");
            }
            table
                .pool(isa, &Bags { weights: Some(&[1.0, 0.5, 2.0]), ..bags }, Pooling::Sum, &mut out)
                .unwrap();
            assert!((out[8] - 0.053_291_32).abs() < 2e-7 && (out[15] - 1.499_519_3).abs() < 3e-7);
        }
    }

    #[test]
    fn all_forms_pool_to_what_decoding_gives() {
        for method in [Method::Asym, Method::Kmeans] {
            let table = table(method);
            let mut rows = [[0.0; 8]; 2];
            rows.iter_mut().enumerate().for_each(|(nth, row)| table.row(nth, row));
            let bags = Bags { indices: &[1, -1, 0, 1], offsets: &[0, 3, 3], weights: None };
            let mut out = vec![7.0; 24];
            table.pool(Isa::best(), &bags, Pooling::Mean, &mut out).unwrap();
            for column in 0..8 {
                assert!((out[column] - (rows[0][column] + rows[1][column]) / 2.0).abs() < 1e-6);
                assert_eq!(out[8 + column], 0.0, "an empty bag");
                assert!((out[16 + column] - rows[1][column]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn bags_that_do_not_fit_are_refused() {
        let table = table(Method::Asym);
        let refused = |indices: &[i64], offsets: &[usize], weights: Option<&[f32]>| {
            let mut out = vec![0.0; offsets.len() * 8];
            table
                .pool(Isa::best(), &Bags { indices, offsets, weights }, Pooling::Sum, &mut out)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[0, 2], &[0], None).contains("index 2 (number 1) of a table of 2 rows"));
        assert!(refused(&[-2], &[0], None).contains("index -2"));
        assert!(
            refused(&[0], &[0, 2], None).contains("bag 0") || refused(&[0], &[0, 2], None).contains("bag 1")
        );
        assert!(refused(&[0, 1], &[0, 2, 1], None).contains("bag 1 begins at 2"));
        assert!(refused(&[0], &[0], Some(&[1.0, 2.0])).contains("2 weights for 1 indices"));
    }
}

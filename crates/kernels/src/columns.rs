//! Sums over the rows of a matrix: the gradient of a bias.

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Rows added up in registers before they join the total: shorter chains of roundings.
const ROWS: usize = 128;

/// `sums[c] += Σ_r values[r, c]` for `values: [rows, sums.len()]`.
///
/// # Panics
/// `sums` is empty, or its length does not divide that of `values`.
pub fn add_sums(isa: Isa, values: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    assert!(columns > 0 && values.len().is_multiple_of(columns), "{columns} columns in {}", values.len());
    isa.run(SumKernel { values, sums });
}

struct SumKernel<'a> {
    values: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for SumKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let columns = self.sums.len();
        for rows in self.values.chunks(ROWS * columns) {
            for (nth, sums) in self.sums.chunks_mut(S::LANES).enumerate() {
                // Two chains of additions, for their latency.
                let mut chains = [s.splat(0.0); 2];
                for pair in rows.chunks(2 * columns) {
                    for (chain, row) in chains.iter_mut().zip(pair.chunks_exact(columns)) {
                        *chain = s.add(*chain, s.read(&row[nth * S::LANES..][..sums.len()]));
                    }
                }
                s.write(sums, s.add(s.read(sums), s.add(chains[0], chains[1])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn each_column_is_summed_over_all_rows() {
        for (isa, [rows, columns]) in Isa::supported()
            .flat_map(|isa| [[0, 3], [1, 1], [7, 16], [300, 19], [301, 64]].map(|size| (isa, size)))
        {
            let values = noise(rows * columns, 3);
            let mut got = vec![0.0; columns];
            add_sums(isa, &values, &mut got);
            let want: Vec<f32> = (0..columns)
                .map(|c| values.iter().skip(c).step_by(columns).map(|&x| f64::from(x)).sum::<f64>() as f32)
                .collect();
            assert_close(&got, &want, |_| 1e-5 * (1.0 + rows as f32 / 30.0), (isa, rows, columns));
        }
    }
}

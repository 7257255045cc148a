//! A block of float rows to packed rows.

use std::sync::Arc;

use lowbit_kernels::Isa;
use lowbit_kernels::embedding::{
    Greedy, Parameters, all_finite, asym_rows, encode_bytes, encode_rows, extremes, fit_rows, greedy_rows,
    grids, reference,
};

use crate::cluster::Clusters;
use crate::methods::{Codebook, Kind, Method, Search};
use crate::{EmbedError, Format, Order};

/// Largest value that half precision holds.
pub(crate) const LARGEST_HALF: f32 = 65504.0;

/// What becomes of rows with NaN or infinities, or with values beyond half precision where parameters are of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// They are refused, by number.
    #[default]
    Refuse,
    /// The other values decide the grid; an infinity becomes the nearest of them, NaN becomes 0, and values beyond half
    /// precision ±65504. A row without any other value becomes zeros.
    Keep,
}

/// Makes packed rows. A value: copies and references of it may work on different blocks at once.
#[derive(Clone, Debug)]
pub struct Quantizer {
    method: Method,
    format: Format,
    search: Search,
    non_finite: NonFinite,
    isa: Isa,
    clusters: Option<Arc<Clusters>>,
}

/// What happened to a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Rows that were changed because they held what a code cannot say.
    pub mended: u64,
}

impl Quantizer {
    /// Of a method that needs no look at the whole table.
    ///
    /// # Errors
    /// Columns and bits do not fit, or the method is `kmeans-cls` (see [`Quantizer::clustered`]).
    pub fn new(
        method: Method,
        columns: usize,
        bits: u32,
        order: Order,
        isa: Isa,
    ) -> Result<Quantizer, EmbedError> {
        let format = match method.entry().kind {
            Kind::Rows => Format::codebook(columns, bits, false)?,
            Kind::Clusters => {
                return Err(EmbedError::Options(
                    "kmeans-cls learns its clusters from the table first".into(),
                ));
            }
            _ => Format::fused(columns, bits, order)?,
        };
        let (search, non_finite) = (Search::default(), NonFinite::default());
        Ok(Quantizer { method, format, search, non_finite, isa, clusters: None })
    }

    /// With codebooks of clusters of rows.
    pub fn clustered(clusters: Arc<Clusters>, isa: Isa) -> Quantizer {
        Quantizer {
            method: Method::KmeansCls,
            format: clusters.format(),
            search: Search::default(),
            non_finite: NonFinite::default(),
            isa,
            clusters: Some(clusters),
        }
    }

    /// With this search, where the method is `greedy`.
    #[must_use]
    pub fn with_search(self, search: Search) -> Quantizer {
        Quantizer { search, ..self }
    }

    /// With this answer to rows that are not finite.
    #[must_use]
    pub fn with_non_finite(self, non_finite: NonFinite) -> Quantizer {
        Quantizer { non_finite, ..self }
    }

    /// Form of the rows it makes.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Its instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Its clusters, if it has some.
    pub fn clusters(&self) -> Option<&Arc<Clusters>> {
        self.clusters.as_ref()
    }

    /// Packs rows `x: [rows, columns]`, of which the first is row `first` of the table, to `out: [rows, row bytes]`; where
    /// the form has clusters, their numbers to `clusters: [rows]`. Rows that are mended are changed in `x` too.
    ///
    /// # Errors
    /// A row that is not finite and not kept.
    ///
    /// # Panics
    /// The lengths do not fit together.
    pub fn rows(
        &self,
        first: u64,
        x: &mut [f32],
        out: &mut [u8],
        clusters: &mut [u32],
    ) -> Result<Met, EmbedError> {
        let (columns, bytes) = (self.format.columns(), self.format.row_bytes());
        assert!(
            x.len() / columns * bytes == out.len() && x.len().is_multiple_of(columns),
            "rows and their room"
        );
        let mut met = Met::default();
        // Few enough rows to stay in the nearest cache, a multiple of all lanes.
        let block = (4096 / columns).next_multiple_of(16).max(16);
        for (nth, (x, out)) in x.chunks_mut(block * columns).zip(out.chunks_mut(block * bytes)).enumerate() {
            if self.asym(x, out) {
                continue;
            }
            met.mended += self.mend(first + (nth * block) as u64, x)?.mended;
            let x = &*x;
            match self.format {
                Format::Fused { bits, order, .. } => self.fused(x, bits, order, out),
                Format::Codebook { bits, .. } => {
                    let rows = x.len() / columns;
                    let (mut bias, mut scale) = (vec![0.0; rows], vec![0.0; rows]);
                    fit_rows(self.isa, bits, x, columns, [&mut bias, &mut scale]);
                    let grids = bias.into_iter().zip(scale);
                    for ((row, out), (bias, scale)) in
                        x.chunks_exact(columns).zip(out.chunks_exact_mut(bytes)).zip(grids)
                    {
                        codebook(&Codebook::with_grid(row, bits, [bias, scale]), bits, out);
                    }
                }
                Format::Clusters { .. } => {
                    if let Some(known) = &self.clusters {
                        let at = nth * block;
                        let rows = x.len() / columns;
                        known.encode(x, out, &mut clusters[at..at + rows]);
                    }
                }
            }
        }
        Ok(met)
    }

    /// Whether the method is `asym` and the fast form of it packed these rows.
    fn asym(&self, x: &[f32], out: &mut [u8]) -> bool {
        match (self.method, self.format.layout()) {
            (Method::Asym, Some(layout)) if layout.parameters == Parameters::Half => {
                asym_rows(self.isa, x, LARGEST_HALF, &layout, out)
            }
            _ => false,
        }
    }

    /// Refuses or mends rows with values that no code can say.
    fn mend(&self, first: u64, x: &mut [f32]) -> Result<Met, EmbedError> {
        let columns = self.format.columns();
        // Where parameters have f32's range, anything finite will do.
        let wide = matches!(self.format, Format::Fused { bits: 8, order: Order::Last, .. });
        let largest = if wide { f32::MAX / 4.0 } else { LARGEST_HALF };
        let mut met = Met::default();
        if all_finite(self.isa, x, largest) {
            return Ok(met);
        }
        for (nth, row) in x.chunks_exact_mut(columns).enumerate() {
            let Some(at) = row.iter().position(|x| x.is_nan() || x.abs() > largest) else { continue };
            if self.non_finite == NonFinite::Refuse {
                let problem = if row[at].is_finite() {
                    format!(
                        "{} in column {at} is beyond {largest}, the largest that its parameters hold",
                        row[at]
                    )
                } else {
                    format!("{} in column {at}", row[at])
                };
                return Err(EmbedError::Row { row: first + nth as u64, problem });
            }
            met.mended += 1;
            let finite = || row.iter().copied().filter(|x| x.is_finite());
            let low = finite().fold(f32::INFINITY, f32::min);
            let high = finite().fold(f32::NEG_INFINITY, f32::max);
            let [low, high] = if low <= high { [low, high] } else { [0.0; 2] };
            let [low, high] = [low.clamp(-largest, largest), high.clamp(-largest, largest)];
            for x in row {
                *x = if x.is_nan() { 0.0 } else { x.clamp(low, high) };
            }
        }
        Ok(met)
    }

    /// Fused rows of one small block.
    fn fused(&self, x: &[f32], bits: u32, order: Order, out: &mut [u8]) {
        let (columns, stride, at) = (self.format.columns(), self.format.row_bytes(), self.format.codes_at());
        let rows = x.len() / columns;
        let wide = bits == 8 && order == Order::Last;
        let (mut low, mut high) = (vec![0.0; rows], vec![0.0; rows]);
        match self.method.entry().kind {
            Kind::Greedy => match self.search {
                Search::Refit => fit_rows(self.isa, bits, x, columns, [&mut low, &mut high]),
                Search::Compatible { bins, ratio } => {
                    greedy_rows(self.isa, Greedy { bits, bins, ratio }, x, columns, [&mut low, &mut high]);
                    grids(self.isa, bits, [&mut low, &mut high]);
                }
            },
            Kind::Range(range) => {
                for ((row, low), high) in x.chunks_exact(columns).zip(&mut low).zip(&mut high) {
                    [*low, *high] = range(row, bits).map(|end| end as f32);
                }
                grids(self.isa, bits, [&mut low, &mut high]);
            }
            _ => {
                extremes(self.isa, x, columns, [&mut low, &mut high]);
                if wide {
                    encode_bytes(self.isa, x, columns, [&low, &high], out, [stride, at]);
                    for ((out, &low), &high) in out.chunks_exact_mut(stride).zip(&low).zip(&high) {
                        put_floats(&mut out[columns..], (high - low) / 255.0, low);
                    }
                    return;
                }
                grids(self.isa, bits, [&mut low, &mut high]);
            }
        }
        encode_rows(self.isa, bits, x, columns, [&low, &high], out, [stride, at]);
        let at = self.format.layout().map_or(0, |layout| layout.parameters_at);
        for ((out, &bias), &scale) in out.chunks_exact_mut(stride).zip(&low).zip(&high) {
            if wide {
                put_floats(&mut out[at..], scale, bias);
            } else {
                out[at..at + 2].copy_from_slice(&reference::half_bits(scale).to_le_bytes());
                out[at + 2..at + 4].copy_from_slice(&reference::half_bits(bias).to_le_bytes());
            }
        }
    }
}

fn put_floats(out: &mut [u8], scale: f32, bias: f32) {
    out[..4].copy_from_slice(&scale.to_le_bytes());
    out[4..8].copy_from_slice(&bias.to_le_bytes());
}

/// A row with its own codebook: codes, then the values.
fn codebook(book: &Codebook, bits: u32, out: &mut [u8]) {
    let (codes, values) = out.split_at_mut((book.codes.len() * bits as usize).div_ceil(8));
    put_codes(&book.codes, bits, codes);
    for (to, &centre) in values.chunks_exact_mut(2).zip(&book.centres) {
        to.copy_from_slice(&reference::half_bits(centre).to_le_bytes());
    }
}

/// Codes to bytes, the first in the lowest bits.
pub(crate) fn put_codes(codes: &[u8], bits: u32, out: &mut [u8]) {
    for (byte, codes) in out.iter_mut().zip(codes.chunks((8 / bits) as usize)) {
        *byte = codes.iter().rev().fold(0, |byte, code| byte << bits | code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::A;

    const B: [f32; 8] = [0.01, 0.02, -0.015, 0.005, 0.0, -0.02, 0.012, 0.6];
    const C: [f32; 16] =
        [-1.2, 0.3, 0.8, -0.4, 0.05, 0.22, -0.31, 0.47, 0.11, -0.09, 0.64, -0.75, 1.9, -0.02, 0.38, -0.55];
    const F: [f32; 8] = [-0.57, -1.41, 0.37, 0.80, 0.60, 0.26, -1.27, 1.76];
    const G: [f32; 8] = [-0.15, 0.94, -1.20, -1.44, 1.19, 1.08, -1.13, -0.50];

    fn packed(row: &[f32], bits: u32, method: Method) -> String {
        let mut all = Vec::new();
        for isa in Isa::supported() {
            let quantizer = Quantizer::new(method, row.len(), bits, Order::Last, isa).unwrap();
            let quantizer = quantizer.with_search(Search::COMPATIBLE);
            let mut out = vec![0; quantizer.format().row_bytes()];
            quantizer.rows(0, &mut row.to_vec(), &mut out, &mut []).unwrap();
            all.push(out.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
        }
        assert!(all.iter().all(|bytes| bytes == &all[0]), "the same on every instruction set");
        all.remove(0)
    }

    #[test]
    fn worked_examples_are_met_byte_for_byte() {
        let (asym, greedy) = (Method::Asym, Method::Greedy);
        let ramp: Vec<f32> = (0..16u8).map(f32::from).collect();
        assert_eq!(packed(&ramp, 4, asym), "10 32 54 76 98 ba dc fe 00 3c 00 00");
        assert_eq!(packed(&[0.25; 8], 4, asym), "00 00 00 00 00 3c 00 34");
        assert_eq!(packed(&[0.0; 4], 4, asym), "00 00 00 3c 00 00");
        assert_eq!(packed(&A, 4, asym), "0f 97 d4 62 67 2e cd b8");
        assert_eq!(packed(&A, 4, greedy), "0f a7 e4 72 3e 2e cd b8");
        assert_eq!(packed(&A, 2, asym), "93 4d 00 38 cd b8");
        assert_eq!(packed(&A, 2, greedy), "93 4d 15 37 ec b7");
        assert_eq!(packed(&A, 8, asym), "ff 00 77 a2 44 e6 1a 6f c1 c0 c0 3b 9a 99 19 bf");
        assert_eq!(packed(&B, 4, asym), "11 10 00 f1 4a 29 1f a5");
        assert_eq!(packed(&B, 4, greedy), "11 10 00 f1 44 29 1f a5");
        assert_eq!(packed(&B, 2, greedy), "00 c0 62 32 f7 16");
        assert_eq!(packed(&C, 4, asym), "70 4a 76 84 56 29 6f 38 9d 32 cd bc");
        assert_eq!(packed(&C, 4, greedy), "70 4a 76 84 56 29 6f 38 7b 32 ad bc");
        assert_eq!(packed(&F, 4, asym), "04 a8 8a f1 c3 32 a4 bd");
        assert_eq!(packed(&F, 4, greedy), "04 a8 89 f0 98 32 53 bd");
        assert_eq!(packed(&G, 4, greedy), "e7 01 ff 51 4d 31 64 bd");
    }

    #[test]
    fn scale_and_bias_first_are_the_same_row_turned_around() {
        let quantizer = Quantizer::new(Method::Asym, 8, 4, Order::First, Isa::best()).unwrap();
        let mut out = [0; 8];
        quantizer.rows(0, &mut A.to_vec(), &mut out, &mut []).unwrap();
        assert_eq!(out, [0x67, 0x2e, 0xcd, 0xb8, 0x0f, 0x97, 0xd4, 0x62]);
    }

    #[test]
    fn rows_that_are_not_finite_are_refused_by_number_or_kept() {
        let mut x = [[1.0f32, 2.0, 3.0, 4.0], [1.0, f32::NAN, f32::INFINITY, -2.0], [70000.0, 1.0, 0.0, 0.0]]
            .concat();
        let quantizer = Quantizer::new(Method::Asym, 4, 4, Order::Last, Isa::best()).unwrap();
        let mut out = vec![0; 18];
        let refused = quantizer.rows(100, &mut x.clone(), &mut out, &mut []).unwrap_err().to_string();
        assert!(refused.starts_with("row 101: NaN in column 1"), "{refused}");
        let refused =
            quantizer.rows(102, &mut x[8..].to_vec(), &mut out[12..], &mut []).unwrap_err().to_string();
        assert!(refused.contains("65504"), "{refused}");
        let met = quantizer.with_non_finite(NonFinite::Keep).rows(100, &mut x, &mut out, &mut []).unwrap();
        assert_eq!(met.mended, 2);
        assert_eq!(x[4..], [1.0, 0.0, 1.0, -2.0, 65504.0, 1.0, 0.0, 0.0]);
    }
}

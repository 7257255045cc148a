//! The register tile of the dense convolution: `P` pixels × `V` vectors of output channels.
//!
//! Each step loads `V` weight vectors, broadcasts one input value per pixel, and does `P·V` fused multiply-adds.
//! The pixels are any `P` positions: they have a pointer each and share one running index, so tiles cross
//! rows and images, and no shape leaves a remainder loop, only a smaller `P`.

use crate::simd::{Kernel, Simd};

/// Consecutive input values that meet consecutive weight rows: `len` values from `offset`, relative to a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) offset: usize,
    pub(super) len: usize,
}

/// One tile's work. Strides and offsets count f32 values.
///
/// Valid when: for each of the first `P` entries of `pixels` and each run, `source + pixel + run` is readable;
/// `weights` holds `V·LANES` values per step; `init`, `residual` (unless null) and `output` hold, at each of `P`
/// multiples of their stride, `(V-1)·LANES + last_lanes` values; `last_lanes` is in `1..=LANES`.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Where offset 0 of `pixels` lies.
    pub(super) source: *const f32,
    pub(super) pixels: &'a [usize],
    pub(super) runs: &'a [Run],
    pub(super) weights: *const f32,
    /// What the sums start from: the bias (stride 0), or the sums so far.
    pub(super) init: *const f32,
    pub(super) init_stride: usize,
    /// Added at the end unless null; laid out as `output`.
    pub(super) residual: *const f32,
    /// Bounds of the result.
    pub(super) bounds: [f32; 2],
    pub(super) output: *mut f32,
    pub(super) stride: usize,
    /// Lanes of the last vector that exist.
    pub(super) last_lanes: usize,
}

struct Sized<'a, const P: usize, const V: usize>(Tile<'a>);

impl Tile<'_> {
    /// Computes the tile of `pixels.len()` pixels and `vectors` vectors.
    ///
    /// # Safety
    /// The tile is valid (see the type), with `P = pixels.len()` and `V = vectors`.
    ///
    /// # Panics
    /// `S` has no tile of this size: `vectors` is not in `1..=VECTORS`, or `pixels` not in `1..=PIXELS[vectors - 1]`.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(self, simd: S, vectors: usize) {
        // The guards are constants: tiles larger than the instruction set's are not compiled.
        macro_rules! sizes {
            ($($p:literal)*) => {
                match (self.pixels.len(), vectors) {
                    $(
                        ($p, 1) if $p <= S::PIXELS[0] => simd.call(Sized::<$p, 1>(self)),
                        ($p, 2) if $p <= S::PIXELS[1] => simd.call(Sized::<$p, 2>(self)),
                        ($p, 3) if $p <= S::PIXELS[2] => simd.call(Sized::<$p, 3>(self)),
                    )*
                    size => unreachable!("no tile of {size:?}"),
                }
            };
        }
        sizes!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
impl<const P: usize, const V: usize> Kernel for Sized<'_, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tile = self.0;
        // SAFETY: `Tile::run`'s caller vouches for every pointer, offset and length used below.
        unsafe {
            let mut sums = [[simd.splat(0.0); V]; P];
            for p in 0..P {
                for v in 0..V {
                    sums[p][v] = load::<S, V>(simd, &tile, tile.init.add(p * tile.init_stride), v);
                }
            }

            let mut pixels = [tile.source; P];
            for p in 0..P {
                pixels[p] = tile.source.add(*tile.pixels.get_unchecked(p));
            }
            let mut weights = tile.weights;
            for run in tile.runs {
                for i in run.offset..run.offset + run.len {
                    let mut w = [simd.splat(0.0); V];
                    for v in 0..V {
                        w[v] = simd.load(weights.add(v * S::LANES));
                    }
                    for p in 0..P {
                        let x = simd.splat(*pixels[p].add(i));
                        for v in 0..V {
                            sums[p][v] = simd.fma(x, w[v], sums[p][v]);
                        }
                    }
                    weights = weights.add(V * S::LANES);
                }
            }

            if !tile.residual.is_null() {
                for p in 0..P {
                    for v in 0..V {
                        let residual = load::<S, V>(simd, &tile, tile.residual.add(p * tile.stride), v);
                        sums[p][v] = simd.add(sums[p][v], residual);
                    }
                }
            }
            let (lo, hi) = (simd.splat(tile.bounds[0]), simd.splat(tile.bounds[1]));
            for p in 0..P {
                for v in 0..V {
                    let y = simd.clamp(sums[p][v], lo, hi);
                    let at = tile.output.add(p * tile.stride + v * S::LANES);
                    if v + 1 < V || tile.last_lanes == S::LANES {
                        simd.store(at, y);
                    } else {
                        simd.store_first(at, y, tile.last_lanes);
                    }
                }
            }
        }
    }
}

/// The `v`-th vector of a pixel's outputs at `at`.
///
/// # Safety
/// `at` holds `(V-1)·LANES + last_lanes` values, and `v < V`.
#[inline(always)]
unsafe fn load<S: Simd, const V: usize>(simd: S, tile: &Tile<'_>, at: *const f32, v: usize) -> S::V {
    // SAFETY: the caller gives all lanes of every vector but the last, and `last_lanes` of that one.
    unsafe {
        let at = at.add(v * S::LANES);
        if v + 1 < V || tile.last_lanes == S::LANES {
            simd.load(at)
        } else {
            simd.load_first(at, tile.last_lanes)
        }
    }
}

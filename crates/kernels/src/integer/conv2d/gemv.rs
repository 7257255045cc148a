//! A few pixels under weights of 4 or 2 bits that are unpacked in registers.
//!
//! Each weight is used once per pixel, so its way from memory is all that counts: packed weights are read once, in
//! order, and never written anywhere. In registers they are unsigned, `w + 2^(bits−1)`, which costs a mask and a shift; the
//! sums start lower by `2^(bits−1)·Σx` for it.

use super::finish::{Finish, SPARE};
use super::grid::Grid;
use super::panel::{CHUNK, Run};
use super::tile::four_codes;
use crate::integer::WeightBits;
use crate::integer::bytes::{ByteKernel, ByteSimd};

/// Pixels computed together: with fewer, the last one is computed again.
const PIXELS: usize = 4;
/// How far before they are used weights are fetched, in bytes: what the CPU fetches ahead by itself ends with a page.
const AHEAD: usize = 8192;
/// Values of the largest panel: pixels × vectors × lanes, and what finishing it takes.
const SUMS: usize = (PIXELS * 4 + SPARE) * 16;

/// One panel under all pixels of a grid of one short line.
#[derive(Clone, Copy)]
pub(super) struct Gemv<'a> {
    /// One image of one row of at most [`PIXELS`].
    pub(super) grid: &'a Grid,
    /// Where the walk over the input starts.
    pub(super) source: *const u8,
    /// All that the sums run over.
    pub(super) run: Run,
    /// The panel's weights as [`super::panel::pack`] leaves them.
    pub(super) packed: &'a [u8],
    pub(super) bits: WeightBits,
    /// `[vectors·LANES]`: what the sums start from.
    pub(super) offsets: *const i32,
    pub(super) finish: &'a Finish<'a>,
}

impl Gemv<'_> {
    /// Whether it computes this grid, under these weights.
    pub(super) fn serves(grid: &Grid, runs: &[Run], bits: WeightBits) -> bool {
        let short = grid.images == 1 && grid.rows == 1 && grid.width <= PIXELS;
        short && runs.len() == 1 && bits != WeightBits::Eight
    }

    /// Computes it.
    ///
    /// # Safety
    /// `run` is readable at each pixel of the grid; `packed` are its weights for `vectors` vectors of this instruction
    /// set, offsets as many; `finish` is valid for the grid's walks.
    #[inline(always)]
    pub(super) unsafe fn run<S: ByteSimd>(self, s: S, vectors: usize) {
        macro_rules! vectors {
            ($($v:literal)*) => {
                match (vectors, self.bits, self.grid.width) {
                    $(
                        ($v, WeightBits::Four, 1) => s.call(Sized::<1, $v, 2>(self)),
                        ($v, WeightBits::Four, _) => s.call(Sized::<PIXELS, $v, 2>(self)),
                        ($v, _, 1) => s.call(Sized::<1, $v, 4>(self)),
                        ($v, _, _) => s.call(Sized::<PIXELS, $v, 4>(self)),
                    )*
                    _ => unreachable!("no panel of {vectors} vectors"),
                }
            };
        }
        vectors!(1 2 3 4);
    }
}

/// `P` pixels, `V` vectors, `N` weights to a byte.
struct Sized<'a, const P: usize, const V: usize, const N: usize>(Gemv<'a>);

#[repr(align(64))]
struct Sums([i32; SUMS]);

impl<const P: usize, const V: usize, const N: usize> ByteKernel for Sized<'_, P, V, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        assert!(P * V * S::LANES <= SUMS, "room for the sums");
        let Gemv { grid, source, run, finish, .. } = self.0;
        let mut sums = Sums([0; SUMS]);
        // SAFETY: `Gemv::run`'s caller vouches for every pointer and walk; `sums` has room, see above.
        unsafe {
            let pixel = |p: usize| source.add(grid.source.at([0, 0, p.min(grid.width - 1)]) + run.offset);
            let codes: [*const u8; P] = std::array::from_fn(pixel);
            let done = self.whole_steps(s, codes, sums.0.as_mut_ptr());
            self.rest(s, codes, done, sums.0.as_mut_ptr());
            s.call(finish.tile(sums.0.as_ptr(), grid.width, [0; 3]));
        }
    }
}

#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
impl<const P: usize, const V: usize, const N: usize> Sized<'_, P, V, N> {
    /// Chunks of packed weights that hold whole quads of all vectors, where each chunk holds `N·of_chunk` vectors.
    const fn step_chunks(of_chunk: usize) -> usize {
        let mut chunks = 1;
        while !(chunks * N * of_chunk).is_multiple_of(V) {
            chunks += 1;
        }
        chunks
    }

    /// Writes `sums: [P][V·LANES]` over as many quads as whole steps have, and returns how many chunks those are.
    ///
    /// # Safety
    /// As [`Gemv::run`], and `sums` has room.
    #[inline(always)]
    unsafe fn whole_steps<S: ByteSimd>(&self, s: S, codes: [*const u8; P], sums: *mut i32) -> usize {
        let Gemv { run, packed, offsets, .. } = self.0;
        let of_chunk = CHUNK / (4 * S::LANES);
        let chunks = Self::step_chunks(of_chunk);
        let quads = chunks * N * of_chunk / V;
        let steps = run.quads / quads;
        assert!(packed.len() >= steps * chunks * CHUNK, "weights of all steps");
        // SAFETY: the caller vouches for every pointer and length.
        unsafe {
            let mut tile = [[s.splat_i(0); V]; P];
            for p in 0..P {
                let all = std::slice::from_raw_parts(codes[p], 4 * run.quads);
                let sum =
                    all.iter().map(|&x| i32::from(x) - i32::from(S::LOWERED)).fold(0, i32::wrapping_add);
                // Half the range of a weight: 8 of 4 bits, 2 of 2.
                let lower = s.splat_i(sum.wrapping_mul(if N == 2 { -8 } else { -2 }));
                for v in 0..V {
                    tile[p][v] = s.add_i(s.load_i(offsets.add(v * S::LANES)), lower);
                }
            }
            let mut weights = packed.as_ptr();
            for step in 0..steps {
                for chunk in 0..chunks {
                    fetch(weights.wrapping_add(chunk * CHUNK + AHEAD));
                    for h in 0..of_chunk {
                        let parts = unpack::<S, N>(s, weights.add(chunk * CHUNK + h * 4 * S::LANES));
                        for n in 0..N {
                            let vector = (chunk * N + n) * of_chunk + h;
                            let (quad, v) = (vector / V, vector % V);
                            for p in 0..P {
                                let x = four_codes(s, codes[p].add(4 * (step * quads + quad)));
                                tile[p][v] = s.dot(tile[p][v], x, parts[n]);
                            }
                        }
                    }
                }
                weights = weights.add(chunks * CHUNK);
            }
            for p in 0..P {
                for v in 0..V {
                    s.store_i(sums.add((p * V + v) * S::LANES), tile[p][v]);
                }
            }
        }
        steps * chunks
    }

    /// Adds to `sums` what is left after `done` chunks.
    ///
    /// # Safety
    /// As [`Gemv::run`], and `sums` are those of [`Self::whole_steps`].
    #[inline(always)]
    unsafe fn rest<S: ByteSimd>(&self, s: S, codes: [*const u8; P], done: usize, sums: *mut i32) {
        let Gemv { run, packed, .. } = self.0;
        let of_chunk = CHUNK / (4 * S::LANES);
        for (chunk, bytes) in packed.chunks_exact(CHUNK).enumerate().skip(done) {
            for h in 0..of_chunk {
                // SAFETY: a chunk is `of_chunk` vectors; quads are within the run, sums within a panel.
                unsafe {
                    let parts = unpack::<S, N>(s, bytes.as_ptr().add(h * 4 * S::LANES));
                    for n in 0..N {
                        let vector = (chunk * N + n) * of_chunk + h;
                        let (quad, v) = (vector / V, vector % V);
                        for p in 0..if quad < run.quads { P } else { 0 } {
                            let sums = sums.add((p * V + v) * S::LANES);
                            let x = four_codes(s, codes[p].add(4 * quad));
                            s.store_i(sums, s.dot(s.load_i(sums), x, parts[n]));
                        }
                    }
                }
            }
        }
    }
}

/// `N` vectors of weights that share the bytes at `at`, the first in the lowest bits of each, as unsigned numbers.
///
/// # Safety
/// `BYTES` bytes are readable at `at`.
#[inline(always)]
unsafe fn unpack<S: ByteSimd, const N: usize>(s: S, at: *const u8) -> [S::W; N] {
    // SAFETY: the caller gives a vector of readable bytes.
    let packed = unsafe { s.load_b(at) };
    if N == 2 {
        let parts = s.nibbles(packed);
        std::array::from_fn(|n| s.weights(parts[n % 2]))
    } else {
        let parts = s.pairs(packed);
        std::array::from_fn(|n| s.weights(parts[n]))
    }
}

/// Asks for a cache line, which need not exist.
#[inline(always)]
fn fetch(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 CPU has the instruction, and it accesses no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Isa;
    use crate::integer::{Code, IntLinear, Requantize, WeightBits, Weights, reference};
    use crate::testing::{bytes, most};

    /// Weights of `bits`, codes and all that follows.
    fn assert_agrees([inputs, outputs, rows]: [usize; 3], bits: WeightBits, zero_x: u8) {
        let unused = 8 - bits.bits();
        let of_byte = |&byte: &u8| (byte << unused).cast_signed() >> unused;
        let codes: Vec<i8> = bytes(inputs * outputs, 1).iter().map(of_byte).collect();
        let bias: Vec<i32> = bytes(outputs, 2).iter().map(|&b| (i32::from(b) - 128) * 100).collect();
        let weights = Weights { codes: &codes, bits, bias: &bias, zero_x, max_x: 255 };
        let scale: Vec<f32> = (0..outputs).map(|o| 1e-3 + 1e-5 * o as f32).collect();
        let requantize = Requantize::new(&scale, Code { zero: 100, lo: 3, hi: 250 });
        for isa in Isa::supported() {
            let linear = IntLinear::new(isa, inputs, outputs, &weights).unwrap();
            let input = bytes(rows * linear.input().len(), 3);
            let sums = reference::linear([inputs, linear.input().len()], &input, &weights);
            let mut want = vec![77; rows * linear.output().len()];
            reference::requantize(&requantize, &sums, None, linear.output(), &mut want);
            let (mut got, mut scratch) = (vec![0; want.len()], vec![0; linear.scratch_len()]);
            linear.run(&input, &requantize, None, &mut scratch, &mut got);
            assert_eq!(got, want, "{isa} {inputs} to {outputs}, {rows} rows, {bits:?}");
            let mut reals = vec![f32::NAN; sums.len()];
            linear.run_f32(&input, &scale, &mut scratch, &mut reals);
            assert_eq!(
                reals,
                reference::scale(&sums, &scale),
                "{isa} {inputs} to {outputs}, {rows} rows, {bits:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

        #[test]
        fn few_rows_equal_the_reference(
            inputs in 1usize..most(150), outputs in 1usize..most(150), rows in 1usize..6, width in 0usize..3, zero_x: u8,
        ) {
            let bits = [WeightBits::Two, WeightBits::Four, WeightBits::Eight][width];
            assert_agrees([inputs, outputs, rows], bits, zero_x);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes long there")]
    fn long_sums_end_at_any_quad() {
        for bits in [WeightBits::Two, WeightBits::Four] {
            for inputs in (1000..1064).step_by(4) {
                assert_agrees([inputs, 70, 1], bits, 255);
            }
        }
    }
}

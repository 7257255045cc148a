//! What an instruction set can do at most: the measure that kernels are held against.

use std::hint::black_box;

use super::simd::{IntKernel, IntSimd};
use crate::Isa;

/// Times that one step uses every sum.
const REPEATS: usize = 16;

/// Multiplies codes by weights in registers only, `steps` times over in as many sums as hide the latency, and returns the
/// multiply-accumulates done. Its time gives the peak of `isa` on this CPU, now: measure it beside what it is compared
/// with.
pub fn peak(isa: Isa, steps: u64) -> u64 {
    isa.run_int(Peak(steps))
}

struct Peak(u64);

impl IntKernel for Peak {
    type Output = u64;

    #[inline(always)]
    fn run<S: IntSimd>(self, simd: S) -> u64 {
        // More than latency times units, and as many as there are registers for.
        if S::LANES == 16 { sums::<S, 20>(simd, self.0) } else { sums::<S, 10>(simd, self.0) }
    }
}

#[inline(always)]
fn sums<S: IntSimd, const SUMS: usize>(simd: S, steps: u64) -> u64 {
    let bytes = [1; 64];
    // SAFETY: no vector has more than 16 lanes of four weights.
    let (codes, weights) = unsafe { (simd.codes(bytes.as_ptr()), simd.weights(bytes.as_ptr())) };
    let mut sums = [simd.splat(0); SUMS];
    for _ in 0..steps {
        // Unknown to the compiler, or it would do the sums once and multiply; in plain code each time.
        let mut codes = black_box(codes);
        for _ in 0..REPEATS {
            for sum in &mut sums {
                if S::LANES < 8 {
                    codes = black_box(codes);
                }
                *sum = simd.dot(*sum, codes, weights);
            }
        }
    }
    black_box(sums);
    steps * (REPEATS * SUMS * S::LANES * 4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_grows_with_steps() {
        for isa in Isa::supported() {
            assert_eq!(peak(isa, 6), 2 * peak(isa, 3));
        }
    }
}

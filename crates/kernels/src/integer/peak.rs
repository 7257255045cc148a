//! What an instruction set can do at most: the measure that kernels are held against.

use std::hint::black_box;

use super::bytes::{ByteKernel, ByteSimd, MAX_BYTES};
use crate::Isa;

/// Times that one step uses every sum.
const REPEATS: usize = 16;

/// Multiplies codes by weights in registers only, `steps` times over in as many sums as hide the latency, and returns the
/// multiply-accumulates done. Its time gives the peak of `isa` on this CPU, now: measure it beside what it is compared
/// with.
pub fn peak(isa: Isa, steps: u64) -> u64 {
    isa.run_bytes(Peak { steps, long: false })
}

/// The same for dot products whose pairs of products fit 16 bits, which some instruction sets are faster with.
pub fn peak_paired(isa: Isa, steps: u64) -> u64 {
    isa.run_paired(Peak { steps, long: false })
}

/// The same where sums of pairs may grow in 16 bits for as long as it takes.
pub fn peak_long(isa: Isa, steps: u64) -> u64 {
    isa.run_paired(Peak { steps, long: true })
}

struct Peak {
    steps: u64,
    long: bool,
}

impl ByteKernel for Peak {
    type Output = u64;

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) -> u64 {
        // More than latency times units, and as many as there are registers for.
        match (S::REGISTERS, self.long) {
            (32, false) => sums::<S, 20, false>(s, self.steps),
            (32, true) => sums::<S, 20, true>(s, self.steps),
            (_, false) => sums::<S, 10, false>(s, self.steps),
            (_, true) => sums::<S, 10, true>(s, self.steps),
        }
    }
}

#[inline(always)]
fn sums<S: ByteSimd, const SUMS: usize, const LONG: bool>(s: S, steps: u64) -> u64 {
    let ones = s.read(&[1; MAX_BYTES]);
    let (codes, weights) = (s.factors(ones), s.weights(ones));
    let mut sums = [s.splat_i(0); SUMS];
    for _ in 0..steps {
        for _ in 0..REPEATS {
            for sum in &mut sums {
                // Unknown to the compiler, or it would multiply once and add many times.
                let codes = s.unknown(codes);
                *sum = if LONG { s.dot_pairs(*sum, codes, weights) } else { s.dot(*sum, codes, weights) };
            }
        }
    }
    black_box(sums);
    steps * (REPEATS * SUMS * S::BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_grows_with_steps() {
        for isa in Isa::supported() {
            for peak in [peak, peak_paired, peak_long] {
                assert_eq!(peak(isa, 6), 2 * peak(isa, 3));
            }
        }
    }
}

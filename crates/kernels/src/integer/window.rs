//! Windows over pairs of codes: SPARQ's activations before an ordinary integer product (Shomron et al. 2021).
//!
//! Each value of a pair is looked up in one table, or in another where its partner is zero. What is kept still is an
//! 8-bit code, so the product after it is exactly the paper's. The tables come from whoever knows the window; here
//! they are just tables. Pairs are neighbouring channels, so pixels have an even number of them.

use super::lookup::Table;
use crate::Isa;

/// What codes become in a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairTables {
    /// Beside a code that is not zero: `W`.
    pub beside_code: Table,
    /// Beside a zero: `F`. Both tables keep zero.
    pub beside_zero: Table,
}

impl PairTables {
    /// The definition: what a pair becomes.
    pub fn pair(&self, [a, b]: [u8; 2]) -> [u8; 2] {
        let entry = |code: u8, partner: u8| {
            let table = if partner == 0 { &self.beside_zero } else { &self.beside_code };
            table[usize::from(code)]
        };
        [entry(a, b), entry(b, a)]
    }
}

/// Replaces each pair of `codes`, any number of pixels with an even number of channels.
///
/// # Panics
/// The number of codes is odd.
pub fn window_in_place(isa: Isa, tables: &PairTables, codes: &mut [u8]) {
    let (at, len) = (codes.as_mut_ptr(), codes.len());
    // SAFETY: the slice may be read and written at its length, by whoever borrows it mutably.
    unsafe { window_at(isa, tables, at, at, len) }
}

/// Writes to `output` what the pairs of `input` become.
///
/// # Panics
/// The lengths differ, or are odd.
pub fn window(isa: Isa, tables: &PairTables, input: &[u8], output: &mut [u8]) {
    assert_eq!(input.len(), output.len(), "codes in and out");
    // SAFETY: both slices have this length.
    unsafe { window_at(isa, tables, input.as_ptr(), output.as_mut_ptr(), input.len()) }
}

/// # Safety
/// `len` bytes are readable at `from` and writable at `to`, which are the same place or do not overlap.
unsafe fn window_at(isa: Isa, tables: &PairTables, from: *const u8, to: *mut u8, len: usize) {
    assert!(len.is_multiple_of(2), "{len} codes do not make pairs");
    #[cfg(target_arch = "x86_64")]
    if isa.has_vbmi() {
        // SAFETY: the CPU has the features, memory is the caller's.
        return unsafe { vbmi(tables, from, to, len) };
    }
    let _ = isa;
    for at in (0..len).step_by(2) {
        // SAFETY: `at + 1 < len`, which is even.
        unsafe {
            let pair = tables.pair([from.add(at).read(), from.add(at + 1).read()]);
            to.add(at).cast::<[u8; 2]>().write(pair);
        }
    }
}

/// # Safety
/// As [`window_at`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn vbmi(tables: &PairTables, from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::*;

    use super::lookup::vbmi::{Registers, map};

    let [beside_code, beside_zero] =
        [&tables.beside_code, &tables.beside_zero].map(|table| Registers::new(table));
    let in_pairs = |codes: __m512i| {
        let partners = _mm512_or_si512(_mm512_slli_epi16::<8>(codes), _mm512_srli_epi16::<8>(codes));
        let alone = _mm512_testn_epi8_mask(partners, partners);
        _mm512_mask_blend_epi8(alone, beside_code.get(codes), beside_zero.get(codes))
    };
    // SAFETY: the caller's promise is the same; an even length leaves whole pairs to the mask at the end.
    unsafe { map(from, to, len, in_pairs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, most};

    #[test]
    fn every_instruction_set_equals_the_definition_at_every_length() {
        let table = |seed| {
            let mut table: Table = bytes(256, seed).try_into().unwrap();
            table[0] = 0;
            table
        };
        let tables = PairTables { beside_code: table(1), beside_zero: table(2) };
        for len in (0..most(300)).step_by(2) {
            // Half of the codes are zero, so that all kinds of pairs occur.
            let codes: Vec<u8> =
                bytes(len, 3).iter().zip(bytes(len, 4)).map(|(&code, coin)| code * (coin % 2)).collect();
            let want: Vec<u8> =
                codes.chunks_exact(2).flat_map(|pair| tables.pair([pair[0], pair[1]])).collect();
            for isa in Isa::supported() {
                let mut got = vec![77; len + 8];
                window(isa, &tables, &codes, &mut got[..len]);
                assert_eq!((&got[..len], &got[len..]), (&want[..], &[77; 8][..]), "{isa}");
                let mut in_place = codes.clone();
                window_in_place(isa, &tables, &mut in_place);
                assert_eq!(in_place, want, "{isa}");
            }
        }
    }

    #[test]
    fn a_zero_lends_its_bits_to_its_partner_only() {
        let tables = PairTables {
            beside_code: std::array::from_fn(|i| i as u8 & 0xf0),
            beside_zero: std::array::from_fn(|i| i as u8),
        };
        let mut codes = [0x37, 0x12, 0x37, 0, 0, 0x37, 0, 0];
        window_in_place(Isa::best(), &tables, &mut codes);
        assert_eq!(codes, [0x30, 0x10, 0x37, 0, 0, 0x37, 0, 0]);
    }
}

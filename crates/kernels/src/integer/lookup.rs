//! Tables of 256 codes: activations, other scales, windows of operands.
//!
//! Where the CPU looks 128 bytes up at once (AVX-512 VBMI), a table is four registers. Elsewhere a load per code is as
//! fast as anything that shuffles sixteen bytes at a time sixteen times.

use crate::Isa;

/// A code for each code.
pub type Table = [u8; 256];

/// Whether a look-up takes next to nothing beside the layer that wrote the codes.
pub fn looks_up_at_once(isa: Isa) -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa.has_vbmi();
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        false
    }
}

/// Replaces each code of `codes` by its entry of `table`.
pub fn lookup_in_place(isa: Isa, table: &Table, codes: &mut [u8]) {
    let (at, len) = (codes.as_mut_ptr(), codes.len());
    // SAFETY: the slice may be read and written at its length, by whoever borrows it mutably.
    unsafe { lookup_at(isa, table, at, at, len) }
}

/// Writes to `output` the entry of `table` for each code of `input`.
///
/// # Panics
/// The lengths differ.
pub fn lookup(isa: Isa, table: &Table, input: &[u8], output: &mut [u8]) {
    assert_eq!(input.len(), output.len(), "codes in and out");
    // SAFETY: both slices have this length.
    unsafe { lookup_at(isa, table, input.as_ptr(), output.as_mut_ptr(), input.len()) }
}

/// Of each piece of `from_step` bytes of `input` the first `len`, through `table`, to the start of a piece of `to_step`
/// bytes of `output`.
///
/// # Panics
/// A piece is shorter than `len`, or there are not equally many.
pub(super) fn lookup_pieces(
    isa: Isa,
    table: &Table,
    [from_step, to_step, len]: [usize; 3],
    input: &[u8],
    output: &mut [u8],
) {
    #[cfg(target_arch = "x86_64")]
    if isa.has_vbmi() {
        let pieces = input.len().div_ceil(from_step);
        assert!(len <= from_step && len <= to_step && pieces == output.len().div_ceil(to_step), "pieces");
        let held = |length: usize, step| pieces == 0 || (pieces - 1) * step + len <= length;
        assert!(held(input.len(), from_step) && held(output.len(), to_step), "the last piece");
        // SAFETY: the CPU has the features; pieces are in the slices, as asserted.
        unsafe { vbmi::pieces(table, [from_step, to_step, len, pieces], input.as_ptr(), output.as_mut_ptr()) }
        return;
    }
    for (from, to) in input.chunks(from_step).zip(output.chunks_mut(to_step)) {
        lookup(isa, table, &from[..len], &mut to[..len]);
    }
}

/// # Safety
/// `len` bytes are readable at `from` and writable at `to`, which are the same place or do not overlap.
unsafe fn lookup_at(isa: Isa, table: &Table, from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if isa.has_vbmi() {
        // SAFETY: the CPU has the features, memory is the caller's.
        return unsafe { vbmi::lookup(table, from, to, len) };
    }
    let _ = isa;
    for i in 0..len {
        // SAFETY: `i < len`.
        unsafe { to.add(i).write(table[usize::from(from.add(i).read())]) }
    }
}

/// The table in registers.
#[cfg(target_arch = "x86_64")]
pub(super) mod vbmi {
    use std::arch::x86_64::*;

    use super::Table;

    /// A table as four vectors of 64 entries.
    #[derive(Clone, Copy)]
    pub(in crate::integer) struct Registers([__m512i; 4]);

    impl Registers {
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
        pub(in crate::integer) fn new(table: &Table) -> Registers {
            // SAFETY: each of the four vectors lies in the table.
            Registers(
                [0, 64, 128, 192].map(|at| unsafe { _mm512_loadu_si512(table.as_ptr().add(at).cast()) }),
            )
        }

        /// The entry of each code.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
        pub(in crate::integer) fn get(self, codes: __m512i) -> __m512i {
            let [a, b, c, d] = self.0;
            let low = _mm512_permutex2var_epi8(a, codes, b);
            let high = _mm512_permutex2var_epi8(c, codes, d);
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high)
        }
    }

    /// Applies `f` to 64 bytes at a time, the rest by mask.
    ///
    /// # Safety
    /// `len` bytes are readable at `from` and writable at `to`, which are the same place or do not overlap.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(in crate::integer) unsafe fn map(
        from: *const u8,
        to: *mut u8,
        len: usize,
        f: impl Fn(__m512i) -> __m512i,
    ) {
        let whole = len / 64 * 64;
        for at in (0..whole).step_by(64) {
            // SAFETY: `at + 64 <= len`.
            unsafe { _mm512_storeu_si512(to.add(at).cast(), f(_mm512_loadu_si512(from.add(at).cast()))) }
        }
        let rest = (1u64 << (len - whole)) - 1;
        // SAFETY: masked-off bytes are not accessed; the others are below `len`.
        unsafe {
            let codes = _mm512_maskz_loadu_epi8(rest, from.add(whole).cast());
            _mm512_mask_storeu_epi8(to.add(whole).cast(), rest, f(codes));
        }
    }

    /// # Safety
    /// `pieces` times, `len` bytes are readable at `from` and writable at `to`, which do not overlap, every so many steps.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) unsafe fn pieces(
        table: &Table,
        [from_step, to_step, len, pieces]: [usize; 4],
        from: *const u8,
        to: *mut u8,
    ) {
        let table = Registers::new(table);
        for nth in 0..pieces {
            // SAFETY: the caller's promise is the same.
            unsafe { map(from.add(nth * from_step), to.add(nth * to_step), len, |codes| table.get(codes)) }
        }
    }

    /// # Safety
    /// As [`map`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) unsafe fn lookup(table: &Table, from: *const u8, to: *mut u8, len: usize) {
        let table = Registers::new(table);
        // SAFETY: the caller's promise is the same.
        unsafe { map(from, to, len, |codes| table.get(codes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, most};

    #[test]
    fn every_instruction_set_reads_the_table_at_every_length() {
        let table: Table = bytes(256, 1).try_into().unwrap();
        for len in (0..most(200)).chain([most(1000)]) {
            let codes = bytes(len, 2);
            let want: Vec<u8> = codes.iter().map(|&code| table[usize::from(code)]).collect();
            for isa in Isa::supported() {
                // What lies behind the codes keeps its 77.
                let mut got = vec![77; len + 9];
                lookup(isa, &table, &codes, &mut got[..len]);
                assert_eq!((&got[..len], &got[len..]), (&want[..], &[77; 9][..]), "{isa}");
                let mut in_place = codes.clone();
                lookup_in_place(isa, &table, &mut in_place);
                assert_eq!(in_place, want, "{isa}");
            }
        }
    }

    #[test]
    fn all_codes_are_found() {
        let codes: Table = std::array::from_fn(|i| i as u8);
        let table: Table = std::array::from_fn(|i| 255 - i as u8);
        for isa in Isa::supported() {
            let mut got = codes;
            lookup_in_place(isa, &table, &mut got);
            assert_eq!(got, table, "{isa}");
        }
    }
}

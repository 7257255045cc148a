//! Packing of codes narrower than a byte, little end first, as ONNX packs INT4 and INT2.
//!
//! Byte = `x0 | x1 << bits | x2 << 2·bits …` over the flattened tensor, zero padded at the end.

/// Packs the low `bits` (1, 2 or 4) of each code.
pub fn pack(codes: &[u8], bits: usize) -> Vec<u8> {
    debug_assert!(matches!(bits, 1 | 2 | 4));
    let mask = (1u8 << bits) - 1;
    codes
        .chunks(8 / bits)
        .map(|group| group.iter().enumerate().fold(0, |byte, (i, &code)| byte | (code & mask) << (i * bits)))
        .collect()
}

/// Unpacks `count` unsigned codes of `bits` (1, 2 or 4); `None` when `bytes` is not exactly the packed length.
pub fn unpack(bytes: &[u8], bits: usize, count: usize) -> Option<Vec<u8>> {
    debug_assert!(matches!(bits, 1 | 2 | 4));
    if count.checked_mul(bits)?.div_ceil(8) != bytes.len() {
        return None;
    }
    let (per_byte, mask) = (8 / bits, (1u8 << bits) - 1);
    Some((0..count).map(|i| bytes[i / per_byte] >> (i % per_byte * bits) & mask).collect())
}

/// Reads an unsigned code of `bits` as two's complement: `15` of 4 bits is `-1`.
pub fn sign_extend(code: u8, bits: usize) -> i8 {
    let shift = 8 - bits;
    ((code << shift) as i8) >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_are_little_end_first_and_zero_padded() {
        assert_eq!(pack(&[1, 2, 3], 4), [0x21, 0x03]);
        assert_eq!(pack(&[1, 2, 3, 0, 1], 2), [0b00_11_10_01, 1]);
    }

    #[test]
    fn unpack_undoes_pack() {
        for bits in [1, 2, 4] {
            for count in 0..20 {
                let codes: Vec<u8> = (0..count).map(|i| (i * 7 % (1 << bits)) as u8).collect();
                assert_eq!(unpack(&pack(&codes, bits), bits, count).unwrap(), codes);
            }
        }
    }

    #[test]
    fn a_wrong_length_is_noticed() {
        assert_eq!(unpack(&[0, 0], 4, 5), None);
        assert_eq!(unpack(&[0], 2, usize::MAX), None);
    }

    #[test]
    fn signs_extend() {
        assert_eq!(
            [sign_extend(15, 4), sign_extend(8, 4), sign_extend(7, 4), sign_extend(2, 2)],
            [-1, -8, 7, -2]
        );
    }
}

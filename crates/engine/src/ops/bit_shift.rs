//! `BitShift`.

use super::support::zip;
use crate::EvalError;
use lowbit_graph::ops::BitShift;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &BitShift, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    // Unsigned elements arrive as the same bits in i64, and the result is cut to the width of its type.
    let shift = |a: i64, b: i64| {
        let bits = u32::try_from(b as u64).unwrap_or(u32::MAX);
        let shifted = if op.left { (a as u64).checked_shl(bits) } else { (a as u64).checked_shr(bits) };
        shifted.unwrap_or(0) as i64
    };
    zip(op, inputs, |_, _| f64::NAN, shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;

    #[test]
    fn bits_that_leave_are_lost() {
        let shift = |left, x, by| {
            let [x, by] = [x, by].map(|data| Tensor::new(vec![2], data).unwrap());
            reference(&BitShift { left }, &[Some(&x), Some(&by)]).unwrap()[0].data().clone()
        };
        assert_eq!(shift(true, Data::U8(vec![0x81, 1]), Data::U8(vec![1, 8])), Data::U8(vec![2, 0]));
        assert_eq!(shift(false, Data::U8(vec![0x81, 255]), Data::U8(vec![4, 200])), Data::U8(vec![8, 0]));
        let top = 1 << 63;
        assert_eq!(shift(false, Data::U64(vec![top, top]), Data::U64(vec![63, 64])), Data::U64(vec![1, 0]));
    }
}

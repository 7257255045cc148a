//! `BitwiseAnd`.

use super::support::zip;
use crate::EvalError;
use lowbit_graph::ops::BitwiseAnd;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &BitwiseAnd, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, |_, _| f64::NAN, |a, b| a & b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;

    #[test]
    fn bits_are_masked() {
        let [a, b] =
            [vec![0b1100, 0b0111], vec![0b1010, 0b0011]].map(|v| Tensor::new(vec![2], Data::U8(v)).unwrap());
        assert_eq!(reference(&BitwiseAnd, &[Some(&a), Some(&b)]).unwrap()[0].data(), &Data::U8(vec![8, 3]));
    }
}

//! `MatMul`: matrix product with numpy's rules for more and fewer axes.

use super::*;
use crate::shape::Inputs;
use crate::{broadcast, mismatch};

/// Y = A · B over the last two axes, leading axes broadcast. A vector counts as a row on the left, as a column on the
/// right, and its axis leaves the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatMul;

/// A product in numbers: a stack of `[m, k] · [k, n]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatMulShape {
    /// Leading axes of the result.
    pub batch: Vec<usize>,
    /// Rows of the left matrices.
    pub m: usize,
    /// Inner extent.
    pub k: usize,
    /// Columns of the right matrices.
    pub n: usize,
    /// Shape of the result.
    pub output: Vec<usize>,
}

impl MatMul {
    /// The product in numbers, for the shapes of `A` and `B`.
    ///
    /// # Errors
    /// When one is a scalar, the inner extents differ, or leading axes do not broadcast.
    pub fn resolve(&self, a: &[usize], b: &[usize]) -> Result<MatMulShape, ShapeError> {
        let (Some((&k, left)), Some((&n, right))) = (a.split_last(), b.split_last()) else {
            return Err(mismatch!("operands {a:?} and {b:?} must have at least one axis"));
        };
        let (m, batch_a) = left.split_last().map_or((1, left), |(&m, batch)| (m, batch));
        // A vector on the right is a column: its one axis is the inner one.
        let (inner, n, batch_b) = right.split_last().map_or((n, 1, right), |(&k, batch)| (k, n, batch));
        if k != inner {
            return Err(mismatch!("operands {a:?} and {b:?} differ in their inner extents {k} and {inner}"));
        }
        let batch = broadcast(batch_a, batch_b)?;
        let mut output = batch.clone();
        output.extend((a.len() > 1).then_some(m));
        output.extend((b.len() > 1).then_some(n));
        Ok(MatMulShape { batch, m, k, n, output })
    }
}

impl OpSpec for MatMul {
    const NAME: &'static str = "MatMul";

    fn read(_: &mut Attributes) -> Result<MatMul, AttributeError> {
        Ok(MatMul)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (a, b) = (&inputs.required(0, "A")?.ty, &inputs.required(1, "B")?.ty);
        support::same_type(a, "B", b)?;
        Ok(vec![TensorType::new(a.dtype, self.resolve(&a.shape, &b.shape)?.output)])
    }

    /// `B` is a weight where it is constant (its columns are the output channels); in attention it is computed, and
    /// quantized like any activation.
    fn role(&self, input: usize) -> Role {
        if input == 0 { Role::Activation } else { Role::Weight { channel_axis: -1 } }
    }

    fn macs(&self, inputs: &[Option<Input<'_>>], outputs: &[TensorType]) -> u64 {
        let k = inputs.optional(0).and_then(|a| a.ty.shape.last().copied()).unwrap_or(0);
        outputs.first().map_or(0, |y| support::product(&y.shape)).saturating_mul(k as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, infer, read};
    use super::*;
    use lowbit_tensor::DType;

    #[test]
    fn stacks_broadcast_and_vectors_lose_their_axis() {
        let op: MatMul = read(Attributes::new());
        assert_eq!(infer(&op, &[&[7, 1, 2, 3], &[5, 3, 4]]), Ok(vec![7, 5, 2, 4]));
        assert_eq!(infer(&op, &[&[3], &[5, 3, 4]]), Ok(vec![5, 4]));
        assert_eq!(infer(&op, &[&[5, 2, 3], &[3]]), Ok(vec![5, 2]));
        assert_eq!(infer(&op, &[&[3], &[3]]), Ok(vec![]));
        assert!(infer(&op, &[&[2, 3], &[4, 3]]).is_err() && infer(&op, &[&[], &[3]]).is_err());
    }

    #[test]
    fn each_output_costs_the_inner_extent() {
        let output = TensorType::new(DType::F32, [7, 2, 4]);
        assert_eq!(MatMul.macs(&[float(&[7, 2, 3]), float(&[3, 4])], &[output]), 7 * 2 * 4 * 3);
    }
}

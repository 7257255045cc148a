//! `Gemm`: matrix product with scaling and an addend.

use super::support::{broadcasts_into, floats, same_type};
use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Y = `alpha` · A' · B' + `beta` · C. `A': [m, k]`, `B': [k, n]` (transposed if asked), `C` broadcasts to `Y: [m, n]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `C`.
    pub beta: f32,
    /// Whether `A` is stored `[k, m]`.
    pub trans_a: bool,
    /// Whether `B` is stored `[n, k]`, as a linear layer stores its weight.
    pub trans_b: bool,
}

impl Default for Gemm {
    fn default() -> Gemm {
        Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false }
    }
}

impl Gemm {
    /// `[m, k, n]` for the shapes of `A` and `B`.
    ///
    /// # Errors
    /// When one is not a matrix, or their inner extents differ.
    pub fn extents(&self, a: &[usize], b: &[usize]) -> Result<[usize; 3], ShapeError> {
        let (&[a0, a1], &[b0, b1]) = (a, b) else {
            return Err(mismatch!("operands {a:?} and {b:?} must be matrices"));
        };
        let (m, k) = if self.trans_a { (a1, a0) } else { (a0, a1) };
        let (inner, n) = if self.trans_b { (b1, b0) } else { (b0, b1) };
        if k != inner {
            return Err(mismatch!("operands [{m}, {k}] and [{inner}, {n}] do not multiply"));
        }
        Ok([m, k, n])
    }
}

impl OpSpec for Gemm {
    const NAME: &'static str = "Gemm";

    fn read(attributes: &mut Attributes) -> Result<Gemm, AttributeError> {
        Ok(Gemm {
            alpha: attributes.float("alpha")?.unwrap_or(1.0),
            beta: attributes.float("beta")?.unwrap_or(1.0),
            trans_a: attributes.flag("transA", false)?,
            trans_b: attributes.flag("transB", false)?,
        })
    }

    fn write(&self) -> Attributes {
        floats([("alpha", self.alpha), ("beta", self.beta)])
            .with("transA", Attribute::Int(self.trans_a.into()))
            .with("transB", Attribute::Int(self.trans_b.into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (a, b) = (&inputs.required(0, "A")?.ty, &inputs.required(1, "B")?.ty);
        same_type(a, "B", b)?;
        let [m, _, n] = self.extents(&a.shape, &b.shape)?;
        if let Some(c) = inputs.optional(2) {
            same_type(a, "C", &c.ty)?;
            broadcasts_into("C", &c.ty.shape, &[m, n])?;
        }
        Ok(vec![TensorType::new(a.dtype, [m, n])])
    }

    fn since(&self) -> u64 {
        // `C` is optional since 11; whether it is present is not known here.
        11
    }

    fn role(&self, input: usize) -> Role {
        match input {
            0 => Role::Activation,
            1 => Role::Weight { channel_axis: if self.trans_b { 0 } else { 1 } },
            _ => Role::Bias,
        }
    }

    fn macs(&self, inputs: &[Option<Input<'_>>], _: &[TensorType]) -> u64 {
        let shape = |i| inputs.optional(i).map_or(&[] as &[usize], |t| &t.ty.shape);
        self.extents(shape(0), shape(1)).map_or(0, |extents| support::product(&extents))
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, infer, read};
    use super::*;

    #[test]
    fn a_linear_layer_stores_its_outputs_first() {
        let op: Gemm = read(Attributes::new().with("transB", Attribute::Int(1)));
        assert_eq!(op, Gemm { trans_b: true, ..Gemm::default() });
        assert_eq!(infer(&op, &[&[2, 8], &[5, 8], &[5]]), Ok(vec![2, 5]));
        assert_eq!(
            (op.role(1), Gemm::default().role(1)),
            (Role::Weight { channel_axis: 0 }, Role::Weight { channel_axis: 1 })
        );
        assert_eq!(op.macs(&[float(&[2, 8]), float(&[5, 8])], &[]), 80);
    }

    #[test]
    fn what_does_not_multiply_or_broadcast_is_refused() {
        assert!(infer(&Gemm::default(), &[&[2, 8], &[5, 8]]).is_err());
        assert!(infer(&Gemm::default(), &[&[2, 8], &[8, 5], &[3, 1]]).is_err());
        assert!(infer(&Gemm::default(), &[&[1, 2, 8], &[8, 5]]).is_err());
    }
}

//! `Clip`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{from_f64, from_i64, infer, required};
use crate::EvalError;
use crate::form::{Form, Operand, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Clip;
use lowbit_kernels::Unary;
use lowbit_tensor::{DType, Tensor};

pub(super) fn reference(op: &Clip, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "input")?;
    let limits = [1, 2].map(|i| inputs.get(i).copied().flatten());
    let y = if let Some(x) = x.to_i64() {
        // Flipping the top bit brings u64, which wraps in i64, into the order of i64.
        let flip = if ty.dtype == DType::U64 { i64::MIN } else { 0 };
        let [lower, upper] = limits.map(|limit| Some(limit?.to_i64()?[0] ^ flip));
        from_i64(&ty, x.into_iter().map(|x| clip(x ^ flip, lower, upper) ^ flip).collect())
    } else {
        let [lower, upper] = limits.map(|limit| Some(limit?.to_f64()[0]));
        from_f64(&ty, x.to_f64().into_iter().map(|x| clip(x, lower, upper)).collect())
    };
    Ok(vec![y?])
}

/// Zero at the limits as beyond them, as ReLU's is at zero. Limits take no gradient: they are given, not trained.
pub(super) fn gradient(
    _: &Clip,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let limit = |i: usize| Some(inputs.get(i).copied().flatten()?.to_f64()[0]);
    let lower = limit(1).unwrap_or(f64::NEG_INFINITY);
    let upper = limit(2).unwrap_or(f64::INFINITY);
    gradient::elementwise(inputs, dy, |x| if lower < x && x < upper { 1.0 } else { 0.0 })
}

/// Limits `x`, the upper limit last. Comparisons, because `max` and `min` of floats would drop NaN.
fn clip<T: PartialOrd>(x: T, lower: Option<T>, upper: Option<T>) -> T {
    let x = match lower {
        Some(lower) if x < lower => lower,
        _ => x,
    };
    match upper {
        Some(upper) if x > upper => upper,
        _ => x,
    }
}

/// With constant limits in order.
pub(super) fn forward(_: &Clip, site: &Site<'_>) -> Option<Form> {
    fast::unary(limits(site.input(1), site.input(2))?, site)
}

/// The kernel's form of constant limits, `None` where they are absent or cross.
pub(super) fn limits(lo: Option<&Operand<'_>>, hi: Option<&Operand<'_>>) -> Option<Unary> {
    let limit = |operand: Option<&Operand<'_>>, default: f32| match operand {
        None => Some(default),
        Some(operand) => operand.weights().filter(|w| w.len() == 1).map(|w| w[0]),
    };
    let (lo, hi) = (limit(lo, f32::NEG_INFINITY)?, limit(hi, f32::INFINITY)?);
    (lo <= hi).then_some(Unary::Clip { lo, hi })
}

/// Nothing passes at the limits and beyond.
pub(super) fn backward(_: &Clip, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, limits(site.input(1), site.input(2))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;

    #[test]
    fn an_absent_limit_does_not_limit() {
        let (x, six) = (Tensor::from_f32([3], vec![-9.0, 3.0, 9.0]), Tensor::scalar(6.0));
        let y = reference(&Clip, &[Some(&x), None, Some(&six)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([3], vec![-9.0, 3.0, 6.0])]);
        assert_eq!(reference(&Clip, &[Some(&x)]).unwrap(), [x]);
    }

    #[test]
    fn the_upper_limit_wins() {
        let (x, lower, upper) = (Tensor::scalar(1.0), Tensor::scalar(5.0), Tensor::scalar(2.0));
        assert_eq!(reference(&Clip, &[Some(&x), Some(&lower), Some(&upper)]).unwrap(), [upper]);
    }

    #[test]
    fn codes_are_clipped_as_integers() {
        let scalar = |v| Tensor::new(vec![], v).unwrap();
        let x = Tensor::new(vec![3], Data::U8(vec![0, 9, 255])).unwrap();
        let limits = (scalar(Data::U8(vec![1])), scalar(Data::U8(vec![15])));
        let y = reference(&Clip, &[Some(&x), Some(&limits.0), Some(&limits.1)]).unwrap();
        assert_eq!(y[0].data(), &Data::U8(vec![1, 9, 15]));
        let x = Tensor::new(vec![1], Data::U64(vec![u64::MAX])).unwrap();
        let y = reference(&Clip, &[Some(&x), Some(&scalar(Data::U64(vec![1])))]).unwrap();
        assert_eq!(y, [x]);
    }
}

//! `Pow`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::zip;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Pow;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Pow, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, f64::powf, |base, exponent| match u32::try_from(exponent) {
        Ok(exponent) => base.wrapping_pow(exponent),
        // Negative: a fraction, truncated.
        Err(_) => (base as f64).powf(exponent as f64) as i64,
    })
}

/// Zero where a power does not move: that of 0 with its exponent, that to 0 with its base.
pub(super) fn gradient(
    _: &Pow,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::pairwise(inputs, dy, |base, exponent| {
        let by_base = if exponent == 0.0 { 0.0 } else { exponent * base.powf(exponent - 1.0) };
        let by_exponent = if base == 0.0 && exponent >= 0.0 { 0.0 } else { base.powf(exponent) * base.ln() };
        [by_base, by_exponent]
    })
}

/// To one constant power.
pub(super) fn forward(_: &Pow, site: &Site<'_>) -> Option<Form> {
    let exponents = site.input(1)?.constant?.to_f32();
    let &[exponent] = exponents.as_slice() else { return None };
    if site.data(0)?.ty.shape != site.output.shape {
        return None;
    }
    match exponent {
        2.0 => fast::map(site, |x| x * x),
        3.0 => fast::map(site, |x| x * x * x),
        _ => fast::map(site, move |x| x.powf(exponent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::{DType, Data};

    #[test]
    fn the_base_gives_the_type() {
        let (base, exponent) = (Tensor::from_f32([3], vec![-2.0, 4.0, 9.0]), Tensor::from_i64s(&[3]));
        assert_eq!(
            reference(&Pow, &[Some(&base), Some(&exponent)]).unwrap(),
            [Tensor::from_f32([3], vec![-8.0, 64.0, 729.0])]
        );
        let y = reference(&Pow, &[Some(&exponent), Some(&Tensor::from_f32([2], vec![0.5, 2.0]))]).unwrap();
        assert_eq!(y, [Tensor::from_i64s(&[1, 9])]);
    }

    #[test]
    fn integer_powers_are_exact_and_fractions_truncate() {
        let (base, exponent) = (Tensor::from_i64s(&[3, 2, -1, 1]), Tensor::from_i64s(&[39, -1, -3, -5]));
        let y = reference(&Pow, &[Some(&base), Some(&exponent)]).unwrap();
        assert_eq!(y, [Tensor::from_i64s(&[4_052_555_153_018_976_267, 0, -1, 1])]);
        let narrow = base.cast(DType::I32);
        let y = reference(&Pow, &[Some(&narrow), Some(&Tensor::from_i64s(&[2]))]).unwrap();
        assert_eq!(y[0].data(), &Data::I32(vec![9, 4, 1, 1]));
    }
}

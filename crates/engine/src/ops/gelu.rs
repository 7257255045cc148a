//! `Gelu`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Gelu;
use lowbit_kernels::{Unary, elementwise};
use lowbit_tensor::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

pub(super) fn reference(op: &Gelu, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "X")?;
    let y = match op.tanh {
        true => map("Gelu", x, |x| 0.5 * x * (1.0 + (FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x)).tanh())),
        // Φ(x) by the complement: 1 + erf would cancel far below zero.
        false => map("Gelu", x, |x| 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2)),
    };
    Ok(vec![y?])
}

pub(super) fn gradient(
    op: &Gelu,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let cubic = 0.044715;
    match op.tanh {
        true => gradient::elementwise(inputs, dy, |x| {
            let t = (FRAC_2_PI.sqrt() * (x + cubic * x * x * x)).tanh();
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * FRAC_2_PI.sqrt() * (1.0 + 3.0 * cubic * x * x)
        }),
        // Φ(x) + x·φ(x)
        false => gradient::elementwise(inputs, dy, |x| {
            let density = (-0.5 * x * x).exp() * 0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI;
            0.5 * libm::erfc(-x * FRAC_1_SQRT_2) + x * density
        }),
    }
}

pub(super) fn forward(op: &Gelu, site: &Site<'_>) -> Option<Form> {
    if !op.tanh {
        return fast::unary(Unary::Gelu, site);
    }
    let (isa, layout) = (site.isa, site.data(0)?.layout);
    Some(Form::unary(layout, move |x, y| {
        let factor = FRAC_2_PI.sqrt() as f32;
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = factor * (x + 0.044715 * x * x * x));
        elementwise::unary_in_place(isa, Unary::Tanh, y);
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = 0.5 * x * (1.0 + *y));
    }))
}

pub(super) fn backward(op: &Gelu, site: &Site<'_>) -> Option<Reverse> {
    (!op.tanh).then(|| Reverse::unary(site.isa, Unary::Gelu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_differ_in_the_fourth_digit() {
        let x = Tensor::from_f32([3], vec![-1.0, 0.0, 1.0]);
        for (tanh, expected) in [(false, [-0.158_655, 0.0, 0.841_345]), (true, [-0.158_808, 0.0, 0.841_192])]
        {
            let y = reference(&Gelu { tanh }, &[Some(&x)]).unwrap()[0].to_f32();
            assert!(y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-6), "{y:?}");
        }
    }
}

//! `PRelu`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::zip;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::PRelu;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &PRelu, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(
        op,
        inputs,
        |x, slope| if x < 0.0 { slope * x } else { x },
        |x, slope| if x < 0 { x.wrapping_mul(slope) } else { x },
    )
}

/// At zero that of the negative side.
pub(super) fn gradient(
    _: &PRelu,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::pairwise(inputs, dy, |x, slope| if x > 0.0 { [1.0, 0.0] } else { [slope, x] })
}

/// With slopes that repeat along the data.
pub(super) fn forward(_: &PRelu, site: &Site<'_>) -> Option<Form> {
    fast::onto(site, 0, 1, |y, slopes| {
        for y in y.chunks_mut(slopes.len()) {
            y.iter_mut().zip(slopes).for_each(|(y, slope)| *y = if *y < 0.0 { *y * slope } else { *y });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_slope() {
        let x = Tensor::from_f32([1, 2, 2], vec![-4., 4., -4., 4.]);
        let slope = Tensor::from_f32([2, 1], vec![0.5, 0.25]);
        let y = reference(&PRelu, &[Some(&x), Some(&slope)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 2, 2], vec![-2., 4., -1., 4.])]);
    }
}

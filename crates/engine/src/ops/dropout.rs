//! `Dropout`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{infer, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Dropout;
use lowbit_tensor::{Data, Tensor};

pub(super) fn reference(op: &Dropout, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    infer(op, inputs)?; // refuses training
    let x = required(inputs, 0, "data")?;
    let mask = Tensor::new(x.shape().to_vec(), Data::Bool(vec![true; x.len()]))?;
    Ok(vec![x.clone(), mask])
}

pub(super) fn gradient(
    _: &Dropout,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

pub(super) fn forward(_: &Dropout, site: &Site<'_>) -> Option<Form> {
    fast::map(site, |x| x)
}

pub(super) fn backward(_: &Dropout, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inference_drops_nothing() {
        let x = Tensor::from_f32([2], vec![1., 2.]);
        let mask = Tensor::new(vec![2], Data::Bool(vec![true; 2])).unwrap();
        assert_eq!(reference(&Dropout, &[Some(&x)]).unwrap(), [x, mask]);
    }
}

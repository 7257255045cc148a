//! What the gradients of several operators share.
//!
//! An operator file says how its result changes with its inputs; here that is turned into the gradient of each input:
//! in f64, summed over what broadcasting repeated, rounded once to the input's type. Integers take no gradient.

use super::{broadcast_indices, described, from_f64, required};
use crate::EvalError;
use lowbit_graph::{Op, TensorType, mismatch};
use lowbit_tensor::{Data, Tensor};

/// Of each leading input of an operator, d loss / d input; `None` for zero or where there is none.
pub(in crate::ops) type InputGradients = Vec<Option<Tensor>>;

/// Refuses inputs that do not fit the operator, and gradients that are not of its outputs.
pub(in crate::ops) fn check(
    op: &Op,
    inputs: &[Option<&Tensor>],
    grads: &[Option<&Tensor>],
) -> Result<(), EvalError> {
    let types = super::bounded(op.infer(&described(inputs))?, inputs)?;
    if grads.len() > types.len() {
        return Err(mismatch!("{} gradients for {} outputs", grads.len(), types.len()).into());
    }
    for (i, (ty, grad)) in types.iter().zip(grads).enumerate() {
        let Some(grad) = grad else { continue };
        if !ty.dtype.is_float() {
            return Err(EvalError::NotDifferentiable { op: op.name() });
        }
        if grad.shape() != ty.shape || !grad.dtype().is_float() {
            let (found, expected) = (grad.shape(), &ty.shape);
            let dtype = grad.dtype();
            return Err(mismatch!("gradient {i} is {dtype} {found:?}; it must be float {expected:?}").into());
        }
    }
    Ok(())
}

/// The gradient of input `i`, row-major, in its type.
pub(in crate::ops) fn of(
    inputs: &[Option<&Tensor>],
    i: usize,
    values: Vec<f64>,
) -> Result<Option<Tensor>, EvalError> {
    let x = inputs.get(i).copied().flatten().filter(|x| x.dtype().is_float());
    x.map(|x| from_f64(&TensorType::from(x), values)).transpose()
}

/// Of an operator that keeps each element as it is, in the same order.
pub(in crate::ops) fn passed(inputs: &[Option<&Tensor>], dy: &Tensor) -> Result<InputGradients, EvalError> {
    Ok(vec![of(inputs, 0, dy.to_f64())?])
}

/// Of a function of each element of input 0, from its derivative.
pub(in crate::ops) fn elementwise(
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
    derivative: impl Fn(f64) -> f64,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?.to_f64();
    let dx = x.into_iter().zip(dy.to_f64()).map(|(x, dy)| dy * derivative(x)).collect();
    Ok(vec![of(inputs, 0, dx)?])
}

/// Of a function of two operands that broadcast, from its derivative by each.
pub(in crate::ops) fn pairwise(
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
    derivatives: impl Fn(f64, f64) -> [f64; 2],
) -> Result<InputGradients, EvalError> {
    let (a, b) = (required(inputs, 0, "A")?, required(inputs, 1, "B")?);
    let (x, y) = (a.to_f64(), b.to_f64());
    let (mut dx, mut dy_by_b) = (vec![0.0; x.len()], vec![0.0; y.len()]);
    let pairs = broadcast_indices(a.shape(), dy.shape()).zip(broadcast_indices(b.shape(), dy.shape()));
    for ((i, j), dy) in pairs.zip(dy.to_f64()) {
        let [by_a, by_b] = derivatives(x[i], y[j]);
        dx[i] += dy * by_a;
        dy_by_b[j] += dy * by_b;
    }
    Ok(vec![of(inputs, 0, dx)?, of(inputs, 1, dy_by_b)?])
}

/// What a tensor of shape `to` gets that was broadcast to `shape`: the sum of `values` over its copies.
pub(in crate::ops) fn folded(
    values: impl IntoIterator<Item = f64>,
    shape: &[usize],
    to: &[usize],
) -> Vec<f64> {
    let mut sums = vec![0.0; to.iter().product()];
    broadcast_indices(to, shape).zip(values).for_each(|(i, value)| sums[i] += value);
    sums
}

/// Of inputs 0 and 1 of an operator whose every output sums products of their elements: `visit` calls back with the
/// flat indices (output, input 0, input 1) of each product.
pub(in crate::ops) fn products(
    inputs: &[Option<&Tensor>],
    dy: &[f64],
    visit: impl FnOnce(&mut dyn FnMut(usize, usize, usize)),
) -> Result<InputGradients, EvalError> {
    let (x, w) = (required(inputs, 0, "X")?.to_f64(), required(inputs, 1, "W")?.to_f64());
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    visit(&mut |o, i, j| {
        dx[i] += dy[o] * w[j];
        dw[j] += dy[o] * x[i];
    });
    Ok(vec![of(inputs, 0, dx)?, of(inputs, 1, dw)?])
}

/// Of input 2, a bias per channel (axis 1), if there is one.
pub(in crate::ops) fn bias(inputs: &[Option<&Tensor>], dy: &Tensor) -> Result<Option<Tensor>, EvalError> {
    let channels = [&dy.shape()[1..2], &vec![1; dy.shape().len() - 2]].concat();
    of(inputs, 2, folded(dy.to_f64(), dy.shape(), &channels))
}

/// Of an operator that only moves the elements of the inputs `data`, or repeats and drops some.
///
/// Its plain twin runs on the places of the elements instead of their values; each gradient is added to the place where
/// its element came from. So the backward map cannot differ from the forward one.
pub(in crate::ops) fn moved(
    inputs: &[Option<&Tensor>],
    data: &[usize],
    grads: &[Option<&Tensor>],
    twin: impl FnOnce(&[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError>,
) -> Result<InputGradients, EvalError> {
    let mut next = 1; // place 0 is nowhere: what zeros that a twin fills in come from
    let mut places = vec![None; inputs.len()];
    for (i, x) in inputs.iter().enumerate().filter(|(i, _)| data.contains(i)) {
        let Some(x) = x else { continue };
        let numbers = Data::I64((next..next + x.len() as i64).collect());
        places[i] = Some(Tensor::new(x.shape().to_vec(), numbers)?);
        next += x.len() as i64;
    }
    let replaced: Vec<Option<&Tensor>> =
        places.iter().zip(inputs).map(|(places, x)| places.as_ref().or(*x)).collect();
    let mut sums = vec![0.0; next as usize];
    for (from, dy) in twin(&replaced)?.iter().zip(grads) {
        let Some(dy) = dy else { continue };
        let from = from.to_i64().unwrap_or_default();
        from.into_iter().zip(dy.to_f64()).for_each(|(place, dy)| sums[place as usize] += dy);
    }
    let mut sums = sums.into_iter().skip(1);
    let part = |(i, places): (usize, &Option<Tensor>)| match places {
        Some(places) => of(inputs, i, sums.by_ref().take(places.len()).collect()),
        None => Ok(None),
    };
    places.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_an_element_give_back_the_sum() {
        assert_eq!(folded([1., 2., 3., 4., 5., 6.], &[2, 3], &[2, 1]), [6., 15.]);
        assert_eq!(folded([1., 2., 3., 4., 5., 6.], &[2, 3], &[3]), [5., 7., 9.]);
        assert_eq!(folded([1., 2.], &[2], &[]), [3.]);
    }

    #[test]
    fn each_gradient_returns_to_the_place_its_element_came_from() {
        let (x, dy) = (Tensor::from_f32([3], vec![7.; 3]), Tensor::from_f32([4], vec![1., 2., 4., 8.]));
        let twin = |inputs: &[Option<&Tensor>]| {
            // The last element twice, the first once, and a zero that came from nowhere.
            let x = inputs[0].unwrap().to_i64().unwrap();
            Ok(vec![Tensor::from_i64s(&[x[2], x[0], 0, x[2]])])
        };
        let dx = moved(&[Some(&x), None], &[0], &[Some(&dy)], twin).unwrap();
        assert_eq!(dx, [Some(Tensor::from_f32([3], vec![2., 0., 9.])), None]);
    }

    #[test]
    fn integers_take_no_gradient() {
        let x = Tensor::from_i64s(&[1]);
        assert_eq!(of(&[Some(&x), None], 0, vec![1.0]), Ok(None));
        assert_eq!(of(&[Some(&x), None], 1, vec![1.0]), Ok(None));
    }
}

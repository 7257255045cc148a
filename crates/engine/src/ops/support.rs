//! What several plain twins share: types of the inputs, and elementwise maps over any element type.

pub(super) mod fast;
pub(super) mod gradient;
pub(super) mod index;
pub(super) mod linear;
pub(super) mod moves;
pub(super) mod window;

use crate::EvalError;
use lowbit_graph::{Input, OpSpec, TensorType};
use lowbit_tensor::{Data, Tensor, TensorError};

/// The inputs as a shape rule takes them.
pub(super) fn described<'a>(inputs: &[Option<&'a Tensor>]) -> Vec<Option<Input<'a>>> {
    inputs.iter().map(|t| t.map(|t| Input { ty: TensorType::from(t), value: Some(t) })).collect()
}

/// Output types by the operator's own shape rule.
///
/// Refuses shapes, of inputs and outputs, that twins could not multiply out or allocate: a file may ask for any padding
/// or stride. After this, every product of some extents of one of these shapes is safe.
pub(super) fn infer(op: &impl OpSpec, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, EvalError> {
    bounded(op.infer(&described(inputs))?, inputs)
}

/// The output types of an operator, refused as [`infer`] says.
fn bounded(types: Vec<TensorType>, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, EvalError> {
    let shapes = inputs.iter().flatten().map(|t| t.shape()).chain(types.iter().map(|ty| ty.shape.as_slice()));
    shapes.into_iter().try_for_each(|shape| count(shape).map(drop))?;
    Ok(types)
}

/// Most elements of a tensor that a twin takes or makes: 8 GiB as f64. A system may promise more than it has.
const MOST_ELEMENTS: usize = 1 << 30;

/// Product of `extents`, an axis without cells counting as 1.
///
/// # Errors
/// When it exceeds [`MOST_ELEMENTS`], or f64 elements of that number cannot be allocated.
pub(super) fn count(extents: &[usize]) -> Result<usize, EvalError> {
    let n = extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    let n = n.filter(|&n| n <= MOST_ELEMENTS && Vec::<f64>::new().try_reserve_exact(n).is_ok());
    n.ok_or_else(|| TensorError::TooLarge(extents.to_vec()).into())
}

/// Refuses a tensor that is not of a float type.
pub(super) fn float(op: &'static str, x: &Tensor) -> Result<(), EvalError> {
    if x.dtype().is_float() { Ok(()) } else { Err(EvalError::DType { op, dtype: x.dtype() }) }
}

/// Extents before, at and after an axis, multiplied out: the element at `(o, a, i)` is `(o · n + a) · inner + i`.
pub(super) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Input `i`, required.
pub(super) fn required<'a>(
    inputs: &[Option<&'a Tensor>],
    i: usize,
    name: &'static str,
) -> Result<&'a Tensor, EvalError> {
    inputs.get(i).copied().flatten().ok_or(lowbit_graph::ShapeError::MissingInput(i, name).into())
}

/// Input 0 under the shape that the operator's rule gives it.
pub(super) fn reshaped(op: &impl OpSpec, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let shape = infer(op, inputs)?.remove(0).shape;
    Ok(vec![required(inputs, 0, "data")?.clone().reshape(shape)?])
}

/// A tensor of type `ty` from f64 elements (floats rounded, integers converted).
pub(super) fn from_f64(ty: &TensorType, values: Vec<f64>) -> Result<Tensor, EvalError> {
    Ok(Tensor::new(ty.shape.clone(), Data::F64(values))?.cast(ty.dtype))
}

/// A tensor of integer type `ty` from i64 elements (wrapping).
pub(super) fn from_i64(ty: &TensorType, values: Vec<i64>) -> Result<Tensor, EvalError> {
    Ok(Tensor::new(ty.shape.clone(), Data::I64(values))?.cast(ty.dtype))
}

/// Elementwise map of a float tensor.
pub(super) fn map(op: &'static str, x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor, EvalError> {
    float(op, x)?;
    from_f64(&TensorType::from(x), x.to_f64().into_iter().map(f).collect())
}

/// Index into a tensor of `shape` for each element of its broadcast to `to`, in row-major order.
pub(super) fn broadcast_indices(shape: &[usize], to: &[usize]) -> impl Iterator<Item = usize> {
    // Stride 0 repeats an axis of extent 1 or one that the smaller shape lacks.
    let mut strides = vec![0usize; to.len()];
    let mut stride = 1;
    for (i, &d) in shape.iter().enumerate().rev() {
        strides[to.len() - shape.len() + i] = if d == 1 { 0 } else { stride };
        stride *= d;
    }
    let to = to.to_vec();
    (0..to.iter().product::<usize>()).map(move |mut flat| {
        let mut index = 0;
        for (&d, &s) in to.iter().zip(&strides).rev() {
            index += flat % d * s;
            flat /= d;
        }
        index
    })
}

/// Elementwise operator on two broadcast operands: floats in f64, integers in i64 (wrapping on the way back).
pub(super) fn zip(
    op: &impl OpSpec,
    inputs: &[Option<&Tensor>],
    on_floats: impl Fn(f64, f64) -> f64,
    on_integers: impl Fn(i64, i64) -> i64,
) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (a, b) = (required(inputs, 0, "A")?, required(inputs, 1, "B")?);
    let pairs = || broadcast_indices(a.shape(), &ty.shape).zip(broadcast_indices(b.shape(), &ty.shape));
    let tensor = match (a.to_i64(), b.to_i64()) {
        (Some(x), Some(y)) => from_i64(&ty, pairs().map(|(i, j)| on_integers(x[i], y[j])).collect())?,
        _ => {
            let (x, y) = (a.to_f64(), b.to_f64());
            from_f64(&ty, pairs().map(|(i, j)| on_floats(x[i], y[j])).collect())?
        }
    };
    Ok(vec![tensor])
}

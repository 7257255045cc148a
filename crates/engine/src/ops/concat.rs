//! `Concat`.

use super::support::gradient::{self, InputGradients};
use super::support::{infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Concat;
use lowbit_graph::shape::axis;
use lowbit_tensor::{Data, Tensor};

pub(super) fn reference(op: &Concat, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let axis = axis(op.axis, ty.shape.len())?;
    let outer: usize = ty.shape[..axis].iter().product();
    let mut data = Data::zeros(required(inputs, 0, "inputs")?.dtype(), 0);
    for i in 0..outer {
        for part in inputs.iter().flatten() {
            let run = part.len() / outer;
            data.extend_from(part.data(), i * run..(i + 1) * run);
        }
    }
    Ok(vec![Tensor::new(ty.shape, data)?])
}

pub(super) fn gradient(
    op: &Concat,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let all: Vec<usize> = (0..inputs.len()).collect();
    gradient::moved(inputs, &all, &[Some(dy)], |places| reference(op, places))
}

/// Along the channels of channels-last data, or along any axis of row-major data; constants come as they are.
pub(super) fn forward(op: &Concat, site: &Site<'_>) -> Option<Form> {
    let shape = &site.output.shape;
    let axis = lowbit_graph::shape::axis(op.axis, shape.len()).ok()?;
    let constants: Vec<Option<Vec<f32>>> =
        site.inputs.iter().map(|o| o.as_ref().and_then(|o| o.weights())).collect();
    let channels = axis == 1 && shape.len() >= 3 && constants.iter().all(Option::is_none);
    let layout = if channels { Layout::ChannelsLast } else { Layout::RowMajor };
    let data = |i: &usize| constants[*i].is_none();
    let reads = (0..site.inputs.len())
        .filter(data)
        .map(|i| site.data(i).map(|_| (i, layout)))
        .collect::<Option<_>>()?;
    let run = |extents: &[usize]| if channels { extents[1] } else { extents[axis..].iter().product() };
    let runs: Vec<usize> = site.inputs.iter().flatten().map(|o| run(&o.ty.shape)).collect();
    let row: usize = runs.iter().sum();
    Some(Form {
        reads,
        output: layout,
        scratch: 0,
        run: Box::new(move |x, _, y| {
            let mut first = 0;
            let mut data = x.iter();
            for (constant, &run) in constants.iter().zip(&runs) {
                let part = constant.as_deref().or_else(|| data.next().copied()).unwrap_or(&[]);
                if run > 0 {
                    for (y, part) in y.chunks_mut(row).zip(part.chunks(run)) {
                        y[first..first + run].copy_from_slice(part);
                    }
                }
                first += run;
            }
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_interleave_along_an_inner_axis() {
        let (a, b) = (Tensor::from_f32([2, 2], vec![1., 2., 3., 4.]), Tensor::from_f32([2, 1], vec![5., 6.]));
        let empty = Tensor::from_f32([2, 0], vec![]);
        let y = reference(&Concat { axis: -1 }, &[Some(&a), Some(&empty), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 3], vec![1., 2., 5., 3., 4., 6.])]);
    }
}

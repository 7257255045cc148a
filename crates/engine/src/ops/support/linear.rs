//! A linear layer `y = alpha·x·W + b`, forward and back: what `Gemm` and `MatMul` share.

use super::fast::transposed;
use crate::form::{Form, Layout, Learned, Site};
use crate::gradient::reverse::{Learns, Reverse, Reversible};
use lowbit_kernels::gemm::{Matrix, gemm};
use lowbit_kernels::{PackedLinear, columns};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The layer as the operator stores it.
pub(in crate::ops) struct Linear {
    /// Values of a row of `x`.
    pub(in crate::ops) inputs: usize,
    /// Values of a row of `y`.
    pub(in crate::ops) outputs: usize,
    /// As stored: `[outputs, inputs]` if `transposed`, else `[inputs, outputs]`.
    pub(in crate::ops) weights: Vec<f32>,
    pub(in crate::ops) transposed: bool,
    /// Factor of the product.
    pub(in crate::ops) alpha: f32,
    /// Per output, of the operator and its group.
    pub(in crate::ops) bias: Option<Vec<f32>>,
}

struct Shared {
    layer: Linear,
    packed: PackedLinear,
}

impl Linear {
    /// `[outputs, inputs]`, the factor within.
    fn packed_order(&self) -> Vec<f32> {
        let mut weights = match self.transposed {
            true => self.weights.clone(),
            false => transposed(&self.weights, self.inputs, self.outputs),
        };
        weights.iter_mut().for_each(|w| *w *= self.alpha);
        weights
    }

    /// Packed here, once, with the whole tail fused.
    pub(in crate::ops) fn forward(self, site: &Site<'_>) -> Option<Form> {
        let packed = self.packed(site)?;
        let tail = site.tail;
        Some(Form {
            reads: vec![(0, Layout::RowMajor)],
            output: Layout::RowMajor,
            scratch: 0,
            run: Box::new(move |inputs, _, y| packed.run(inputs[0], &tail.epilogue(inputs), y)),
        })
    }

    fn packed(&self, site: &Site<'_>) -> Option<PackedLinear> {
        let bias = self.bias.as_deref();
        PackedLinear::new(site.isa, self.inputs, self.outputs, &self.packed_order(), bias).ok()
    }

    /// Both ways; rows of `x` are its last axis.
    pub(in crate::ops) fn reversible(self, site: &Site<'_>) -> Option<Reversible> {
        if site.learned.contains(&Learned::Input(2)) && site.bias.is_some() {
            return None;
        }
        let (isa, tail, learned) = (site.isa, site.tail, site.learned.clone());
        let lens = learned.iter().map(|learned| match learned {
            Learned::Input(1) => self.weights.len(),
            _ => self.outputs,
        });
        let lens = lens.collect();
        let packed = self.packed(site)?;
        let shared = Arc::new(RwLock::new(Shared { layer: self, packed }));
        let (run, reverse, update) = (shared.clone(), shared.clone(), shared);
        let parameters = learned.clone();
        Some(Reversible {
            form: Form {
                reads: vec![(0, Layout::RowMajor)],
                output: Layout::RowMajor,
                scratch: 0,
                run: Box::new(move |inputs, _, y| {
                    read(&run).packed.run(inputs[0], &tail.epilogue(inputs), y);
                }),
            },
            reverse: Reverse::new(move |pull| {
                pull.through_tail(isa, &tail);
                let layer = &read(&reverse).layer;
                let (x, dy) = (pull.inputs[0], &*pull.grad);
                let (k, n, rows) = (layer.inputs, layer.outputs, dy.len() / layer.outputs);
                for (learned, gradient) in learned.iter().zip(&mut *pull.parameters) {
                    match learned {
                        Learned::Input(1) if layer.transposed => {
                            let (a, b) = (Matrix::transposed(dy), Matrix::new(x));
                            gemm([n, k, rows], layer.alpha, a, b, 1.0, gradient);
                        }
                        Learned::Input(1) => {
                            let (a, b) = (Matrix::transposed(x), Matrix::new(dy));
                            gemm([k, n, rows], layer.alpha, a, b, 1.0, gradient);
                        }
                        _ => columns::add_sums(isa, dy, gradient),
                    }
                }
                if let Some(Some(sink)) = pull.sinks.first_mut() {
                    let w = match layer.transposed {
                        true => Matrix::new(&layer.weights),
                        false => Matrix::transposed(&layer.weights),
                    };
                    let beta = if sink.add { 1.0 } else { 0.0 };
                    gemm([rows, k, n], layer.alpha, Matrix::new(dy), w, beta, sink.grad);
                }
            }),
            learns: Some(Learns::plainly(lens, move |nth, values| {
                let shared = &mut *update.write().unwrap_or_else(PoisonError::into_inner);
                match parameters[nth] {
                    Learned::Input(1) => shared.layer.weights.copy_from_slice(values),
                    _ => shared.layer.bias = Some(values.to_vec()),
                }
                let set =
                    shared.packed.set_weights(&shared.layer.packed_order(), shared.layer.bias.as_deref());
                set.expect("parameters keep their length");
            })),
        })
    }
}

fn read(shared: &RwLock<Shared>) -> RwLockReadGuard<'_, Shared> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

//! What a layer reads on calibration samples, kept as far as output errors need it: the second moments of its patches.
//!
//! A patch `x` is what one output element multiplies by the weights of its channel, `d` values. An error `δ` of those
//! weights makes a mean square output error of `δᵀ M δ` with `M` the mean of `x xᵀ`, whatever the number of patches. Of
//! large pictures a spread of positions is taken, as neighbouring patches say the same. Where there are fewer patches than
//! `d` (the wide products behind a flattened picture), the patches themselves are less to keep than `M`, and are kept.

use crate::method::MethodError;
use crate::run::Samples;
use crate::site::WeightSite;
use lowbit_engine::{Layout, Network, View};
use lowbit_graph::ops::Resolved;
use lowbit_graph::{Graph, Op, TensorType, ValueId};
use lowbit_kernels::gemm::{Matrix, gemm};
use lowbit_tensor::Tensor;
use rayon::prelude::*;

/// Patches taken of one sample, at most.
const PER_SAMPLE: usize = 64;
/// Numbers of one layer's patches, at most: 128 MiB. Bounds what is kept of it, too.
const NUMBERS: usize = 32 << 20;
/// Numbers of all layers' patches in one batch, about.
const BATCH_NUMBERS: usize = 16 << 20;
/// Samples of a batch, at most.
const BATCH: usize = 32;

/// How a layer's input is cut into patches.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// The layer's data input.
    pub value: ValueId,
    /// Groups of output channels that read the same part of a patch.
    pub groups: usize,
    /// Values that one output channel reads.
    pub len: usize,
    shape: Vec<usize>,
    /// Rows of the input that one sample makes.
    rows: usize,
    form: Form,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// Windows over the axes after the channels.
    Windows(Resolved),
    /// Rows along the last axis.
    Rows,
}

impl Cut {
    /// The patches of the layer of a weight; `None` where its output is no product of patches with rows or columns of
    /// the weight (transposed convolutions, stacks of matrices). `types` are those of one sample.
    pub fn new(graph: &Graph, types: &[Option<TensorType>], site: &WeightSite) -> Option<Cut> {
        let node = &graph.nodes[site.node.0];
        let value = node.input(0)?;
        let shape = types[value.0].as_ref()?.shape.clone();
        let rows = (shape[0] / rows_at_once(graph, types)).max(1);
        let weight = graph.constant(site.value)?.shape();
        let axis = site.channel_axis?;
        match &node.op {
            Op::Conv(op) if site.input == 1 && axis == 0 => {
                let form = Form::Windows(op.resolve(&shape, weight).ok()?);
                let len = weight[1..].iter().product();
                Some(Cut { value, groups: op.group, len, shape, rows, form })
            }
            Op::Gemm(_) | Op::MatMul(_) if site.input == 1 && weight.len() == 2 && shape.len() >= 2 => {
                let len = weight[1 - axis];
                (shape.last() == Some(&len)).then_some(Cut {
                    value,
                    groups: 1,
                    len,
                    shape,
                    rows,
                    form: Form::Rows,
                })
            }
            _ => None,
        }
    }

    /// Patches of one row of the batch.
    fn positions(&self) -> usize {
        match &self.form {
            Form::Windows(window) => window.output.iter().product(),
            Form::Rows => self.shape[1..self.shape.len() - 1].iter().product(),
        }
    }

    /// Patches taken of each row, if there are `samples` samples.
    fn taken(&self, samples: usize) -> usize {
        let rows = samples * self.rows;
        (NUMBERS / (self.groups * self.len).max(1) / rows.max(1)).clamp(1, PER_SAMPLE).min(self.positions())
    }

    /// Bytes that second moments of `samples` samples take.
    pub fn bytes(&self, samples: usize) -> usize {
        let rows = samples * self.rows * self.taken(samples);
        self.groups * self.len * if rows < self.len { 4 * rows } else { 8 * self.len }
    }

    /// Appends patch `position` of row `n`: `[group][value]`.
    fn patch(&self, view: &View<'_>, n: usize, position: usize, into: &mut Vec<f32>) {
        let inner: usize = self.shape[2..].iter().product();
        let channels = self.shape[1];
        let at = |c: usize, s: usize| match view.layout {
            Layout::RowMajor => view.data[(n * channels + c) * inner + s],
            Layout::ChannelsLast => view.data[(n * inner + s) * channels + c],
        };
        match &self.form {
            Form::Rows => {
                let first = position * self.len;
                into.extend((first..first + self.len).map(|i| at(i / inner, i % inner)));
            }
            Form::Windows(window) => {
                let taps: usize = window.kernel.iter().product();
                let start = into.len();
                into.resize(start + channels * taps, 0.0);
                for tap in 0..taps {
                    // What lies in the padding stays zero.
                    let Some(s) = cell(window, &self.shape[2..], position, tap) else { continue };
                    for c in 0..channels {
                        into[start + c * taps + tap] = at(c, s);
                    }
                }
            }
        }
    }
}

/// Index among the cells of an input of `extents` that `tap` reads at an output `position`; `None` in the padding.
fn cell(window: &Resolved, extents: &[usize], mut position: usize, mut tap: usize) -> Option<usize> {
    let (mut index, mut stride) = (0, 1);
    for axis in (0..extents.len()).rev() {
        let (o, k) = (position % window.output[axis], tap % window.kernel[axis]);
        (position, tap) = (position / window.output[axis], tap / window.kernel[axis]);
        let at = (o * window.strides[axis] + k * window.dilations[axis]).checked_sub(window.begins[axis])?;
        if at >= extents[axis] {
            return None;
        }
        index += at * stride;
        stride *= extents[axis];
    }
    Some(index)
}

/// `taken` of `positions`, spread evenly, each somewhere in its stretch as `seed` and `row` say.
fn picks(positions: usize, taken: usize, seed: u64, row: usize) -> impl Iterator<Item = usize> {
    (0..taken).map(move |i| {
        // One number of a SplitMix64 stream per pick: any thread finds the same.
        let mut x = seed.wrapping_add((row * taken + i) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let [start, end] = [i, i + 1].map(|i| i * positions / taken);
        start + (x >> 33) as usize % (end - start)
    })
}

/// What is kept of a layer's patches.
#[derive(Debug)]
pub struct Inputs {
    groups: Vec<Group>,
    /// Sum of the patches, `[group][value]`.
    sums: Vec<f64>,
    len: usize,
    patches: usize,
}

#[derive(Debug)]
enum Group {
    /// Sum of `x xᵀ`, `[len, len]`.
    Squares(Vec<f64>),
    /// The patches, `[patches, len]`.
    Patches(Vec<f32>),
}

impl Inputs {
    fn new(cut: &Cut, samples: usize) -> Inputs {
        let patches = samples * cut.rows * cut.taken(samples);
        let group = || match patches < cut.len {
            true => Group::Patches(Vec::new()),
            false => Group::Squares(vec![0.0; cut.len * cut.len]),
        };
        Inputs {
            groups: (0..cut.groups).map(|_| group()).collect(),
            sums: vec![0.0; cut.groups * cut.len],
            len: cut.len,
            patches: 0,
        }
    }

    /// Adds patches, `[patch][group][value]`.
    fn add(&mut self, patches: &[f32]) {
        let (len, groups) = (self.len, self.groups.len());
        let n = patches.len() / (len * groups).max(1);
        self.patches += n;
        for patch in patches.chunks_exact(len * groups) {
            self.sums.iter_mut().zip(patch).for_each(|(s, x)| *s += f64::from(*x));
        }
        let (mut rows, mut product) = (Vec::new(), Vec::new());
        for (g, group) in self.groups.iter_mut().enumerate() {
            let own = patches.chunks_exact(len * groups).map(|patch| &patch[g * len..(g + 1) * len]);
            match group {
                Group::Patches(all) => own.for_each(|patch| all.extend_from_slice(patch)),
                Group::Squares(sum) => {
                    rows.clear();
                    own.for_each(|patch| rows.extend_from_slice(patch));
                    product.resize(len * len, 0.0);
                    let (a, b) = (Matrix::transposed(&rows), Matrix::new(&rows));
                    gemm([len, len, n], 1.0, a, b, 0.0, &mut product);
                    sum.iter_mut().zip(&product).for_each(|(s, p)| *s += f64::from(*p));
                }
            }
        }
    }

    /// Mean square of `δ·x` over the patches that `group` reads: the output error that a weight error `δ` makes.
    pub fn mean_square(&self, group: usize, error: &[f64]) -> f64 {
        let sum: f64 = match &self.groups[group] {
            Group::Patches(patches) => {
                let dot = |x: &[f32]| x.iter().zip(error).map(|(x, e)| f64::from(*x) * e).sum::<f64>();
                patches.chunks_exact(self.len).map(|x| dot(x).powi(2)).sum()
            }
            Group::Squares(squares) => {
                let mut product = vec![0.0; self.len];
                for (row, e) in squares.chunks_exact(self.len).zip(error) {
                    product.iter_mut().zip(row).for_each(|(p, m)| *p += e * m);
                }
                product.iter().zip(error).map(|(p, e)| p * e).sum()
            }
        };
        // Rounding may leave a little less than nothing.
        sum.max(0.0) / self.patches.max(1) as f64
    }

    /// Variance of `δ·x` over the same patches: the output error that is left once its mean is in the bias.
    pub fn variance(&self, group: usize, error: &[f64]) -> f64 {
        let sums = &self.sums[group * self.len..][..self.len];
        let mean = sums.iter().zip(error).map(|(s, e)| s * e).sum::<f64>() / self.patches.max(1) as f64;
        (self.mean_square(group, error) - mean * mean).max(0.0)
    }
}

/// Samples that the network takes at once where its file fixes that, else 1. `types` are those of one sample.
pub fn rows_at_once(graph: &Graph, types: &[Option<TensorType>]) -> usize {
    let input = graph.inputs.first().and_then(|id| types[id.0].as_ref());
    input.and_then(|ty| ty.shape.first()).map_or(1, |&n| n.max(1))
}

/// Runs the float network over the first `count` samples, a multiple of `multiple`, and keeps what the layers of `cuts`
/// read, in their order.
///
/// # Errors
/// When the network cannot be run or samples cannot be read.
pub fn collect(
    graph: &Graph,
    cuts: &[Cut],
    samples: &Samples,
    count: usize,
    multiple: usize,
    seed: u64,
) -> Result<Vec<Inputs>, MethodError> {
    let mut taps: Vec<ValueId> = cuts.iter().map(|cut| cut.value).collect();
    taps.sort_unstable();
    taps.dedup();
    let network = Network::with_taps(graph, &taps)?;
    let mut inputs: Vec<Inputs> = cuts.iter().map(|cut| Inputs::new(cut, count)).collect();
    let per_sample: usize = cuts.iter().map(|c| c.rows * c.taken(count) * c.groups * c.len).sum();
    let batch = (BATCH_NUMBERS / per_sample.max(1)).clamp(1, BATCH).next_multiple_of(multiple);
    let len = samples.inputs.row_len();
    for start in (0..count).step_by(batch) {
        let rows = start..(start + batch).min(count);
        let mut values = vec![0.0; rows.len() * len];
        samples.inputs.read(rows.clone(), &mut values)?;
        let shape: Vec<usize> = std::iter::once(rows.len()).chain(samples.shape.iter().copied()).collect();
        let (_, chunks) = network.observe(&[Tensor::from_f32(shape, values)], |views, chunk| {
            let of = |cut: &Cut| {
                let view = &views[taps.binary_search(&cut.value).expect("every input is tapped")];
                let (positions, taken) = (cut.positions(), cut.taken(count));
                let mut patches = Vec::with_capacity(view.shape[0] * taken * cut.groups * cut.len);
                for n in 0..view.shape[0] {
                    let row = start + chunk.start + n;
                    picks(positions, taken, seed, row).for_each(|p| cut.patch(view, n, p, &mut patches));
                }
                patches
            };
            cuts.iter().map(of).collect::<Vec<_>>()
        })?;
        for chunk in chunks {
            inputs.par_iter_mut().zip(chunk).for_each(|(inputs, patches)| inputs.add(&patches));
        }
    }
    Ok(inputs)
}

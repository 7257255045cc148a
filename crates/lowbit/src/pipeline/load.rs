//! Reading: a network file, and the samples that fit it.

use std::fmt::Display;

use anyhow::{Context, Result, anyhow, bail};
use lowbit_data::{Batch, Batches, Dataset, Options, Preprocess};
use lowbit_engine::{bindings, evaluate_for_pass};
use lowbit_graph::ops::Cast;
use lowbit_graph::passes::{prepare, prepare_to_train, specialize};
use lowbit_graph::{Dim, Graph, Node, Op, TensorType, Value, ValueId};
use lowbit_onnx::{ReadOptions, check_finite};
use lowbit_quantize::report::Model;
use lowbit_tensor::{DType, Data, Tensor};

use crate::blame::{Blame, Given};
use crate::{DataSource, ModelSource};

/// Samples per batch: enough to fill the threads, little enough to stream.
pub(super) const BATCH: usize = 128;

/// A network ready for work.
pub(super) struct Loaded {
    /// Prepared: folded, fused, checked.
    pub(super) graph: Graph,
    /// Where the file's input is of integers (indices of tables): the edge that holds them, behind the input of floats that
    /// samples are fed to.
    pub(super) integers: Option<ValueId>,
    /// Types at a batch of one.
    pub(super) types: Vec<Option<TensorType>>,
    /// Whether the file itself holds quantized edges or weights.
    pub(super) quantized: bool,
    /// Size of the file in bytes.
    pub(super) file_bytes: u64,
}

/// Reads and prepares a network.
pub(super) fn network(model: impl Into<ModelSource>) -> Result<Loaded> {
    let model = model.into();
    let prepared = |(graph, file_bytes)| loaded(graph, file_bytes).with_context(|| unusable(&model));
    file(&model).and_then(prepared).blame(Given::Model)
}

/// A network as training wants it, with batch normalization where the file has it, and as inference does.
pub(super) fn network_to_train(model: &ModelSource) -> Result<(Graph, Loaded)> {
    let prepared = |(graph, file_bytes)| -> Result<_> {
        let graph = prepare_to_train(graph, &evaluate_for_pass)?;
        let folded = loaded(graph.clone(), file_bytes)?;
        Ok((graph, folded))
    };
    let read = |read| prepared(read).with_context(|| unusable(model));
    let (graph, folded) = file(model).and_then(read).blame(Given::Model)?;
    if let Some(integers) = folded.integers {
        let name = &folded.graph.value(integers).name;
        return Err(anyhow!("{model}: input `{name}` takes integers; training takes samples of floats"))
            .blame(Given::Model);
    }
    Ok((graph, folded))
}

/// The graph of a file as it is there, and the file's size in bytes.
fn file(model: &ModelSource) -> Result<(Graph, u64)> {
    Ok((model.read(ReadOptions { finite: true })?, model.len()?))
}

fn unusable(model: &ModelSource) -> String {
    format!("cannot use the network {model}")
}

/// The same from bytes in memory.
pub(super) fn network_bytes(bytes: &[u8]) -> Result<Loaded> {
    loaded(lowbit_onnx::read_bytes(bytes, None)?, bytes.len() as u64)
}

/// Prepares a graph.
pub(super) fn loaded(mut graph: Graph, file_bytes: u64) -> Result<Loaded> {
    let integers = take_floats(&mut graph);
    let quantized =
        graph.nodes.iter().any(|n| matches!(n.op.name(), "QuantizeLinear" | "DequantizeLinear" | "IntQuant"));
    let graph = prepare(graph, &evaluate_for_pass)?;
    // Folding can make what no file holds: a batch norm over a negative variance, a division by zero.
    check_finite(&graph)?;
    let (_, types) = specialize(&graph, &bindings(&graph, 1), &evaluate_for_pass)?;
    Ok(Loaded { graph, integers, types, quantized, file_bytes })
}

/// Samples are float32. Where a network's one input is of integers, it is made an edge behind a cast of a float input, and
/// returned; [`give_integers`] is the way back.
pub(super) fn take_floats(graph: &mut Graph) -> Option<ValueId> {
    let [integers] = graph.inputs[..] else { return None };
    let Value { name, dtype, shape, .. } = graph.value(integers).clone();
    let to = dtype.filter(|dtype| matches!(dtype, DType::I64 | DType::I32))?;
    graph.inputs.clear();
    let floats =
        graph.add_input(graph.fresh_name(&format!("{name}.floats")), DType::F32, shape.unwrap_or_default());
    let cast = Node {
        name: graph.fresh_name(&format!("{name}.integers")),
        op: Op::Cast(Cast { to }),
        inputs: vec![Some(floats)],
        outputs: vec![integers],
    };
    graph.nodes.insert(0, cast);
    Some(integers)
}

/// Feeds `integers` again from outside, as the file that the graph came from says.
pub(super) fn give_integers(graph: &mut Graph, integers: Option<ValueId>) {
    if let Some(integers) = integers {
        graph.nodes.retain(|node| node.outputs != [integers]);
        graph.inputs = vec![integers];
    }
}

impl Loaded {
    /// Refuses a network that has few bits already; `doing` is what the float one is for, as in "quantize".
    pub(super) fn expect_float(&self, model: &dyn Display, doing: &str) -> Result<()> {
        if !self.quantized {
            return Ok(());
        }
        Err(anyhow!("{model} is quantized already; {doing} the float network it was made from"))
            .blame(Given::Model)
    }

    /// Values of `count` samples to time or try the network with: between −2 and 2, always the same.
    pub(super) fn made_up(&self, count: usize) -> Result<Vec<f32>> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let values = (0..count * self.sample_shape()?.iter().product::<usize>()).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 22) as f32 - 2.0
        });
        Ok(values.collect())
    }

    /// The same with another graph, in which ids mean what they meant.
    pub(super) fn with_graph(&self, graph: Graph) -> Result<Loaded> {
        let (_, types) = specialize(&graph, &bindings(&graph, 1), &evaluate_for_pass)?;
        Ok(Loaded { graph, types, ..*self })
    }

    /// The network as reports describe it.
    pub(super) fn summary(&self, model: impl Into<ModelSource>) -> Model {
        let graph = &self.graph;
        let describe = |id: &ValueId| {
            let value = graph.value(*id);
            let ty = self.types[id.0].as_ref();
            let dims: Vec<String> = match (&value.shape, ty) {
                (Some(dims), _) => dims.iter().map(dim_text).collect(),
                (None, Some(ty)) => ty.shape.iter().map(usize::to_string).collect(),
                (None, None) => Vec::new(),
            };
            let dtype = ty.map_or(String::new(), |t| t.dtype.to_string());
            format!("{}: {dtype}[{}]", value.name, dims.join(","))
        };
        let mut constants: Vec<_> =
            graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten().copied()).collect();
        constants.sort_unstable();
        constants.dedup();
        let floats = constants.iter().filter_map(|&id| graph.constant(id)).filter(|t| t.dtype().is_float());
        let nodes = (0..graph.nodes.len()).map(lowbit_graph::NodeId);
        Model {
            name: model.into().stem().unwrap_or_else(|| graph.name.clone()),
            inputs: match &self.integers {
                Some(integers) => vec![describe(integers)],
                None => graph.inputs.iter().map(describe).collect(),
            },
            outputs: graph.outputs.iter().map(describe).collect(),
            parameters: floats.map(|t| t.len() as u64).sum(),
            macs: nodes.map(|n| lowbit_quantize::describe::macs(graph, &self.types, n)).sum(),
            file_bytes: self.file_bytes,
            nodes: graph.nodes.len() - usize::from(self.integers.is_some()),
        }
    }

    /// Shape of one sample, and of the first output without its batch axis.
    pub(super) fn sample_shape(&self) -> Result<Vec<usize>> {
        let [input] = self.graph.inputs[..] else {
            bail!("the network has {} inputs; samples can feed exactly one", self.graph.inputs.len());
        };
        let ty = self.types[input.0].as_ref().context("the input has no type")?;
        if ty.dtype != DType::F32 {
            bail!("input `{}` is {}; samples are float32", self.graph.value(input).name, ty.dtype);
        }
        Ok(ty.shape.get(1..).unwrap_or_default().to_vec())
    }

    /// Number of classes (elements of the first output per sample).
    pub(super) fn classes(&self) -> usize {
        let output = self.graph.outputs.first().and_then(|o| self.types[o.0].as_ref());
        output.map_or(0, |t| t.shape.iter().skip(1).product())
    }
}

fn dim_text(dim: &Dim) -> String {
    match dim {
        Dim::Known(d) => d.to_string(),
        Dim::Symbol(s) => s.clone(),
    }
}

/// Samples that fit a network.
pub(super) struct Samples {
    pub(super) dataset: Dataset,
    pub(super) options: Options,
    /// What was assumed where the user said nothing.
    pub(super) assumed: Option<String>,
}

/// Which samples, and how they are read.
pub(super) struct Wanted<'a> {
    pub(super) preprocess: Option<&'a str>,
    pub(super) skip: usize,
    pub(super) limit: Option<usize>,
    pub(super) seed: u64,
}

/// Opens samples for a network; `labelled` checks the labels against its classes.
pub(super) fn samples(
    data: impl Into<DataSource>,
    network: &Loaded,
    wanted: &Wanted<'_>,
    labelled: bool,
) -> Result<Samples> {
    fitting(&data.into(), network, wanted, labelled).blame(Given::Data)
}

fn fitting(data: &DataSource, network: &Loaded, wanted: &Wanted<'_>, labelled: bool) -> Result<Samples> {
    let dataset = data.open()?;
    let expected = network.sample_shape().blame(Given::Model)?;
    if network.classes() == 0 {
        return Err(anyhow!("the network gives no values per sample")).blame(Given::Model);
    }
    let (preprocess, assumed) = match wanted.preprocess {
        Some(name) => (Preprocess::load(name).blame(Given::Recipe)?, None),
        // Arrays of floats hold preprocessed values; what the network records is for pictures.
        None => match network.graph.metadata.get("lowbit.preprocess").filter(|_| dataset.holds_images()) {
            Some(text) => (Preprocess::from_toml(text).context("preprocessing stored in the network")?, None),
            None => assumed_preprocess(&dataset, &expected)?,
        },
    };
    let threads = rayon::current_num_threads();
    let options = Options { preprocess, skip: wanted.skip, limit: wanted.limit, seed: wanted.seed, threads };
    let found = dataset.sample_shape(&options.preprocess)?;
    if found != expected && !(found == [1] && expected.is_empty()) {
        bail!(
            "{data}: samples are {found:?} after preprocessing; the network takes {expected:?} (choose with --preprocess)"
        );
    }
    if labelled && dataset.has_labels() {
        dataset.check_classes(network.classes())?;
    }
    Ok(Samples { dataset, options, assumed })
}

/// Values as stored where they fit; else, for pictures, the usual normalisation at the network's size.
fn assumed_preprocess(dataset: &Dataset, expected: &[usize]) -> Result<(Preprocess, Option<String>)> {
    let stored = Preprocess::default();
    let images = dataset.holds_images();
    if !images && dataset.sample_shape(&stored).is_ok_and(|shape| shape == expected) {
        return Ok((stored, None));
    }
    let assumed = match *expected {
        [3, 224, 224] => ("imagenet", Preprocess::preset("imagenet")?),
        [3, h, w] => (
            "imagenet normalisation at the network's size",
            Preprocess {
                resize: Some(lowbit_data::Resize::Exact([h, w])),
                ..Preprocess::preset("imagenet-no-resize")?
            },
        ),
        [1, h, w] => (
            "mnist normalisation at the network's size",
            Preprocess { resize: Some(lowbit_data::Resize::Exact([h, w])), ..Preprocess::preset("mnist")? },
        ),
        _ => return Ok((stored, None)),
    };
    let note = format!("no preprocessing was named: assumed {}; say --preprocess to choose", assumed.0);
    Ok((assumed.1, Some(note)))
}

impl Samples {
    /// Starts reading.
    pub(super) fn batches(&self) -> Result<Batches> {
        Ok(self.dataset.batches(&self.options, BATCH)?)
    }
}

/// Whole numbers below this one are floats exactly.
const LARGEST_WHOLE: f32 = 16_777_216.0;

/// The input tensor of a batch for a network: floats in any case, which hold whole numbers where the file takes integers.
pub(super) fn input(batch: &mut Batch, network: &Loaded) -> Result<Tensor> {
    if let Some(integers) = network.integers {
        let whole = |x: &f32| x.fract() == 0.0 && x.abs() < LARGEST_WHOLE;
        if let Some(at) = batch.x.iter().position(|x| !whole(x)) {
            let per_sample = (batch.x.len() / batch.samples.len().max(1)).max(1);
            bail!(
                "sample {}: {} at {} of input `{}`, which takes whole numbers below {LARGEST_WHOLE}",
                batch.samples[at / per_sample],
                batch.x[at],
                at % per_sample,
                network.graph.value(integers).name
            );
        }
    }
    // Arrays hold at least one number per sample; a network may take it without an axis.
    let shape = std::iter::once(batch.samples.len()).chain(network.sample_shape()?).collect::<Vec<_>>();
    Ok(Tensor::new(shape, Data::F32(std::mem::take(&mut batch.x)))?)
}

/// Runs `work` on a pool of that many threads.
pub(super) fn with_threads<T: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?;
    pool.install(work)
}

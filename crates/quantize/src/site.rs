//! Where fewer bits are possible: the weights and the edges that a target holds in integers.
//!
//! The simulated network quantizes exactly these, no more and no fewer, so that its accuracy is the deployed one.

use crate::report::KeptFloat;
use crate::target::Target;
use lowbit_graph::passes::groups;
use lowbit_graph::{Graph, Node, NodeId, Op, Role, TensorType, ValueId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A trained multiplier of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSite {
    /// Name of the layer's node.
    pub name: String,
    /// The layer.
    pub node: NodeId,
    /// Which input of the node the weight is.
    pub input: usize,
    /// The constant.
    pub value: ValueId,
    /// Axis of output channels; `None` for a vector, whose one axis is summed over: it has one scale.
    pub channel_axis: Option<usize>,
    /// Activation site of the layer's data input.
    pub reads: Option<usize>,
    /// Whether no weight lies before it, or none after it.
    pub first_or_last: bool,
}

/// An edge that carries integers.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationSite {
    /// Name of the edge.
    pub name: String,
    /// The edge.
    pub value: ValueId,
    /// Number of axes; channels are axis 1 where there are two or more.
    pub rank: usize,
    /// The value before the ReLU or clip that produces this edge, where the target folds that into the rounding.
    pub before_activation: Option<ValueId>,
    /// Bounds that the activation puts on the edge.
    pub bounds: [f32; 2],
    /// Whether a layer with weights (or a product of two activations) reads it; other edges only carry sums and pools.
    pub feeds_product: bool,
    /// Whether a first or last layer reads it.
    pub feeds_first_or_last: bool,
    /// Whether it is the output of a first layer, with its activation.
    pub leaves_first: bool,
    /// The site whose scale and zero point it must share, being a rearrangement of it.
    pub follows: Option<usize>,
    /// Whether only products read it rounded: sums and pools read what it was before.
    pub products_only: bool,
}

/// All sites of a network for a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sites {
    /// Weights in network order.
    pub weights: Vec<WeightSite>,
    /// Edges in network order.
    pub activations: Vec<ActivationSite>,
    /// Nodes with arithmetic that stay in float, and why.
    pub kept_float: Vec<KeptFloat>,
}

impl ActivationSite {
    /// Makes `rounded` what the readers of this edge read that read it rounded.
    pub fn replace(&self, graph: &mut Graph, rounded: ValueId) {
        if !self.products_only {
            return graph.replace_uses(self.value, rounded);
        }
        for node in graph.nodes.iter_mut().filter(|node| is_product(node)) {
            let data = node.inputs.iter_mut().filter(|input| **input == Some(self.value));
            data.for_each(|input| *input = Some(rounded));
        }
    }
}

/// Whether a node multiplies and sums.
fn is_product(node: &Node) -> bool {
    matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul(_))
}

impl Sites {
    /// The activation site of an edge.
    pub fn of_value(&self, value: ValueId) -> Option<usize> {
        self.activations.iter().position(|site| site.value == value)
    }

    /// The site whose setting counts for site `i`: itself, or the one it follows.
    pub fn root(&self, mut i: usize) -> usize {
        while let Some(next) = self.activations[i].follows {
            i = next;
        }
        i
    }
}

/// Finds the sites of a prepared graph; `types` are those at any batch size.
pub fn find(graph: &Graph, types: &[Option<TensorType>], target: &Target) -> Sites {
    Finder::new(graph, types, target).run()
}

struct Finder<'a> {
    graph: &'a Graph,
    types: &'a [Option<TensorType>],
    target: &'a Target,
    /// Activation that follows a value and is folded into the rounding: value before → (node, value after, bounds).
    folded: HashMap<ValueId, (NodeId, ValueId, [f32; 2])>,
    /// Adds computed in the accumulator of the layer before.
    absorbed: HashSet<NodeId>,
    /// End of the fused part of an anchor, where it is not the anchor's own output.
    fused_output: HashMap<NodeId, ValueId>,
}

impl<'a> Finder<'a> {
    fn new(graph: &'a Graph, types: &'a [Option<TensorType>], target: &'a Target) -> Self {
        let mut finder = Finder {
            graph,
            types,
            target,
            folded: HashMap::new(),
            absorbed: HashSet::new(),
            fused_output: HashMap::new(),
        };
        let consumers = graph.consumers();
        for (n, node) in graph.nodes.iter().enumerate() {
            let Some(bounds) = bounds_of(graph, node) else { continue };
            let Some(before) = node.input(0) else { continue };
            // A target that runs the activation itself on integers needs the edge before it.
            if target.integer_ops.contains(node.op.name()) {
                continue;
            }
            let alone =
                consumers.get(&before).is_some_and(|c| c.len() == 1) && !graph.outputs.contains(&before);
            if alone {
                finder.folded.insert(before, (NodeId(n), node.outputs[0], bounds));
            }
        }
        if target.fused_residual {
            for group in groups(graph) {
                if let Some(add) = group.add.filter(|add| !finder.absorbed.contains(add)) {
                    finder.absorbed.insert(add);
                    finder.fused_output.insert(group.anchor, graph.nodes[add.0].outputs[0]);
                }
            }
        }
        finder
    }

    fn run(self) -> Sites {
        let mut sites = Sites::default();
        // Value → facts about how integer layers use it.
        let mut wanted: BTreeMap<ValueId, (bool, bool)> = BTreeMap::new();
        let depth = self.depths();
        let mut layers: Vec<(NodeId, Vec<ValueId>)> = Vec::new();
        for (n, node) in
            self.graph.nodes.iter().enumerate().filter(|(n, _)| !self.absorbed.contains(&NodeId(*n)))
        {
            match self.integer(node) {
                Ok(inputs) => layers.push((NodeId(n), inputs)),
                Err(Some(reason)) => sites.kept_float.push(KeptFloat {
                    node: node.name.clone(),
                    op: node.op.name().to_owned(),
                    reason,
                }),
                Err(None) => {}
            }
        }
        let (mut weights, mut first_outputs) = (Vec::new(), HashSet::new());
        for (n, inputs) in &layers {
            let node = &self.graph.nodes[n.0];
            let product = is_product(node);
            let [before, after] = depth[n.0];
            let first_or_last = product && (before == 0 || after == 0);
            for &value in inputs {
                let facts = wanted.entry(value).or_default();
                facts.0 |= product;
                facts.1 |= first_or_last;
            }
            for (i, value) in node.inputs.iter().enumerate() {
                let (Some(value), Role::Weight { channel_axis }) = (*value, node.op.role(i)) else {
                    continue;
                };
                let Some(rank) = self.graph.constant(value).map(|t| t.shape().len()) else { continue };
                let channel_axis = lowbit_graph::shape::axis(channel_axis, rank).ok().filter(|_| rank > 1);
                weights.push(WeightSite {
                    name: node.name.clone(),
                    node: *n,
                    input: i,
                    value,
                    channel_axis,
                    reads: None,
                    first_or_last,
                });
            }
            let output = self.end_of(*n);
            if product && before == 0 {
                first_outputs.insert(output);
            }
            let float_output = self.target.float_sums
                || self.graph.outputs.contains(&output) && !matches!(node.op, Op::Conv(_));
            if !float_output {
                wanted.entry(output).or_default();
            }
        }
        self.place(&mut sites, wanted);
        for site in &mut sites.activations {
            site.leaves_first = first_outputs.contains(&site.value);
        }
        for mut weight in weights {
            weight.reads = self.graph.nodes[weight.node.0].input(0).and_then(|v| sites.of_value(v));
            sites.weights.push(weight);
        }
        sites
    }

    /// Makes sites of the wanted edges in network order, and followers of what only rearranges them.
    fn place(&self, sites: &mut Sites, wanted: BTreeMap<ValueId, (bool, bool)>) {
        // What a rearranged edge feeds, the original feeds, over any number of rearrangements.
        let mut feeds = wanted.clone();
        for node in self.graph.nodes.iter().rev().filter(|n| self.rearranges(n)) {
            let outputs = node.outputs.iter().filter_map(|o| feeds.get(o).copied());
            let (product, edge) = outputs.fold((false, false), |a, b| (a.0 | b.0, a.1 | b.1));
            if let Some(input) = node.input(0) {
                let facts = feeds.entry(input).or_default();
                *facts = (facts.0 | product, facts.1 | edge);
            }
        }
        let before: HashMap<ValueId, (ValueId, [f32; 2])> =
            self.folded.iter().map(|(&before, &(_, after, bounds))| (after, (before, bounds))).collect();
        let mut add = |value: ValueId, follows: Option<usize>| {
            let (feeds_product, feeds_first_or_last) = feeds.get(&value).copied().unwrap_or_default();
            let folded = before.get(&value).filter(|_| follows.is_none());
            sites.activations.push(ActivationSite {
                name: self.graph.value(value).name.clone(),
                value,
                rank: self.types[value.0].as_ref().map_or(0, |t| t.shape.len()),
                before_activation: folded.map(|f| f.0),
                bounds: folded.map_or([f32::NEG_INFINITY, f32::INFINITY], |f| f.1),
                feeds_product,
                feeds_first_or_last,
                leaves_first: false,
                follows,
                products_only: self.target.float_sums,
            });
            sites.activations.len() - 1
        };
        let mut placed: HashMap<ValueId, usize> = HashMap::new();
        for &input in self.graph.inputs.iter().filter(|v| wanted.contains_key(v)) {
            placed.insert(input, add(input, None));
        }
        for node in &self.graph.nodes {
            let source =
                node.input(0).and_then(|v| placed.get(&v).copied()).filter(|_| self.rearranges(node));
            for &output in node.outputs.iter().filter(|o| self.is_float(**o)) {
                let follows = source.filter(|_| !self.graph.outputs.contains(&output));
                if follows.is_some() || wanted.contains_key(&output) {
                    placed.insert(output, add(output, follows));
                }
            }
        }
    }

    /// Whether the output of a node holds nothing but values of its input, and zeros.
    fn rearranges(&self, node: &Node) -> bool {
        let zero = |v: ValueId| self.graph.constant(v).is_some_and(|t| t.to_f64().iter().all(|&x| x == 0.0));
        let pads_with_another = matches!(&node.op, Op::Pad(_)) && node.input(2).is_some_and(|v| !zero(v));
        self.target.pass_through.contains(node.op.name()) && !pads_with_another
    }

    /// Whether a value is float32 with at least one axis.
    fn is_float(&self, value: ValueId) -> bool {
        let ty = self.types[value.0].as_ref();
        ty.is_some_and(|t| t.dtype == lowbit_tensor::DType::F32 && !t.shape.is_empty())
    }

    /// The edge that leaves the fused part beginning at a node.
    fn end_of(&self, n: NodeId) -> ValueId {
        let own = self.graph.nodes[n.0].outputs[0];
        let output = self.fused_output.get(&n).copied().unwrap_or(own);
        self.folded.get(&output).map_or(output, |&(_, after, _)| after)
    }

    /// Data inputs of a node that can run on integers; otherwise why not (`None`: nothing worth saying).
    fn integer(&self, node: &Node) -> Result<Vec<ValueId>, Option<String>> {
        let arithmetic = !matches!(node.op, Op::Relu(_) | Op::Clip(_) | Op::Shape(_) | Op::Cast(_))
            && !node.op.is_rounding()
            && !self.rearranges(node);
        let no = |reason: String| Err(arithmetic.then_some(reason));
        if !self.target.integer_ops.contains(node.op.name()) {
            return no(format!("target `{}` has no integer form of {}", self.target.name, node.op.name()));
        }
        let mut data = Vec::new();
        for (i, value) in node.inputs.iter().enumerate() {
            let Some(value) = *value else { continue };
            match (node.op.role(i), self.graph.constant(value).is_some()) {
                (Role::Activation, true) => return no("one operand is a constant".into()),
                (Role::Weight { .. }, true) if self.graph.constant(value).is_some_and(|t| t.is_empty()) => {
                    return no("its weight has no element".into());
                }
                (Role::Weight { .. }, false) | (Role::Activation, false) if self.is_float(value) => {
                    data.push(value);
                }
                (Role::Activation, false) => return no("its input is not a float tensor".into()),
                (Role::Bias, false) => return no("its bias is computed at run time".into()),
                _ => {}
            }
        }
        match &node.op {
            Op::Gemm(op) if op.alpha != 1.0 || op.beta != 1.0 || op.trans_a => {
                no("only alpha = beta = 1 without a transposed A".into())
            }
            Op::Add(_) | Op::Mul(_) if data.len() == 2 && data[0] == data[1] => {
                no("both operands are one value".into())
            }
            _ => Ok(data),
        }
    }

    /// For each node, the most weighted layers on a way to it, and on a way from it (itself not counted).
    fn depths(&self) -> Vec<[usize; 2]> {
        let weighted = |node: &Node| {
            node.inputs.iter().enumerate().any(|(i, v)| {
                matches!(node.op.role(i), Role::Weight { .. })
                    && v.is_some_and(|v| self.graph.constant(v).is_some())
            })
        };
        let mut depths = vec![[0usize; 2]; self.graph.nodes.len()];
        let mut reached: HashMap<ValueId, usize> = HashMap::new();
        for (n, node) in self.graph.nodes.iter().enumerate() {
            let before =
                node.inputs.iter().flatten().filter_map(|v| reached.get(v)).copied().max().unwrap_or(0);
            depths[n][0] = before;
            for &output in &node.outputs {
                reached.insert(output, before + usize::from(weighted(node)));
            }
        }
        let mut ahead: HashMap<ValueId, usize> = HashMap::new();
        for (n, node) in self.graph.nodes.iter().enumerate().rev() {
            let after = node.outputs.iter().filter_map(|v| ahead.get(v)).copied().max().unwrap_or(0);
            depths[n][1] = after;
            for &input in node.inputs.iter().flatten() {
                let entry = ahead.entry(input).or_default();
                *entry = (*entry).max(after + usize::from(weighted(node)));
            }
        }
        depths
    }
}

/// Bounds that an activation puts on its output, if it is one that rounding can do: ReLU, or a clip from zero.
fn bounds_of(graph: &Graph, node: &Node) -> Option<[f32; 2]> {
    match &node.op {
        Op::Relu(_) => Some([0.0, f32::INFINITY]),
        Op::Clip(_) => {
            let limit = |i: usize, default: f32| match node.input(i) {
                None => Some(default),
                Some(v) => graph.constant(v).filter(|t| t.len() == 1).map(|t| t.to_f32()[0]),
            };
            let bounds = [limit(1, f32::NEG_INFINITY)?, limit(2, f32::INFINITY)?];
            (bounds[0] <= 0.0 && bounds[1] > 0.0).then_some(bounds)
        }
        _ => None,
    }
}

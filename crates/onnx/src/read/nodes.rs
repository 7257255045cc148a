//! Second half of reading: the nodes, in canonical form.

use super::values::{Declared, Reader};
use crate::error::{ReadProblem, UnsupportedNode};
use crate::proto::ModelProto;
use crate::upgrade::{self, Draft, Maker, Scope, UpgradeError};
use crate::{attributes, opset, windows};
use lowbit_graph::{Node, Op, ValueId};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

impl Reader {
    /// Refuses the file if any operator is unknown, naming all of them at once.
    pub(super) fn refuse_unsupported(
        &self,
        model: &ModelProto,
        nodes: &[Declared],
    ) -> Result<(), ReadProblem> {
        let functions: HashSet<(&str, &str)> = model
            .functions
            .iter()
            .map(|f| (opset::domain(f.domain.as_deref().unwrap_or("")), f.name.as_deref().unwrap_or("")))
            .collect();
        let mut unsupported = Vec::new();
        for node in nodes {
            let key @ (domain, op) = (node.domain(), node.op());
            let is_function = functions.contains(&key);
            if !is_function && (key == ("", "Constant") || upgrade::is_supported(domain, op)) {
                continue;
            }
            let note = match op {
                _ if is_function => "a function of the model: inline it first",
                "If" | "Loop" | "Scan" if domain.is_empty() => "control flow",
                _ => "",
            };
            unsupported.push(UnsupportedNode {
                node: node.name.clone(),
                op: op.to_owned(),
                domain: domain.to_owned(),
                version: opset::imported(model, domain),
                note,
            });
        }
        if unsupported.is_empty() { Ok(()) } else { Err(ReadProblem::Unsupported(unsupported)) }
    }

    /// Turns `Constant` nodes into constants and returns the others.
    pub(super) fn constants(&mut self, nodes: Vec<Declared>) -> Result<Vec<Declared>, ReadProblem> {
        let (constants, others): (Vec<_>, Vec<_>) =
            nodes.into_iter().partition(|n| (n.domain(), n.op()) == ("", "Constant"));
        for node in constants {
            let fail = |e: UpgradeError| e.at(node.name.clone(), "Constant");
            let attributes = attributes::read(node.proto.attribute).map_err(|e| fail(e.into()))?;
            let value = upgrade::constant_value(attributes).map_err(fail)?;
            self.graph.set_constant(node.outputs[0], value);
        }
        Ok(others)
    }

    /// Brings the nodes into canonical form and adds them, and the windows noted on them.
    pub(super) fn nodes(&mut self, nodes: Vec<Declared>) -> Result<(), ReadProblem> {
        let notes =
            nodes.iter().filter_map(|n| Some((n.outputs[0], windows::noted(&n.proto.metadata_props)?)));
        let notes: Vec<_> = notes.collect();
        let mut drafts = Vec::with_capacity(nodes.len());
        for node in nodes {
            drafts.push(self.draft(node)?);
        }
        let mut makers = HashMap::new();
        for draft in &drafts {
            let maker = Rc::new(Maker { op: draft.op.clone(), inputs: draft.inputs.clone() });
            makers.extend(draft.outputs.iter().map(|&output| (output, Rc::clone(&maker))));
        }
        let mut read: HashSet<ValueId> =
            drafts.iter().flat_map(|d| d.inputs.iter().copied().flatten()).collect();
        read.extend(&self.graph.outputs);
        for mut draft in drafts {
            let mut scope = Scope {
                graph: &mut self.graph,
                value_names: &mut self.value_names,
                node_names: &mut self.node_names,
                opset: self.opset,
                makers: &makers,
                read: &read,
                before: Vec::new(),
            };
            let (name, op) = (draft.name.clone(), draft.op.clone());
            upgrade::upgrade(&mut draft, &mut scope).map_err(|e| e.at(name.clone(), &op))?;
            for draft in std::mem::take(&mut scope.before).into_iter().chain([draft]) {
                self.graph.nodes.push(finish(draft).map_err(|e| e.at(name.clone(), &op))?);
            }
        }
        windows::restore(&mut self.graph, &notes, [&mut self.value_names, &mut self.node_names])
    }

    fn draft(&self, node: Declared) -> Result<Draft, ReadProblem> {
        let (domain, op) = (node.domain().to_owned(), node.op().to_owned());
        let Declared { name, proto, outputs } = node;
        let fail = |problem| UpgradeError::Other(problem).at(name.clone(), &op);
        let input = |input: &String| match self.ids.get(input) {
            _ if input.is_empty() => Ok(None),
            Some(&id) => Ok(Some(id)),
            None => Err(fail(format!("reads `{input}`, which nothing produces"))),
        };
        let inputs = proto.input.iter().map(input).collect::<Result<_, _>>()?;
        let attributes = attributes::read(proto.attribute).map_err(fail)?;
        Ok(Draft { name, domain, op, inputs, outputs, attributes })
    }
}

fn finish(mut draft: Draft) -> Result<Node, UpgradeError> {
    draft.trim_inputs();
    let op = Op::read(&draft.domain, &draft.op, draft.attributes)
        .ok_or_else(|| UpgradeError::Other(format!("`{}` is not supported", draft.op)))??;
    Ok(Node { name: draft.name, op, inputs: draft.inputs, outputs: draft.outputs })
}

impl UpgradeError {
    /// The error of a node.
    fn at(self, node: String, op: &str) -> ReadProblem {
        let op = op.to_owned();
        match self {
            UpgradeError::Attribute(source) => ReadProblem::Attribute { node, op, source },
            UpgradeError::Other(problem) => ReadProblem::Node { node, op, problem },
        }
    }
}

//! One node, or one group, becomes a step: by fast forms where there are some for both ways, else by its plain twins.

use super::compile::{Compiler, Key};
use super::reverse::{Learns, Reverse, Reversible};
use super::tape::{Cell, Kind, Place, Source};
use super::{GradientError, Rounding};
use crate::form::{Form, Layout, Learned, Operand, Site, Tail};
use crate::fusion::Fused;
use crate::ops;
use lowbit_graph::{Node, Op, TensorType, ValueId};
use std::collections::HashSet;
use std::sync::Arc;

impl Compiler<'_> {
    /// An anchor with what follows it, or one by one if there is no form of that.
    pub(super) fn place_group(&mut self, fused: &Fused) -> Result<(), GradientError> {
        let graph = self.plan.graph;
        let anchor = &graph.nodes[fused.anchor.0];
        match self.reversible(anchor, Some(fused)) {
            Some(form) => self.place_form(anchor, form, fused.output, fused.residual),
            None => {
                self.place(anchor)?;
                fused.nodes.iter().try_for_each(|n| self.place(&graph.nodes[n.0]))?;
            }
        }
        Ok(())
    }

    pub(super) fn place(&mut self, node: &Node) -> Result<(), GradientError> {
        if let Some(roundings) = self.plan.training {
            match &node.op {
                Op::FakeQuantize(_) if roundings.contains_key(&node.outputs[0]) => {
                    return self.place_rounding(node, &roundings[&node.outputs[0]]);
                }
                Op::Dropout(_) if self.place_dropout(node) => return Ok(()),
                _ => {}
            }
        }
        match self.reversible(node, None) {
            Some(form) => self.place_form(node, form, node.outputs[0], None),
            None => self.place_plain(node),
        }
        Ok(())
    }

    /// An edge rounded as the caller says.
    fn place_rounding(&mut self, node: &Node, rounding: &Arc<dyn Rounding>) -> Result<(), GradientError> {
        let Some(x) = node.input(0).filter(|&x| self.is_buffer(x)) else {
            return Err(GradientError::Integer(self.plan.graph.value(node.outputs[0]).name.clone()));
        };
        let (isa, layout, len) = (self.plan.isa, self.present[&x][0], rounding.len());
        let [there, back, update] = [0; 3].map(|_| rounding.clone());
        let reverse = Reverse {
            scratch: len,
            run: Box::new(move |pull| {
                let found = &mut pull.scratch[..len];
                back.backward(isa, pull.inputs[0], pull.grad, found);
                for sums in &mut *pull.parameters {
                    sums.iter_mut().zip(&*found).for_each(|(sum, part)| *sum += part);
                }
                if let Some(sink) = &mut pull.sinks[0] {
                    sink.put(isa, pull.grad);
                }
            }),
        };
        let form = Form::unary(layout, move |x, y| there.forward(isa, x, y));
        let lens = vec![len; self.learned(node).len()];
        let learns = Learns::plainly(lens, move |_, values| update.set(values));
        self.place_form(node, (form, Some(reverse), Some(learns)), node.outputs[0], None);
        Ok(())
    }

    /// Dropout whose mask nobody reads; whether it was placed.
    fn place_dropout(&mut self, node: &Node) -> bool {
        let graph = self.plan.graph;
        let masks: Vec<ValueId> = node.outputs.iter().skip(1).copied().collect();
        let reads_mask = |id: &ValueId| masks.contains(id);
        let read = graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).any(reads_mask);
        let Some(x) = node.input(0).filter(|&x| self.is_buffer(x)) else { return false };
        if read || graph.outputs.iter().any(reads_mask) {
            return false;
        }
        let ratio = match (node.input(1), graph.constant_input(node, 1).map(|t| t.to_f32())) {
            (None, _) => 0.5,
            (_, Some(ratio)) if ratio.len() == 1 && (0.0..1.0).contains(&ratio[0]) => ratio[0],
            _ => return false,
        };
        let layout = self.present[&x][0];
        let source = self.cells[&(x, layout)];
        let target = self.cell((node.outputs[0], layout), self.wanted[source]);
        self.present.insert(node.outputs[0], vec![layout]);
        let phase = self.phase([x].into_iter());
        self.phases.insert(node.outputs[0], phase);
        self.step(node.name.clone(), Kind::Drop(ratio), vec![source], vec![target], &[], phase);
        true
    }

    fn place_form(
        &mut self,
        node: &Node,
        form: (Form, Option<Reverse>, Option<Learns>),
        output: ValueId,
        residual: Option<ValueId>,
    ) {
        let (form, reverse, learns) = form;
        let wanted =
            form.reads.iter().map(|&(i, layout)| (node.input(i).expect("forms read what exists"), layout));
        let wanted: Vec<Key> = wanted.chain(residual.map(|id| (id, form.output))).collect();
        let phase = self.phase(wanted.iter().map(|&(id, _)| id));
        self.phases.insert(output, phase);
        let reads: Vec<Cell> = wanted.into_iter().map(|(id, layout)| self.want(id, layout)).collect();
        let learned = self.learned(node);
        let differs = !learned.is_empty() || reads.iter().any(|&cell| self.wanted[cell]);
        let target = self.cell((output, form.output), differs);
        self.present.insert(output, vec![form.output]);
        self.scratch = self.scratch.max(form.scratch).max(reverse.as_ref().map_or(0, |r| r.scratch));
        let run = Kind::Fast { run: form.run, back: reverse.map(|r| r.run), learns };
        self.step(node.name.clone(), run, reads, vec![target], &learned, phase);
    }

    fn place_plain(&mut self, node: &Node) {
        let graph = self.plan.graph;
        let learned = self.learned(node);
        let mut reads = Vec::new();
        let mut inputs = Vec::new();
        for (i, input) in node.inputs.iter().enumerate() {
            let parameter = learned.iter().find(|(l, _)| *l == Learned::Input(i));
            inputs.push(match (*input, parameter) {
                (None, _) => None,
                (Some(id), Some(&(_, parameter))) => {
                    Some(Source::Parameter { parameter, shape: self.ty(id).shape.clone() })
                }
                (Some(id), None) => Some(match graph.constant(id) {
                    Some(constant) => Source::Constant(constant.clone()),
                    None if self.is_buffer(id) => {
                        reads.push(self.want(id, Layout::RowMajor));
                        Source::Buffer { read: reads.len() - 1, shape: self.ty(id).shape.clone() }
                    }
                    None => Source::Tensor(id),
                }),
            });
        }
        let differs = !learned.is_empty() || reads.iter().any(|&cell| self.wanted[cell]);
        let mut writes = Vec::new();
        let mut outputs = Vec::new();
        for &id in &node.outputs {
            outputs.push(if self.is_buffer(id) {
                self.present.insert(id, vec![Layout::RowMajor]);
                writes.push(self.cell((id, Layout::RowMajor), differs));
                Place::Buffer { write: writes.len() - 1, shape: self.ty(id).shape.clone() }
            } else {
                Place::Tensor(id)
            });
        }
        let phase = self.phase(node.inputs.iter().flatten().copied());
        node.outputs.iter().for_each(|&id| {
            self.phases.insert(id, phase);
        });
        let kind = Kind::Plain { op: Box::new(node.op.clone()), inputs, outputs, learned: learned.clone() };
        self.step(node.name.clone(), kind, reads, writes, &learned, phase);
    }

    /// A node's fast form with its way back, if it has both (or needs no way back).
    fn reversible(
        &self,
        node: &Node,
        fused: Option<&Fused>,
    ) -> Option<(Form, Option<Reverse>, Option<Learns>)> {
        if node.outputs.len() > 1 || !self.is_buffer(node.outputs[0]) {
            return None;
        }
        let graph = self.plan.graph;
        let operand = |id: ValueId| Operand {
            ty: self.ty(id),
            layout: self.present.get(&id).map_or(Layout::RowMajor, |layouts| layouts[0]),
            constant: graph.constant(id).map(|c| c.as_ref()),
        };
        let wanted = |id: ValueId| {
            self.present.get(&id).is_some_and(|layouts| self.wanted[self.cells[&(id, layouts[0])]])
        };
        let learned: Vec<Learned> = self.learned(node).into_iter().map(|(l, _)| l).collect();
        let data: Vec<ValueId> =
            node.inputs.iter().flatten().copied().chain(fused.and_then(|f| f.residual)).collect();
        let differs = !learned.is_empty() || data.iter().any(|&id| wanted(id));
        let site = Site {
            inputs: node.inputs.iter().map(|i| i.map(operand)).collect(),
            output: self.ty(node.outputs[0]),
            which: 0,
            bias: fused.and_then(|f| f.bias.as_deref()),
            tail: fused.map_or(Tail::default(), |f| f.tail),
            isa: self.plan.isa,
            data_gradient: node.input(0).is_some_and(wanted),
            learned,
        };
        if site.inputs.iter().flatten().filter(|o| o.is_data()).map(|o| o.ty).any(TensorType::is_empty)
            || site.output.is_empty()
        {
            return None;
        }
        if !differs {
            return ops::forward(&node.op, &site).map(|form| (form, None, None));
        }
        // Two sinks must not be one buffer.
        let differing: Vec<ValueId> = data.into_iter().filter(|&id| wanted(id)).collect();
        if differing.iter().collect::<HashSet<_>>().len() < differing.len() {
            return None;
        }
        let Reversible { form, reverse, learns } = ops::reversible(&node.op, &site)?;
        Some((form, Some(reverse), learns))
    }
}

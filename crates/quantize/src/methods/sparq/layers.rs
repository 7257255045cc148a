//! Which layers read their operand through a window, and why others do not.

use super::ENTRY;
use crate::plan::Plan;
use crate::simulate::takes_windows;
use crate::workbench::Workbench;
use lowbit_graph::Op;
use lowbit_tensor::{Code, Windowed};
use std::collections::BTreeMap;

/// Layers named in a note.
const NAMED: usize = 5;

/// The window of every layer that takes one, and notes on those that keep 8 bits.
pub(super) fn windows(
    plan: &Plan,
    bench: &Workbench<'_>,
    read: Windowed,
) -> (BTreeMap<usize, Windowed>, Vec<String>) {
    let (mut windows, mut kept) = (BTreeMap::new(), BTreeMap::<&str, Vec<&str>>::new());
    for (i, site) in bench.sites.weights.iter().enumerate().filter(|(i, _)| plan.weights[*i].is_quantized()) {
        match refusal(plan, bench, i, read.pairs) {
            None => drop(windows.insert(i, read)),
            Some(reason) => kept.entry(reason).or_default().push(&site.name),
        }
    }
    let note = |(reason, layers): (&str, Vec<&str>)| {
        let named: Vec<String> = layers.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let more = match layers.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} leaves {}{more} at 8 bits: {reason}", ENTRY.id, named.join(", "))
    };
    (windows, kept.into_iter().map(note).collect())
}

/// Why the layer of weight `i` can read no window.
///
/// Pairs follow each other in the reduction, which goes over the channels of one kernel position and then to the next.
/// With an odd number of channels a pair would hold the last of one position and the first of the next: no longer two
/// values of the edge, but of each patch. A kernel of one position ends there, and its last channel has no partner.
fn refusal(plan: &Plan, bench: &Workbench<'_>, i: usize, pairs: bool) -> Option<&'static str> {
    let site = &bench.sites.weights[i];
    let weight = bench.graph.constant(site.value).map_or(&[][..], |t| t.shape());
    if site.first_or_last {
        return Some("they are first layers or classifiers");
    }
    match &bench.graph.nodes[site.node.0].op {
        _ if site.input != 1 => return Some("the weight is not the second operand"),
        Op::Conv(op) if op.group != 1 => return Some("windows are not defined for grouped convolutions"),
        Op::Conv(_) if pairs && weight[1] % 2 == 1 && weight[2..].iter().any(|&k| k > 1) => {
            return Some("pairs would straddle kernel positions, as the number of input channels is odd");
        }
        Op::Conv(_) | Op::Gemm(_) | Op::MatMul(_) => {}
        _ => return Some("windows are for convolutions and matrix products"),
    }
    let edge = site.reads.and_then(|r| plan.activations[bench.sites.root(r)].code.as_ref());
    match edge {
        Some(Code::Uniform(code)) if takes_windows(code) => None,
        Some(Code::Uniform(code)) if code.zero_point != [0] => Some("their input may be negative"),
        Some(_) => Some("their input has no codes of 8 bits with one scale"),
        None => Some("their input is not quantized"),
    }
}

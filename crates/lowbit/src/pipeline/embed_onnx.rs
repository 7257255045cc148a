//! `embed` of an ONNX network: its tables packed, everything else as it was.

use std::path::Path;

use anyhow::{Context, Result, bail};
use lowbit_embed::{Isa, Order, Quantizer};
use lowbit_graph::{Graph, ValueId};
use lowbit_onnx::{ReadOptions, WriteOptions};

use super::load::with_threads;
use super::tables::{self, PackedTensor};
use crate::ModelSource;
use crate::embedding::{EmbedJob, TableSource};

/// The network with its tables (or the one that the job names) packed, and the names of the tables.
pub(crate) fn embed_network(job: &EmbedJob) -> Result<(Vec<u8>, Vec<String>)> {
    with_threads(job.threads, || {
        let mut graph = read(&job.table)?;
        let mut names = Vec::new();
        for table in tables(&graph, job.tensor.as_deref(), &job.table)? {
            let name = graph.value(table).name.clone();
            replace(&mut graph, table, &name, job).with_context(|| format!("table `{name}`"))?;
            names.push(name);
        }
        graph.sort().context("the network with packed tables")?;
        Ok((lowbit_onnx::write_bytes(&graph, &WriteOptions::default())?, names))
    })
}

/// Whether a path is that of a network.
pub(super) fn is_network(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
}

pub(super) fn read(table: &TableSource) -> Result<Graph> {
    let model = match table {
        TableSource::File(path) => ModelSource::from(path),
        TableSource::Network(model) => model.clone(),
        TableSource::Rows(..) => bail!("{table} is not a network"),
    };
    model.read(ReadOptions::default())
}

fn replace(graph: &mut Graph, table: ValueId, name: &str, job: &EmbedJob) -> Result<()> {
    let Some(tensor) = graph.constant(table).cloned() else { bail!("it is no constant") };
    // Half precision beside the codes at every width, as four bytes first.
    let quantizer = Quantizer::new(job.method, tensor.shape()[1], job.bits, Order::First, Isa::from_env()?)?;
    let quantizer = quantizer.with_search(job.search).with_non_finite(job.non_finite);
    PackedTensor::new(&tensor, &quantizer)?.unpack_in(graph, table, name)
}

/// Constant float tables that a `Gather` picks rows of.
pub(super) fn tables(graph: &Graph, tensor: Option<&str>, file: &TableSource) -> Result<Vec<ValueId>> {
    let tables = tables::of(graph);
    if tables.is_empty() {
        bail!("{file}: no `Gather` of this network picks rows of a constant table");
    }
    let Some(tensor) = tensor else { return Ok(tables) };
    let names: Vec<&str> = tables.iter().map(|&id| graph.value(id).name.as_str()).collect();
    match names.iter().position(|name| *name == tensor) {
        Some(at) => Ok(vec![tables[at]]),
        None => bail!("{file}: no table `{tensor}`; there are {}", names.join(", ")),
    }
}

//! Embedding tables as a site of `quantize`: packed before calibration, so that everything after it sees their error, and
//! unpacked in the written network behind the `Gather` that reads them.

use anyhow::{Context, Result, bail};
use lowbit_embed::{Isa, Method, Order, Quantizer};
use lowbit_graph::{Graph, ValueId};
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::report::EmbeddingTable;
use lowbit_tensor::Tensor;

use super::load::Loaded;
use super::tables::{self, PackedTensor};

/// The packed tables of a network.
#[derive(Default)]
pub(super) struct Tables {
    tables: Vec<Table>,
    /// Deviations from what the recipe asks for.
    pub(super) notes: Vec<String>,
}

struct Table {
    /// In the simulated graph: the constant of decoded rows, which nothing but `Gather`s of rows reads.
    decoded: ValueId,
    packed: PackedTensor,
    about: EmbeddingTable,
}

/// How the recipe wants tables: `None` where they stay float.
pub(super) fn method(recipe: &Recipe) -> Result<Option<Method>> {
    let name = recipe.tables.method.as_str();
    if name == "none" {
        return Ok(None);
    }
    let rows = |method: &Method| {
        Quantizer::new(*method, 8, 4, Order::First, Isa::best()).is_ok_and(|q| q.format().layout().is_some())
    };
    match Method::named(name).filter(rows) {
        Some(method) => Ok(Some(method)),
        None => {
            let all = lowbit_embed::methods::ALL.iter().map(|entry| entry.method).filter(rows);
            let names: Vec<&str> = all.map(Method::name).chain(["none"]).collect();
            bail!("{}: tables.method: `{name}`; accepted: {}", recipe.name, names.join(", "))
        }
    }
}

impl Tables {
    /// Packs the tables of a network, and gives the network with decoded rows in their place.
    pub(super) fn pack(network: &Loaded, recipe: &Recipe) -> Result<(Tables, Option<Loaded>)> {
        let found = tables::of(&network.graph);
        let Some(method) = method(recipe)?.filter(|_| !found.is_empty()) else {
            return Ok((Tables::default(), None));
        };
        let (mut packed, mut graph) = (Tables::default(), network.graph.clone());
        for table in found {
            let name = graph.value(table).name.clone();
            packed.add(&mut graph, table, recipe.table_bits(), method).with_context(|| {
                format!("table `{name}` (a recipe with `tables.method = \"none\"` leaves tables alone)")
            })?;
        }
        let simulated = network.with_graph(graph)?;
        Ok((packed, Some(simulated)))
    }

    fn add(&mut self, graph: &mut Graph, table: ValueId, bits: u8, method: Method) -> Result<()> {
        let name = graph.value(table).name.clone();
        let tensor = graph.constant(table).context("it is no constant")?.clone();
        let &[rows, columns] = tensor.shape() else { bail!("it has no rows") };
        // Codes of a row fill whole bytes.
        let whole = columns.is_multiple_of(8 / usize::from(bits));
        let fits = if whole { bits } else { 8 };
        if !whole {
            self.notes.push(format!(
                "table `{name}` has 8 bits: {columns} columns of {bits} bits do not fill whole bytes"
            ));
        }
        let quantizer = Quantizer::new(method, columns, fits.into(), Order::First, Isa::from_env()?)?;
        let packed = PackedTensor::new(&tensor, &quantizer)?;
        let near = packed.decoded();
        let about = EmbeddingTable {
            rows,
            columns,
            bits: fits,
            method: method.name().to_owned(),
            bytes: packed.bytes() as u64,
            float_bytes: tensor.dtype().file_bytes(tensor.len()) as u64,
            loss: loss(&tensor, &near),
            name: name.clone(),
        };
        // Whatever else reads the table (a product with the same weight) keeps it as it was.
        let decoded = graph.add_constant(graph.fresh_name(&format!("{name}.decoded")), near);
        for node in graph.nodes.iter_mut().filter(|node| tables::picks_rows(node, &[table])) {
            node.inputs[0] = Some(decoded);
        }
        self.tables.push(Table { decoded, packed, about });
        Ok(())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Puts packed rows where a lowered graph still reads decoded ones.
    pub(super) fn write(&self, graph: &mut Graph) -> Result<()> {
        for table in &self.tables {
            table.packed.unpack_in(graph, table.decoded, &table.about.name)?;
        }
        Ok(graph.sort()?)
    }

    /// For the report.
    pub(super) fn about(&self) -> Vec<EmbeddingTable> {
        self.tables.iter().map(|table| table.about.clone()).collect()
    }

    /// Nodes that pick rows, by name: what they read is not float any more.
    pub(super) fn readers<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a str> {
        let own: Vec<ValueId> = self.tables.iter().map(|table| table.decoded).collect();
        graph.nodes.iter().filter(move |node| tables::picks_rows(node, &own)).map(|node| node.name.as_str())
    }
}

/// Normalised L2 loss.
fn loss(x: &Tensor, near: &Tensor) -> f64 {
    let (x, near) = (x.to_f32(), near.to_f32());
    let error: f64 = x.iter().zip(&near).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    let norm: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
    if error == 0.0 { 0.0 } else { (error / norm).sqrt() }
}

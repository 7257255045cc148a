//! One pass over calibration samples: statistics of every edge that may be quantized.

mod fast;

use crate::site::Sites;
use fast::Measure;
use lowbit_engine::{EngineError, Network};
use lowbit_graph::{Graph, ValueId};
use lowbit_kernels::Isa;
use lowbit_tensor::{Statistics, Tensor};

/// What calibration saw, per activation site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Statistics of each edge.
    pub edges: Vec<Statistics>,
    /// Moments before the folded activation, where there is one; no histogram.
    pub before: Vec<Option<Statistics>>,
    /// Samples seen.
    pub samples: usize,
}

impl Observations {
    /// Adds what another pass saw.
    pub fn merge(&mut self, other: &Observations) {
        if self.samples == 0 {
            *self = other.clone();
            return;
        }
        self.edges.iter_mut().zip(&other.edges).for_each(|(a, b)| a.merge(b));
        for (a, b) in self.before.iter_mut().zip(&other.before) {
            if let (Some(a), Some(b)) = (a, b) {
                a.merge(b);
            }
        }
        self.samples += other.samples;
    }
}

/// Runs the float network over batches and collects [`Observations`].
pub struct Observer {
    network: Network,
    taps: Vec<ValueId>,
    edges: Vec<ValueId>,
    before: Vec<Option<ValueId>>,
    seen: Observations,
    isa: Isa,
}

impl Observer {
    /// An observer of the sites of a prepared graph.
    ///
    /// # Errors
    /// When the graph cannot be compiled.
    pub fn new(graph: &Graph, sites: &Sites) -> Result<Observer, EngineError> {
        let edges: Vec<ValueId> = sites.activations.iter().map(|s| s.value).collect();
        let before: Vec<Option<ValueId>> = sites.activations.iter().map(|s| s.before_activation).collect();
        let mut taps: Vec<ValueId> = edges.iter().copied().chain(before.iter().flatten().copied()).collect();
        taps.sort_unstable();
        taps.dedup();
        let network = Network::with_taps(graph, &taps)?;
        Ok(Observer { network, taps, edges, before, seen: Observations::default(), isa: Isa::from_env()? })
    }

    /// Observes one batch; returns the network's outputs.
    ///
    /// # Errors
    /// When the batch does not fit the network.
    pub fn add(&mut self, batch: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        // What a folded activation reads needs moments only.
        let (isa, edges) = (self.isa, &self.edges);
        let with_histogram: Vec<bool> = self.taps.iter().map(|tap| edges.contains(tap)).collect();
        let (outputs, chunks) = self.network.observe(batch, |views, rows| {
            let all: Vec<Statistics> = views
                .iter()
                .zip(&with_histogram)
                .map(|(view, &histogram)| Measure { isa, histogram }.of(view))
                .collect();
            (all, rows.len())
        })?;
        let at = |value: ValueId| self.taps.binary_search(&value).expect("every edge is tapped");
        for (all, samples) in chunks {
            self.seen.merge(&Observations {
                edges: self.edges.iter().map(|&v| all[at(v)].clone()).collect(),
                before: self.before.iter().map(|v| v.map(|v| all[at(v)].clone())).collect(),
                samples,
            });
        }
        Ok(outputs)
    }

    /// What was seen.
    pub fn finish(self) -> Observations {
        self.seen
    }
}

//! One pass over calibration samples: statistics of every edge that may be quantized.

use crate::site::Sites;
use lowbit_engine::{EngineError, Network};
use lowbit_graph::{Graph, ValueId};
use lowbit_tensor::{Statistics, Tensor};

/// What calibration saw, per activation site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Statistics of each edge.
    pub edges: Vec<Statistics>,
    /// Statistics before the folded activation, where there is one.
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
        Ok(Observer { network, taps, edges, before, seen: Observations::default() })
    }

    /// Observes one batch; returns the network's outputs.
    ///
    /// # Errors
    /// When the batch does not fit the network.
    pub fn add(&mut self, batch: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let (outputs, chunks) = self.network.observe(batch, |views, rows| {
            let all: Vec<Statistics> = views
                .iter()
                .map(|view| Statistics::of(view.data, view.shape[0], view.channel_of()))
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

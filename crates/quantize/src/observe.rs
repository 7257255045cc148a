//! One pass over calibration samples: statistics of every edge that may be quantized.

mod fast;

use crate::site::Sites;
use fast::{Tables, moments};
use lowbit_engine::{EngineError, Network};
use lowbit_graph::{Graph, ValueId};
use lowbit_kernels::Isa;
use lowbit_tensor::{Moments, Statistics, Tensor};
use std::sync::Mutex;

/// What calibration saw, per activation site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Statistics of each edge.
    pub edges: Vec<Statistics>,
    /// Moments before the folded activation, where there is one and a step needs it; no histogram.
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

/// What is measured of each edge beyond its extremes and means (which every run needs): all costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Deviations from the mean, absolute and square.
    pub spread: bool,
    /// The same things of what a folded activation reads; keeps layers and their activations from running as one.
    pub before: bool,
    /// Histograms of the edges.
    pub histogram: bool,
    /// The samples themselves, kept and lent as [`Run::samples`](crate::run::Run::samples). The observer has no part in it.
    pub samples: bool,
}

impl Needs {
    /// Everything there is.
    pub const ALL: Needs = Needs { spread: true, before: true, histogram: true, samples: true };
}

impl std::ops::BitOr for Needs {
    type Output = Needs;

    fn bitor(self, other: Needs) -> Needs {
        Needs {
            spread: self.spread | other.spread,
            before: self.before | other.before,
            histogram: self.histogram | other.histogram,
            samples: self.samples | other.samples,
        }
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
    needs: Needs,
    /// Histograms being counted, one set per thread, one entry per tap. Counting is exact in any order, so sets may
    /// go from thread to thread; sums of moments are not, and come back chunk by chunk.
    counting: Mutex<Vec<Vec<Option<Tables>>>>,
}

impl Observer {
    /// An observer of the sites of a prepared graph.
    ///
    /// # Errors
    /// When the graph cannot be compiled.
    pub fn new(graph: &Graph, sites: &Sites, needs: Needs) -> Result<Observer, EngineError> {
        let edges: Vec<ValueId> = sites.activations.iter().map(|s| s.value).collect();
        let before: Vec<Option<ValueId>> =
            sites.activations.iter().map(|s| s.before_activation.filter(|_| needs.before)).collect();
        let mut taps: Vec<ValueId> = edges.iter().copied().chain(before.iter().flatten().copied()).collect();
        taps.sort_unstable();
        taps.dedup();
        let network = Network::with_taps(graph, &taps)?;
        Ok(Observer {
            network,
            taps,
            edges,
            before,
            seen: Observations::default(),
            isa: Isa::from_env()?,
            needs,
            counting: Mutex::default(),
        })
    }

    /// Observes one batch; returns the network's outputs.
    ///
    /// # Errors
    /// When the batch does not fit the network.
    pub fn add(&mut self, batch: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let isa = self.isa;
        // What a folded activation reads needs moments only.
        let needs = self.needs;
        let counted: Vec<bool> =
            self.taps.iter().map(|tap| needs.histogram && self.edges.contains(tap)).collect();
        let (outputs, chunks) = self.network.observe(batch, |views, rows| {
            let held = self.counting.lock().expect("no holder panics").pop();
            let mut set =
                held.unwrap_or_else(|| counted.iter().map(|&counted| counted.then(Tables::new)).collect());
            let measured: Vec<(Moments, Vec<Moments>)> = views
                .iter()
                .zip(&mut set)
                .map(|(view, tables)| {
                    let found = moments(isa, view, needs.spread);
                    if let Some(tables) = tables {
                        tables.add(isa, view.data, [found.0.min, found.0.max]);
                    }
                    found
                })
                .collect();
            self.counting.lock().expect("no holder panics").push(set);
            (measured, rows.len())
        })?;
        let mut all = vec![Statistics::default(); self.taps.len()];
        for (measured, samples) in chunks {
            for (all, (tensor, channels)) in all.iter_mut().zip(measured) {
                all.merge(&Statistics { tensor, channels, ..Statistics::default() });
            }
            self.seen.samples += samples;
        }
        for set in self.counting.get_mut().expect("no holder panics") {
            for (all, tables) in all.iter_mut().zip(set) {
                if let Some(tables) = tables {
                    all.histogram.merge(&tables.take());
                }
            }
        }
        let at = |value: ValueId| self.taps.binary_search(&value).expect("every edge is tapped");
        self.seen.edges.resize(self.edges.len(), Statistics::default());
        self.seen.before.resize(self.before.len(), None);
        for (seen, &edge) in self.seen.edges.iter_mut().zip(&self.edges) {
            seen.merge(&all[at(edge)]);
        }
        for (seen, before) in self.seen.before.iter_mut().zip(&self.before) {
            if let Some(before) = before {
                seen.get_or_insert_default().merge(&all[at(*before)]);
            }
        }
        Ok(outputs)
    }

    /// What was seen.
    pub fn finish(self) -> Observations {
        self.seen
    }
}

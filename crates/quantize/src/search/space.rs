//! What a search may choose: per weight and per edge a width and a way of finding its codes.

use crate::site::Sites;
use crate::target::Target;
use lowbit_graph::Graph;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A choice per gene, by its number.
pub type Strategy = Vec<usize>;

/// How codes are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clip {
    /// Range of least squared error.
    #[default]
    Mse,
    /// All that was seen.
    Minmax,
    /// All but one in ten thousand.
    Percentile,
}

impl Clip {
    /// Each, the default first.
    pub const ALL: [Clip; 3] = [Clip::Mse, Clip::Minmax, Clip::Percentile];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Clip::Mse => "mse",
            Clip::Minmax => "minmax",
            Clip::Percentile => "percentile",
        }
    }
}

/// What a weight or an edge becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    /// It stays float.
    Float,
    /// Codes.
    Codes {
        /// Their bits.
        bits: u8,
        /// How their range is found.
        clip: Clip,
        /// Whether the zero point lies in the middle; weights always have that.
        symmetric: bool,
    },
}

/// What a gene is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A weight site.
    Weight(usize),
    /// An edge that follows no other.
    Edge(usize),
}

/// One dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Gene {
    /// What it is about.
    pub place: Place,
    /// Name of the layer or edge.
    pub name: String,
    /// What it may become: the default first, then fewer bits the same way, then other ways, float last.
    pub choices: Vec<Choice>,
}

/// All dimensions, in network order: weights, then edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// The dimensions.
    pub genes: Vec<Gene>,
}

/// What is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Widths, such as 8, 4, 3, 2.
    pub bits: Vec<u8>,
    /// Whether float is among the choices.
    pub float: bool,
    /// Ways of finding ranges, the default first. Weights have no percentile.
    pub clips: Vec<Clip>,
    /// Whether edges may be symmetric too.
    pub symmetric: bool,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer { bits: vec![8, 4, 3, 2], float: true, clips: Clip::ALL.to_vec(), symmetric: true }
    }
}

impl Space {
    /// The space of a network for a target: widths that its operators take, no wider.
    pub fn new(graph: &Graph, sites: &Sites, target: &Target, offer: &Offer) -> Space {
        let most = |op: &str, input: usize| {
            let forms = target.descriptors(op).filter(|d| d.is_integer());
            forms.map(|d| d.input_bits(input)).filter(|&b| b <= 8).max().unwrap_or(8)
        };
        let widths = |most: u8| {
            let mut bits: Vec<u8> = offer.bits.iter().map(|&b| b.min(most)).collect();
            bits.sort_unstable_by(|a, b| b.cmp(a));
            bits.dedup();
            bits
        };
        let mut of_weights: Vec<(Clip, bool)> =
            offer.clips.iter().filter(|&&clip| clip != Clip::Percentile).map(|&clip| (clip, true)).collect();
        let mut of_edges: Vec<(Clip, bool)> = offer.clips.iter().map(|&clip| (clip, false)).collect();
        if of_weights.is_empty() {
            of_weights.push((Clip::default(), true));
        }
        if of_edges.is_empty() {
            of_edges.push((Clip::default(), false));
        }
        if offer.symmetric {
            of_edges.push((of_edges[0].0, true));
        }
        let mut genes = Vec::new();
        for (i, site) in sites.weights.iter().enumerate() {
            let widths = widths(most(graph.nodes[site.node.0].op.name(), site.input));
            let choices = choices(&widths, &of_weights, offer.float);
            genes.push(Gene { place: Place::Weight(i), name: site.name.clone(), choices });
        }
        for (i, site) in sites.activations.iter().enumerate().filter(|(_, s)| s.follows.is_none()) {
            let readers = sites.weights.iter().filter(|w| w.reads.is_some_and(|r| sites.root(r) == i));
            let taken = readers.map(|w| most(graph.nodes[w.node.0].op.name(), 0)).min().unwrap_or(8);
            let mut widths = widths(taken);
            if !site.feeds_product {
                // Sums and pools gain nothing from fewer bits, on any target so far.
                widths.truncate(1);
            }
            let choices = choices(&widths, &of_edges, offer.float);
            genes.push(Gene { place: Place::Edge(i), name: site.name.clone(), choices });
        }
        Space { genes }
    }

    /// Number of choices of each dimension.
    pub fn sizes(&self) -> Vec<usize> {
        self.genes.iter().map(|gene| gene.choices.len()).collect()
    }

    /// What a strategy makes of gene `g`.
    pub fn choice(&self, strategy: &[usize], g: usize) -> Choice {
        self.genes[g].choices[strategy[g]]
    }

    /// The strategy of so many bits everywhere, as near as the space allows: the first choice of no more bits.
    pub fn uniform(&self, weight_bits: u8, edge_bits: u8) -> Strategy {
        let fits = |gene: &Gene| {
            let most = if matches!(gene.place, Place::Weight(_)) { weight_bits } else { edge_bits };
            gene.choices.iter().position(|c| c.bits().is_some_and(|b| b <= most)).unwrap_or(0)
        };
        self.genes.iter().map(fits).collect()
    }

    /// Sum of the bits of a strategy, float counting as 32: what ties are broken by.
    pub fn bits(&self, strategy: &[usize]) -> u64 {
        (0..self.genes.len()).map(|g| u64::from(self.choice(strategy, g).bits().unwrap_or(32))).sum()
    }

    /// Says what the space is, for whoever must know whether a log belongs to it.
    pub fn text(&self) -> String {
        let gene = |gene: &Gene| {
            let kind = if matches!(gene.place, Place::Weight(_)) { "weight" } else { "edge" };
            let choices: Vec<String> = gene.choices.iter().map(ToString::to_string).collect();
            format!("{kind} {}: {}\n", gene.name, choices.join(", "))
        };
        self.genes.iter().map(gene).collect()
    }
}

fn choices(widths: &[u8], ways: &[(Clip, bool)], float: bool) -> Vec<Choice> {
    let of = |&(clip, symmetric): &(Clip, bool)| {
        widths.iter().map(move |&bits| Choice::Codes { bits, clip, symmetric })
    };
    let mut all: Vec<Choice> = ways.iter().flat_map(of).collect();
    all.extend(float.then_some(Choice::Float));
    all
}

impl Choice {
    /// Bits of its codes.
    pub fn bits(self) -> Option<u8> {
        match self {
            Choice::Float => None,
            Choice::Codes { bits, .. } => Some(bits),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choice::Codes { bits, clip, symmetric } = self else { return f.write_str("float") };
        let clip = clip.name();
        write!(f, "{bits} {clip}{}", if *symmetric { " symmetric" } else { "" })
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        let parsed = || {
            let mut words = text.split_whitespace();
            let first = words.next()?;
            if first == "float" {
                return words.next().is_none().then_some(Choice::Float);
            }
            let bits = first.parse::<u8>().ok().filter(|bits| (2..=8).contains(bits))?;
            let word = words.next()?;
            let clip = Clip::ALL.into_iter().find(|clip| clip.name() == word)?;
            let symmetric = match words.next() {
                None => false,
                Some("symmetric") => true,
                Some(_) => return None,
            };
            words.next().is_none().then_some(Choice::Codes { bits, clip, symmetric })
        };
        parsed().ok_or_else(|| {
            format!("`{text}`; accepted: \"float\", or bits (2 to 8), mse | minmax | percentile, and perhaps symmetric")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_as_they_are_written_and_others_are_refused() {
        for text in ["float", "8 mse symmetric", "2 percentile"] {
            assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
        }
        for text in ["", "float 8", "9 mse", "1 mse", "4", "4 kl", "4 mse signed", "4 mse symmetric 2"] {
            assert!(text.parse::<Choice>().unwrap_err().contains("accepted"), "{text}");
        }
    }

    #[test]
    fn the_default_way_goes_down_in_bits_before_other_ways_come() {
        let all = choices(&[8, 4], &[(Clip::Mse, true), (Clip::Minmax, true)], true);
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            all,
            ["8 mse symmetric", "4 mse symmetric", "8 minmax symmetric", "4 minmax symmetric", "float"]
        );
    }
}

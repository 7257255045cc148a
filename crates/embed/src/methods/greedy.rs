//! GREEDY: a row's range, narrowed from both ends as long as that lowers the error.
//!
//! Two searches. The compatible one takes the steps of production code in its order and precision, so that rows equal
//! PyTorch's byte for byte. The other, the default, looks at a third as many ranges, judges each by the best scale and bias
//! for its codes, and has the smaller error (`lowbit_kernels::embedding::fit_rows`).

use super::{Entry, Kind, Method};

pub(super) const ENTRY: Entry = Entry {
    method: Method::Greedy,
    name: "greedy",
    summary: "search for the row's range: the best of the evenly spaced, for 4 and 2 bits",
    kind: Kind::Greedy,
};

/// Which search.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Search {
    /// Fewer looks, smaller error.
    #[default]
    Refit,
    /// PyTorch's, in every bit.
    Compatible {
        /// Parts that the range is cut into (`nbins`; 200).
        bins: u32,
        /// Share of them that may go (`ratio`; 0.16).
        ratio: f32,
    },
}

impl Search {
    /// PyTorch's with its defaults.
    pub const COMPATIBLE: Search = Search::Compatible { bins: 200, ratio: 0.16 };
}

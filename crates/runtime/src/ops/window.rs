//! SPARQ's windows: what a multiplier of few bits sees of 8-bit codes.

use super::{Around, Io, Kernel};
use lowbit_kernels::Isa;
use lowbit_kernels::integer::{PairTables, Plane, window};
use lowbit_tensor::Windowed;

/// The window of each code; with pairs, given its neighbour among the channels (2j and 2j + 1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) read: Windowed,
}

impl Window {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let [own, wide] = self.read.window.tables();
        let tables = PairTables { beside_code: own, beside_zero: if self.read.pairs { wide } else { own } };
        let (input, output) = (around.reads[0].codes().0, around.write.codes().0);
        Ready { isa: around.isa, tables: Box::new(tables), input, output }
    }
}

pub(crate) struct Ready {
    isa: Isa,
    tables: Box<PairTables>,
    input: Plane,
    output: Plane,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let rows = self.input.interiors(io.reads.codes(0)).zip(self.output.interiors_mut(io.write));
        rows.for_each(|(x, y)| window(self.isa, &self.tables, x, y));
    }
}

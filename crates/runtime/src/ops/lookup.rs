//! A function of one code, as a table.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::Isa;
use lowbit_kernels::integer::{Plane, Steps, Table, lookup};

/// `table[code]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lookup {
    pub(crate) table: Box<Table>,
    /// The same, where all it does is to round codes of one grid to levels.
    pub(crate) levels: Option<Steps>,
}

/// The code on one grid of each code on another.
pub(super) fn table(from: Grid, to: Grid) -> Table {
    std::array::from_fn(|code| to.encode(from.decode(code as u8)))
}

impl Lookup {
    /// Rounding to levels.
    pub(crate) fn to_levels(levels: Steps) -> Lookup {
        Lookup { table: Box::new(levels.table()), levels: Some(levels) }
    }

    /// This one and then `next`.
    pub(crate) fn then(&self, next: &Lookup) -> Lookup {
        let table = self.table.map(|code| next.table[usize::from(code)]);
        Lookup { table: Box::new(table), levels: None }
    }

    pub(super) fn what(&self) -> String {
        match &self.levels {
            Some(levels) => format!("to {} levels", levels.levels().count()),
            None => "table look-up".into(),
        }
    }

    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let (input, output) = (around.reads[0].codes().0, around.write.codes().0);
        Ready { isa: around.isa, table: self.table.clone(), input, output }
    }
}

pub(crate) struct Ready {
    isa: Isa,
    table: Box<Table>,
    input: Plane,
    output: Plane,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let rows = self.input.interiors(io.reads.codes(0)).zip(self.output.interiors_mut(io.write));
        rows.for_each(|(x, y)| lookup(self.isa, &self.table, x, y));
    }
}

//! Channels of several edges side by side.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::ShapeError;
use lowbit_kernels::integer::ConcatPart;

/// All inputs' channels one after the other, each on the output's grid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Concat {
    pub(crate) inputs: Vec<Grid>,
    pub(crate) channels: Vec<usize>,
}

impl Concat {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<Ready, ShapeError> {
        let (output, _, to) = around.write.codes();
        let (mut first, all) = (0, self.channels.iter().sum());
        let mut parts = Vec::with_capacity(self.channels.len());
        for (i, &channels) in self.channels.iter().enumerate() {
            let (input, _, from) = around.reads[i].codes();
            let table = (from != to).then(|| super::lookup::table(from, to));
            parts.push(ConcatPart::new(around.isa, [input, output], channels, first, all, table)?);
            first += channels;
        }
        Ok(Ready(parts))
    }
}

pub(crate) struct Ready(Vec<ConcatPart>);

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        self.0.iter().enumerate().for_each(|(i, part)| part.run(io.reads.codes(i), io.write));
    }
}

//! Concatenation of channels, and look-up from one plane into another.

use super::Plane;
use super::lookup::{Table, lookup_pieces};
use crate::error::{Expected, nonzero};
use crate::{Isa, ShapeError};

/// One input of a concatenation: its channels go to channels `first..` of the output, each code through a table where
/// the scales differ.
#[derive(Clone, Debug)]
pub struct ConcatPart {
    isa: Isa,
    input: Plane,
    channels: usize,
    output: Plane,
    first: usize,
    /// Whether it writes the stored channels after its own, as 0.
    last: bool,
    table: Option<Table>,
}

impl ConcatPart {
    /// From the first `channels` of `input` to channels `first..` of the `output_channels` of `output`. A part of all
    /// channels is a look-up of a whole plane.
    ///
    /// # Errors
    /// The planes have different sizes, or do not hold these channels.
    pub fn new(
        isa: Isa,
        [input, output]: [Plane; 2],
        channels: usize,
        first: usize,
        output_channels: usize,
        table: Option<Table>,
    ) -> Result<ConcatPart, ShapeError> {
        nonzero(&[("channels", channels)])?;
        let end = first.checked_add(channels).ok_or(ShapeError::TooLarge { what: "output" })?;
        let expected = Expected::AtLeast(end);
        if !expected.accepts(output_channels) {
            let (plane, size) = ("output", "channels");
            return Err(ShapeError::Plane { plane, size, found: output_channels, expected });
        }
        output.check("output", [output.h, output.w, output_channels], [0; 4])?;
        input.check("input", [output.h, output.w, channels], [0; 4])?;
        Ok(ConcatPart { isa, input, channels, output, first, last: end == output_channels, table })
    }

    /// How its output lies in memory.
    pub fn output(&self) -> &Plane {
        &self.output
    }

    /// Copies images of the input's plane into as many of the output's. Channels of other parts are not touched.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn run(&self, input: &[u8], output: &mut [u8]) {
        let images = input.len() / self.input.len();
        assert_eq!(input.len(), images * self.input.len(), "input of a concatenation");
        assert_eq!(output.len(), images * self.output.len(), "output of a concatenation");
        // A row is one stretch where this part is all that a pixel has.
        let (from_step, to_step, len) = if self.channels == self.input.c && self.channels == self.output.c {
            let row = self.input.w * self.channels;
            (row, row, row)
        } else {
            (self.input.c, self.output.c, self.channels)
        };
        for (from, to) in self.input.interiors(input).zip(self.output.interiors_mut(output)) {
            match &self.table {
                Some(table) => {
                    let to = &mut to[self.first..];
                    lookup_pieces(self.isa, table, [from_step, to_step, len], from, to);
                }
                None => {
                    for (from, to) in from.chunks_exact(from_step).zip(to.chunks_exact_mut(to_step)) {
                        to[self.first..][..len].copy_from_slice(&from[..len]);
                    }
                }
            }
            let end = self.first + self.channels;
            if self.last && end < self.output.c {
                to.chunks_exact_mut(self.output.c).for_each(|pixel| pixel[end..].fill(0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::bytes;

    proptest! {
        #[test]
        fn channels_of_all_parts_follow_each_other(
            [h, w, images] in [1usize..4, 1usize..5, 0usize..3],
            counts in proptest::collection::vec((1usize..80, 0usize..2, any::<bool>()), 1..4),
            border: bool,
        ) {
            let channels: usize = counts.iter().map(|part| part.0).sum();
            let output = Plane::new(h, w, channels).with_border([usize::from(border); 4]);
            let table: Table = bytes(256, 1).try_into().unwrap();
            for isa in Isa::supported() {
                let mut got = vec![77; images * output.len()];
                let mut want = got.clone();
                let mut first = 0;
                for (nth, &(channels_of, wider, looked_up)) in counts.iter().enumerate() {
                    let input = Plane::new(h, w, channels_of).with_border([0, nth, 1, 0]);
                    let input = Plane { c: input.c + 4 * wider, ..input };
                    let codes = bytes(images * input.len(), nth as u64);
                    let table_of = looked_up.then_some(table);
                    let part =
                        ConcatPart::new(isa, [input, output], channels_of, first, channels, table_of).unwrap();
                    part.run(&codes, &mut got);
                    for i in 0..images * h * w * output.c {
                        let (n, y, x, c) = (i / (h * w * output.c), i / (w * output.c) % h, i / output.c % w, i % output.c);
                        let to = &mut want[n * output.len() + output.offset(y, x) + c];
                        if (first..first + channels_of).contains(&c) {
                            let code = codes[n * input.len() + input.offset(y, x) + c - first];
                            *to = if looked_up { table[usize::from(code)] } else { code };
                        } else if c >= channels {
                            *to = 0;
                        }
                    }
                    first += channels_of;
                }
                prop_assert_eq!(&got, &want, "{}", isa);
            }
        }
    }

    #[test]
    fn channels_beyond_the_output_are_refused() {
        let plane = Plane::new(2, 2, 8);
        let refused = ConcatPart::new(Isa::best(), [plane, plane], 5, 4, 8, None).unwrap_err();
        assert_eq!(refused.to_string(), "output plane: channels is 8, expected at least 9");
    }
}

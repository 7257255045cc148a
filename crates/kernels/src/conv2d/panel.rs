//! Weights of a dense convolution as its tiles read them: panels of output channels, sums in chunks.

use std::ops::Range;

use super::Conv2d;
use super::tile::Run;
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Terms of a sum per chunk: with the widest panel 120 KiB of weights.
const CHUNK: usize = 640;

/// A part of every sum.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) runs: Vec<Run>,
    /// Which of the sum's terms.
    pub(super) terms: Range<usize>,
}

/// Output channels computed together, all in one group.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) group: usize,
    /// First output channel, over all groups.
    pub(super) channel: usize,
    /// How many there are.
    pub(super) channels: usize,
    pub(super) vectors: usize,
    /// Lanes of all its vectors, at least `channels`.
    pub(super) lanes: usize,
    /// Where its weights `[term][lanes]` start.
    pub(super) weights: usize,
    /// Where its bias `[lanes]` starts.
    pub(super) bias: usize,
}

/// The terms of a sum in the order kernel row, kernel column, channel: as few runs as memory allows, in chunks
/// of equal length.
pub(super) fn chunks(shape: &Conv2d, source_w: usize) -> Vec<Chunk> {
    let group_in = shape.in_c / shape.groups;
    let [kh, kw] = shape.kernel;
    // Undilated, ungrouped kernel rows lie in one piece.
    let (pieces, len) =
        if shape.dilation[1] == 1 && shape.groups == 1 { (1, kw * group_in) } else { (kw, group_in) };
    let terms = kh * kw * group_in;
    let chunk_len = terms.div_ceil(terms.div_ceil(CHUNK));

    let mut chunks: Vec<Chunk> = Vec::new();
    let mut term = 0;
    for ky in 0..kh {
        for piece in 0..pieces {
            let start = (ky * shape.dilation[0] * source_w + piece * shape.dilation[1]) * shape.in_c;
            let mut done = 0;
            while done < len {
                if term % chunk_len == 0 {
                    chunks.push(Chunk { runs: Vec::new(), terms: term..term });
                }
                let take = (len - done).min(chunk_len - term % chunk_len);
                if let Some(chunk) = chunks.last_mut() {
                    chunk.runs.push(Run { offset: start + done, len: take });
                    chunk.terms.end += take;
                }
                (done, term) = (done + take, term + take);
            }
        }
    }
    chunks
}

/// `(lanes, vectors of the widest tile)` of an instruction set.
struct PanelSize;

impl Kernel for PanelSize {
    type Output = (usize, usize);
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        (S::LANES, S::VECTORS)
    }
}

/// Widths of the panels that cover `vectors`: as wide as possible, but rather two twos than a three and a one,
/// whose single vector would wait for its own sums.
fn panel_widths(vectors: usize, widest: usize) -> Vec<usize> {
    let mut widths = vec![widest; vectors / widest];
    match vectors % widest {
        0 => {}
        1 if widest == 3 && !widths.is_empty() => {
            widths.pop();
            widths.extend([2, 2]);
        }
        rest => widths.push(rest),
    }
    widths
}

/// The panels of all groups, one after the other.
pub(super) fn panels(isa: Isa, shape: &Conv2d) -> Vec<Panel> {
    let (lanes, widest) = isa.run(PanelSize);
    let group_out = shape.out_c / shape.groups;
    let terms = shape.weight_len() / shape.out_c;
    let vectors = group_out.div_ceil(lanes);
    let mut panels = Vec::new();
    for group in 0..shape.groups {
        let mut vector = 0;
        for width in panel_widths(vectors, widest) {
            let first = group * vectors + vector;
            panels.push(Panel {
                group,
                channel: group * group_out + vector * lanes,
                channels: (width * lanes).min(group_out - vector * lanes),
                vectors: width,
                lanes: width * lanes,
                weights: first * lanes * terms,
                bias: first * lanes,
            });
            vector += width;
        }
    }
    panels
}

/// Where weight `(group, out, in, tap)` lies in a slice; taps in the order that a convolution meets them.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Steps from one group, output channel of a group, and input channel of a group to the next.
    pub(crate) group: usize,
    pub(crate) out: usize,
    pub(crate) input: usize,
    /// Of each tap, from the first weight of its kernel.
    pub(crate) taps: Vec<usize>,
}

impl Layout {
    /// `[out, in/groups, kh, kw]`.
    pub(super) fn onnx(shape: &Conv2d) -> Layout {
        let taps = shape.kernel[0] * shape.kernel[1];
        Layout {
            group: shape.weight_len() / shape.groups,
            out: shape.weight_len() / shape.out_c,
            input: taps,
            taps: (0..taps).collect(),
        }
    }

    /// Writes one panel of `weights` to `packed: [term][lanes]`.
    pub(super) fn pack(&self, shape: &Conv2d, panel: &Panel, weights: &[f32], packed: &mut [f32]) {
        self.for_each_term(shape, panel, |term, at| {
            let to = &mut packed[term * panel.lanes..][..panel.channels];
            to.iter_mut().zip(weights[at..].iter().step_by(self.out)).for_each(|(to, from)| *to = *from);
        });
    }

    /// Writes one panel's `packed: [term][lanes]` to where it lies in `weights`.
    pub(super) fn unpack(&self, shape: &Conv2d, panel: &Panel, packed: &[f32], weights: &mut [f32]) {
        self.for_each_term(shape, panel, |term, at| {
            let from = &packed[term * panel.lanes..][..panel.channels];
            from.iter().zip(weights[at..].iter_mut().step_by(self.out)).for_each(|(from, to)| *to = *from);
        });
    }

    /// Calls `f(term, at)` with the place of the panel's first weight for each term of a sum; taps innermost, which are
    /// neighbours in memory.
    fn for_each_term(&self, shape: &Conv2d, panel: &Panel, mut f: impl FnMut(usize, usize)) {
        let (group_in, group_out) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
        let first = panel.group * self.group + (panel.channel - panel.group * group_out) * self.out;
        for input in 0..group_in {
            for (tap, offset) in self.taps.iter().enumerate() {
                f(tap * group_in + input, first + input * self.input + offset);
            }
        }
    }
}

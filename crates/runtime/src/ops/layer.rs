//! A convolution or matrix product with everything fused behind it.

use super::{Around, Io, Kernel};
use crate::Grid;
use crate::program::Content;
use lowbit_kernels::integer::{
    Inner, IntConv2d, Plane, Requantize, Residual, Steps, Table, WeightBits, Weights, looks_up_at_once,
    lookup_in_place,
};
use lowbit_kernels::{Conv2d, Isa, ShapeError, layout};
use std::ops::Range;

/// `clip(Σ (x − zero)·w + bias)`, with the rounding to an edge between and the addition behind it where they were fused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    pub(crate) conv: Conv2d,
    /// Whether it is a matrix product: rows instead of images.
    pub(crate) linear: bool,
    /// `[out, in/groups, kh, kw]`.
    pub(crate) weights: Vec<i8>,
    pub(crate) bits: WeightBits,
    /// In units of the sums.
    pub(crate) bias: Vec<i32>,
    /// Real units of one unit of the sums, per output channel.
    pub(crate) scale: Vec<f32>,
    pub(crate) input: Grid,
    /// The clip at the end.
    pub(crate) bounds: [f32; 2],
    /// The edge between sum and addition, held to the layer's own clip.
    pub(crate) inner: Option<Grid>,
    pub(crate) residual: Option<Grid>,
    /// The codes of the output that are used, where these are few.
    pub(crate) levels: Option<Steps>,
}

impl Layer {
    pub(super) fn what(&self) -> String {
        let Conv2d { in_c, out_c, kernel: [kh, kw], groups, .. } = self.conv;
        let kind = match (self.linear, groups) {
            (true, _) => "linear".to_owned(),
            (_, 1) => format!("conv {kh}×{kw}"),
            _ => format!("depthwise conv {kh}×{kw}"),
        };
        let added = if self.residual.is_some() { ", + residual" } else { "" };
        let levels =
            self.levels.as_ref().map_or(String::new(), |l| format!(", to {} levels", l.levels().count()));
        format!("{kind}, {in_c} → {out_c}, weights of {} bits{added}{levels}", self.bits.bits())
    }

    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<Ready, ShapeError> {
        let (input, _, grid) = around.reads[0].codes();
        let output = match *around.write {
            Content::Codes { plane, .. } => plane,
            Content::Float { .. } => Plane::new(self.conv.out_h(), self.conv.out_w(), self.conv.out_c),
        };
        let weights = Weights {
            codes: &self.weights,
            bits: self.bits,
            bias: &self.bias,
            zero_x: grid.zero,
            max_x: grid.hi,
        };
        let conv = IntConv2d::new(around.isa, &self.conv, input, output, &weights)?;
        let end = match *around.write {
            Content::Float { .. } => End::Float { scale: self.scale.clone(), bounds: self.bounds },
            Content::Codes { grid, .. } => {
                let unit = self.inner.map_or(grid.scale, |inner| inner.scale);
                let scale: Vec<f32> = self.scale.iter().map(|s| s / unit).collect();
                let mut requantize = Requantize::new(&scale, grid.within(self.bounds).code());
                requantize.inner =
                    self.inner.map(|inner| Inner { code: inner.code(), scale: inner.scale / grid.scale });
                requantize.residual = self.residual.map(|residual| Residual {
                    plane: around.reads[1].codes().0,
                    zero: residual.zero,
                    scale: residual.scale / grid.scale,
                });
                // Measured: in registers, levels take a tenth of a wide layer's time and half of a narrow one's; a table that
                // the CPU holds in registers takes next to none, behind the layer.
                let levels = self.levels.clone();
                let (steps, table) = if looks_up_at_once(around.isa) {
                    (None, levels.map(|levels| Box::new(levels.table())))
                } else {
                    (levels, None)
                };
                requantize.steps = steps;
                End::Codes { requantize, table }
            }
        };
        Ok(Ready { isa: around.isa, conv, end, output })
    }
}

/// What becomes of the sums.
enum End {
    Codes {
        requantize: Requantize,
        /// What becomes of the codes once they are written.
        table: Option<Box<Table>>,
    },
    Float {
        scale: Vec<f32>,
        bounds: [f32; 2],
    },
}

pub(crate) struct Ready {
    isa: Isa,
    conv: IntConv2d,
    end: End,
    output: Plane,
}

impl Ready {
    /// Whether it writes real numbers in another order than it computes them.
    fn transposes(&self) -> bool {
        let shape = self.conv.shape();
        matches!(self.end, End::Float { .. }) && shape.out_c > 1 && shape.out_h() * shape.out_w() > 1
    }

    fn residual<'a>(&self, io: &Io<'a>) -> Option<&'a [u8]> {
        match &self.end {
            End::Codes { requantize: Requantize { residual: Some(_), .. }, .. } => Some(io.reads.codes(1)),
            _ => None,
        }
    }
}

impl Kernel for Ready {
    fn scratch_len(&self) -> usize {
        // Where channels lie last before they lie first; room to start on a cache line.
        let channels_last = if self.transposes() { 4 * self.conv.shape().out_len() + 63 } else { 0 };
        self.conv.scratch_len() + channels_last
    }

    fn weight_bytes(&self) -> usize {
        self.conv.weight_bytes()
    }

    fn run(&self, io: Io<'_>) {
        let (x, residual) = (io.reads.codes(0), self.residual(&io));
        match &self.end {
            End::Codes { requantize, table } => {
                self.conv.run(x, requantize, residual, io.scratch, io.write);
                if let Some(table) = table {
                    let rows = self.output.interiors_mut(io.write);
                    rows.for_each(|row| lookup_in_place(self.isa, table, row));
                }
            }
            End::Float { scale, bounds: [lo, hi] } => {
                let y: &mut [f32] = bytemuck::cast_slice_mut(io.write);
                let held = |y: &mut [f32]| y.iter_mut().for_each(|y| *y = y.max(*lo).min(*hi));
                if !self.transposes() {
                    self.conv.run_f32(x, scale, io.scratch, y);
                    return held(y);
                }
                let shape = self.conv.shape();
                let (scratch, of_image) = io.scratch.split_at_mut(self.conv.scratch_len());
                let aligned = of_image.as_ptr().align_offset(64);
                let of_image = bytemuck::cast_slice_mut(&mut of_image[aligned..][..4 * shape.out_len()]);
                let images = x.chunks_exact(self.conv.input().len());
                for (x, y) in images.zip(y.chunks_exact_mut(shape.out_len())) {
                    self.conv.run_f32(x, scale, scratch, of_image);
                    held(of_image);
                    layout::nhwc_to_nchw(shape.out_c, shape.out_h() * shape.out_w(), of_image, y);
                }
            }
        }
    }

    fn bands(&self) -> usize {
        match self.end {
            End::Codes { .. } => self.conv.shape().out_h(),
            End::Float { .. } => 1,
        }
    }

    fn run_band(&self, rows: Range<usize>, io: Io<'_>) {
        let (x, residual) = (io.reads.codes(0), self.residual(&io));
        if let End::Codes { requantize, table } = &self.end {
            self.conv.run_band(x, rows, requantize, residual, io.scratch, io.write);
            if let Some(table) = table {
                let Plane { w, c, border, .. } = self.output;
                let rows = io.write.chunks_exact_mut(self.output.row_len());
                rows.for_each(|row| lookup_in_place(self.isa, table, &mut row[border[1] * c..][..w * c]));
            }
        }
    }
}

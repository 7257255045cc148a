//! `sparq`: few bits of each activation, chosen where it is multiplied (Shomron et al. 2021, arXiv 2105.11010).
//!
//! A network of 8-bit codes is left as it is, but each product reads its activation through a window of 4, 3 or 2 bits
//! that sits where the highest set bit is, and of two neighbours of which one is zero the other gets both windows
//! ([`lowbit_tensor::Window`]). Nothing is trained. Three parts, each of which can be left out:
//!
//! * `calibrate`: the paper's 8-bit base. An edge that is never negative gets the scale `mean over images of their largest
//!   value / 255` (the largest saturate), a weight `2·max|w| / (2^b − 1)` per output channel. Where the paper's code rounds
//!   activations with the estimate so far while it builds it, maxima here are those of the float network. Edges that may
//!   be negative keep the code of an earlier step.
//! * the windows (`layers`). First layer, classifier and layers for which the paper defines none keep 8 bits, with a note.
//! * `recalibrate` (`outputs`): the paper estimates batch normalization again under windows. Here that is folded, so
//!   mean and spread of each channel of a convolution's output are brought back to the float network's through the weight's
//!   scale and the bias: no code changes. A `bias-correction` after it would return the same shift a second time.
//!
//! The paper's mode for 2:4 sparse weights pairs the activations that face the two weights of a group that are not zero,
//! filter by filter. It is not built: a window would then belong to an operand and a filter, not to an operand.

mod layers;
mod outputs;

use super::range::LEAST_SCALE;
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::recipe::Granularity;
use crate::workbench::{Workbench, channel};
use lowbit_tensor::code::window::{self, Rounding};
use lowbit_tensor::{Code, Uniform, Window, Windowed};
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<Sparq>(
    "sparq",
    "windows of few bits over 8-bit activations, shared by pairs with a zero; for hardware, no speed-up on a CPU",
    &[
        (
            "window",
            "5opt (default), 3opt, 2opt: 4 bits | 6opt: 3 | 7opt: 2 | 6bit-3opt: 6 | none: the 8-bit base alone",
        ),
        ("rounding", "of the bits below a window: round (default) | trim"),
        ("pairs", "the neighbour of a zero keeps twice the bits (default true)"),
        ("calibrate", "scales by the paper's rule, else those of earlier steps (default true)"),
        ("recalibrate", "restore mean and spread of convolutions' outputs (default true)"),
        ("samples", "calibration samples to recalibrate on, at most (default 1024)"),
    ],
);

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sparq {
    /// Name of the window, or `none`.
    pub window: String,
    /// What happens to the bits below it.
    pub rounding: Rounding,
    /// Whether a code beside a zero keeps more: vSPARQ beside bSPARQ.
    pub pairs: bool,
    /// Whether scales are set by the paper's rule.
    pub calibrate: bool,
    /// Whether mean and spread of outputs are restored.
    pub recalibrate: bool,
    /// Most samples for that.
    pub samples: usize,
}

impl Default for Sparq {
    fn default() -> Sparq {
        Sparq {
            window: "5opt".to_owned(),
            rounding: Rounding::Round,
            pairs: true,
            calibrate: true,
            recalibrate: true,
            samples: 1024,
        }
    }
}

impl Method for Sparq {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let read = self.read()?;
        if self.calibrate {
            weights(&mut plan, bench);
            activations(&mut plan, bench);
        }
        if let Some(read) = read {
            let (windows, kept) = layers::windows(&plan, bench, read);
            kept.iter().for_each(|note| bench.run.watch.note(note.clone()));
            if !windows.is_empty() {
                bench.run.watch.note(format!(
                    "sparq: {} layers read their input through {read}. This shows the accuracy of hardware with such \
                     multipliers; on a stock CPU it is no speed-up, and a runtime that does not know windows multiplies all \
                     8 bits, which scales and biases are not fitted to",
                    windows.len()
                ));
            }
            plan.windows = windows;
        }
        if self.recalibrate {
            outputs::recalibrate(&mut plan, bench, self.samples)?;
        }
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { samples: self.recalibrate, ..Needs::default() }
    }
}

impl Sparq {
    /// What operands are read through; `None` for all 8 bits.
    fn read(&self) -> Result<Option<Windowed>, MethodError> {
        if self.window == "none" {
            return Ok(None);
        }
        let window = Window::named(&self.window, self.rounding).ok_or_else(|| {
            let names: Vec<&str> = window::ALL.iter().map(|[window, _]| window.name).collect();
            let message = format!("window is `{}`; accepted: {}, none", self.window, names.join(", "));
            MethodError::Needs { step: ENTRY.id, message }
        })?;
        Ok(Some(Windowed { window, pairs: self.pairs }))
    }
}

/// Scale of signed codes of `bits` for weights whose largest magnitude is `largest`: codes reach from −2^(bits−1) to
/// 2^(bits−1) − 1, and the largest magnitude lies between the ends (127.5 at 8 bits), so that one end saturates.
pub fn weight_scale(largest: f32, bits: u8) -> f32 {
    (2.0 * largest / ((1u32 << bits) - 1) as f32).max(LEAST_SCALE)
}

/// Sets every quantized weight by [`weight_scale`].
fn weights(plan: &mut Plan, bench: &Workbench<'_>) {
    for (site, setting) in bench.sites.weights.iter().zip(&mut plan.weights) {
        if !setting.is_quantized() {
            continue;
        }
        let (tensor, values) = bench.weight(site);
        let axis = site.channel_axis.filter(|_| bench.recipe.weights.per == Granularity::Channel);
        let channels = axis.map_or(1, |axis| tensor.shape()[axis]);
        let largest = |c: usize| match axis {
            Some(axis) => channel(&values, tensor.shape(), axis, c).fold(0f32, |m, w| m.max(w.abs())),
            None => values.iter().fold(0f32, |m, w| m.max(w.abs())),
        };
        let bits: Vec<u8> = (0..channels).map(|c| setting.bits_of(c)).collect();
        let code = Uniform {
            axis,
            signed: true,
            scale: bits.iter().enumerate().map(|(c, &bits)| weight_scale(largest(c), bits.max(1))).collect(),
            zero_point: vec![0; channels],
            bits,
            shift: None,
        };
        setting.set(Code::Uniform(code), ENTRY.id);
    }
}

/// Sets every edge of 8 bits that is never negative: code 255 is the mean of what images reach.
fn activations(plan: &mut Plan, bench: &Workbench<'_>) {
    for (i, site) in bench.sites.activations.iter().enumerate() {
        let setting = &mut plan.activations[i];
        let seen = &bench.seen.edges[i].tensor;
        let positive = site.bounds[0] >= 0.0 || seen.min >= 0.0;
        if setting.bits == [8] && positive && site.follows.is_none() {
            let reach = (seen.mean_max() as f32).min(site.bounds[1]);
            let code = Uniform::covering(0.0, reach, 8);
            setting.set(Code::Uniform(code), ENTRY.id);
        }
    }
}

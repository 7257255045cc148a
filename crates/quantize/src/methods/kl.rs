//! `kl`: the clip under which the quantized distribution tells most about the original (least Kullback–Leibler
//! divergence), as TensorRT's calibrator chooses it.
//!
//! For each candidate clip the histogram inside it is the reference (what lies outside is added to its last bin); the same
//! bins averaged over the quantization levels are the candidate. Levels follow the bits asked for.

use super::range::fit_activations;
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
use serde::Deserialize;

pub(super) const ENTRY: Entry =
    Entry::new::<Kl>("kl", "activation range of least KL divergence (TensorRT's calibration)", &[]);

/// No options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kl {}

impl Method for Kl {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        fit_activations(&mut plan, bench, ENTRY.id, |edge| {
            let h = &edge.whole.histogram;
            let [lo, hi] = edge.observed();
            let zero = -(h.lo() / h.width()).round() as i64;
            let end = h.counts().len() as i64;
            // Magnitudes: both sides folded, as the clip is symmetric about zero where the edge is signed.
            let reach = (end - zero).max(zero).max(1) as usize;
            let mut folded = vec![0f64; reach];
            for (i, &n) in h.counts().iter().enumerate() {
                let bin = i as i64 - zero;
                let magnitude = if bin >= 0 { bin } else { -1 - bin } as usize;
                folded[magnitude.min(reach - 1)] += n as f64;
            }
            let levels = 1usize << if lo < 0.0 { edge.bits - 1 } else { edge.bits };
            let clip = least_divergence(&folded, levels) as f32 * h.width();
            Some([lo.max(-clip), hi.min(clip)])
        });
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { histogram: true, ..Needs::default() }
    }
}

/// Number of leading bins to keep so that `levels` levels over them lose least information.
pub fn least_divergence(counts: &[f64], levels: usize) -> usize {
    let step = (counts.len() / 256).max(1);
    let candidates = (levels.min(counts.len())..=counts.len()).rev().step_by(step);
    let scored = candidates.map(|keep| (divergence(counts, keep, levels), keep));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(counts.len(), |(_, keep)| keep)
}

/// KL divergence of the reference (clipped at `keep` bins) from its quantization to `levels`.
fn divergence(counts: &[f64], keep: usize, levels: usize) -> f64 {
    let mut reference = counts[..keep].to_vec();
    let outside: f64 = counts[keep..].iter().sum();
    let inside = &counts[..keep];
    let mut quantized = vec![0f64; keep];
    for level in 0..levels {
        let (from, to) = (level * keep / levels, (level + 1) * keep / levels);
        let group = &inside[from..to];
        let filled = group.iter().filter(|&&n| n > 0.0).count();
        let share = group.iter().sum::<f64>() / filled.max(1) as f64;
        for (q, &n) in quantized[from..to].iter_mut().zip(group) {
            *q = if n > 0.0 { share } else { 0.0 };
        }
    }
    if let Some(last) = reference.last_mut() {
        *last += outside;
    }
    let (total_p, total_q) = (reference.iter().sum::<f64>(), quantized.iter().sum::<f64>());
    if total_p == 0.0 || total_q == 0.0 {
        return f64::INFINITY;
    }
    // A little everywhere, so that an empty candidate bin costs much but not infinity.
    const SMOOTH: f64 = 1e-4;
    reference
        .iter()
        .zip(&quantized)
        .filter(|&(&p, _)| p > 0.0)
        .map(|(&p, &q)| {
            let (p, q) = (p / total_p, (q / total_q).max(SMOOTH / keep as f64));
            p * (p / q).ln()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_thin_tail_is_cut() {
        let mut counts: Vec<f64> = (0..2000).map(|i| 1e6 * (-(i as f64) / 60.0).exp()).collect();
        counts[1999] = 1.0;
        let keep = least_divergence(&counts, 16);
        assert!((150..900).contains(&keep), "{keep}");
        assert!(least_divergence(&counts, 256) > keep);
    }
}

//! How operands use their windows, for people who design hardware: where windows sit, how many operands are zero, how many
//! pairs have a zero, and how many bits change from one operand to the next on a multiplier's input.
//!
//! Counted on the simulated network's own operands, in the order in which memory has them: pixel by pixel, and within a
//! pixel pair after pair of channels, each pair on the same two lanes.

use crate::plan::Plan;
use crate::report::WindowUse;
use crate::simulate::simulate;
use crate::site::Sites;
use lowbit_engine::{EngineError, Layout, Network, View};
use lowbit_graph::ops::BitWindow;
use lowbit_graph::{Graph, Op, ValueId};
use lowbit_tensor::code::lanes::Lane;
use lowbit_tensor::number::encode;
use lowbit_tensor::{Tensor, Windowed};
use std::collections::BTreeMap;

/// Use of each layer's window, by weight site, on some samples.
///
/// # Errors
/// When the network cannot be run on them.
pub fn measure(
    graph: &Graph,
    sites: &Sites,
    plan: &Plan,
    inputs: &[Tensor],
) -> Result<BTreeMap<usize, WindowUse>, EngineError> {
    let simulated = simulate(graph, sites, plan);
    let producers = simulated.producers();
    let window = |i: usize| -> Option<(ValueId, &BitWindow)> {
        let layer = producers.get(&graph.nodes[sites.weights[i].node.0].outputs[0])?;
        let operand = simulated.nodes[layer.0].input(0)?;
        let node = &simulated.nodes[producers.get(&operand)?.0];
        match &node.op {
            Op::BitWindow(op) => Some((node.input(0)?, op)),
            _ => None,
        }
    };
    let windows: Vec<(usize, ValueId, &BitWindow)> =
        plan.windows.keys().filter_map(|&i| window(i).map(|(edge, op)| (i, edge, op))).collect();
    let mut taps: Vec<ValueId> = windows.iter().map(|&(_, edge, _)| edge).collect();
    taps.sort_unstable();
    taps.dedup();
    let (_, chunks) = Network::with_taps(&simulated, &taps)?.observe(inputs, |views, _| {
        let of = |&(_, edge, op): &(usize, ValueId, &BitWindow)| {
            let mut counts = Counts::default();
            counts.view(op, &views[taps.binary_search(&edge).expect("every edge is tapped")]);
            counts
        };
        windows.iter().map(of).collect::<Vec<Counts>>()
    })?;
    let mut all = vec![Counts::default(); windows.len()];
    for chunk in chunks {
        all.iter_mut().zip(chunk).for_each(|(all, counts)| all.merge(&counts));
    }
    let reported = windows.iter().zip(all).map(|((i, _, op), counts)| (*i, counts.report(&op.read)));
    Ok(reported.collect())
}

/// What was counted of one layer's operands.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    operands: u64,
    zeros: u64,
    pairs: u64,
    one_zero: u64,
    both_zero: u64,
    /// Operands that are not zero, by the place of their window; those that have two windows are in `wide`.
    places: [u64; 8],
    wide: u64,
    /// Operands with one before them on their lane.
    followed: u64,
    /// Bits that changed there: of 8-bit operands, of window codes, and of what goes with them (shift and selection).
    flips: [u64; 3],
}

impl Counts {
    /// Adds the operands of some images.
    fn view(&mut self, op: &BitWindow, view: &View<'_>) {
        let images = view.shape.first().copied().unwrap_or(1).max(1);
        let along = if op.axis == 1 { 1 } else { view.shape.len() - 1 };
        let (summed, inner) = match view.layout {
            Layout::ChannelsLast => (view.shape[1], 1),
            Layout::RowMajor => (view.shape[along], view.shape[along + 1..].iter().product::<usize>()),
        };
        let mut codes = vec![0; summed];
        for image in view.data.chunks_exact((view.data.len() / images).max(1)) {
            let mut before = None;
            for block in image.chunks_exact(summed * inner) {
                for i in 0..inner {
                    let values = block[i..].iter().step_by(inner);
                    codes
                        .iter_mut()
                        .zip(values)
                        .for_each(|(q, &x)| *q = encode(x, op.scale, 0, [0, 255]) as u8);
                    codes.chunks(2).for_each(|pair| self.pair(&op.read, pair, &mut before));
                }
            }
        }
    }

    /// Adds two neighbours, or the last one alone; `before` is what their lanes held.
    fn pair(&mut self, read: &Windowed, pair: &[u8], before: &mut Option<([u8; 2], [Lane; 2])>) {
        let codes = [pair[0], pair.get(1).copied().unwrap_or(0)];
        let zeros = pair.iter().filter(|&&q| q == 0).count();
        self.operands += pair.len() as u64;
        self.zeros += zeros as u64;
        if pair.len() == 2 {
            self.pairs += 1;
            self.one_zero += u64::from(zeros == 1);
            self.both_zero += u64::from(zeros == 2);
        }
        for (code, partner) in [(codes[0], codes[1]), (codes[1], codes[0])] {
            match (code, partner) {
                (0, _) => {}
                (_, 0) if read.pairs => self.wide += 1,
                (code, _) => self.places[usize::from(read.window.shift(code))] += 1,
            }
        }
        let lanes = read.lanes(codes);
        if let Some((old_codes, old)) = before.replace((codes, lanes)) {
            for i in 0..2 {
                let (new, old) = (lanes[i], old[i]);
                self.followed += 1;
                self.flips[0] += u64::from((codes[i] ^ old_codes[i]).count_ones());
                self.flips[1] += u64::from((new.code ^ old.code).count_ones());
                self.flips[2] +=
                    u64::from((new.shift ^ old.shift).count_ones() + u32::from(new.crosses != old.crosses));
            }
        }
    }

    fn merge(&mut self, other: &Counts) {
        let add = |a: &mut [u64], b: &[u64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        self.operands += other.operands;
        self.zeros += other.zeros;
        self.pairs += other.pairs;
        self.one_zero += other.one_zero;
        self.both_zero += other.both_zero;
        self.wide += other.wide;
        self.followed += other.followed;
        add(&mut self.places, &other.places);
        add(&mut self.flips, &other.flips);
    }

    fn report(&self, read: &Windowed) -> WindowUse {
        let share = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
        let multiplied = self.operands - self.zeros;
        let [flips_of_8_bits, flips_of_window, flips_of_control] =
            self.flips.map(|flips| flips as f64 / self.followed.max(1) as f64);
        WindowUse {
            window: read.to_string(),
            bits: read.window.bits,
            zero_percent: share(self.zeros, self.operands),
            one_zero_percent: share(self.one_zero, self.pairs),
            both_zero_percent: share(self.both_zero, self.pairs),
            shifts: read.window.shifts.to_vec(),
            shift_percent: read
                .window
                .shifts
                .iter()
                .map(|&s| share(self.places[usize::from(s)], multiplied))
                .collect(),
            wide_percent: share(self.wide, multiplied),
            flips_of_8_bits,
            flips_of_window,
            flips_of_control,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Window;
    use lowbit_tensor::code::window::Rounding;

    fn op(pairs: bool) -> BitWindow {
        let window = Window::named("5opt", Rounding::Trim).unwrap();
        BitWindow { read: Windowed { window, pairs }, axis: 1, scale: 1.0 }
    }

    fn counted(op: &BitWindow, shape: &[usize], layout: Layout, data: &[f32]) -> Counts {
        let mut counts = Counts::default();
        counts.view(op, &View { shape, layout, data });
        counts
    }

    #[test]
    fn every_operand_is_zero_wide_or_at_one_place() {
        // Two pixels of four channels: (27, 0), (0, 0) and (215, 3), (17, 16).
        let counts =
            counted(&op(true), &[1, 4, 1, 2], Layout::ChannelsLast, &[27., 0., 0., 0., 215., 3., 17., 16.]);
        assert_eq!((counts.operands, counts.zeros, counts.pairs), (8, 3, 4));
        assert_eq!((counts.one_zero, counts.both_zero, counts.wide), (1, 1, 1));
        assert_eq!(counts.places, [1, 2, 0, 0, 1, 0, 0, 0]);
        let counts =
            counted(&op(false), &[1, 4, 1, 2], Layout::ChannelsLast, &[27., 0., 0., 0., 215., 3., 17., 16.]);
        assert_eq!((counts.wide, counts.places), (0, [1, 3, 0, 0, 1, 0, 0, 0]));
    }

    #[test]
    fn the_layout_makes_no_difference() {
        let pixels: Vec<f32> =
            (0..2 * 3 * 4).map(|i| (i * 53 % 200) as f32 * f32::from(i % 3 != 0)).collect();
        let mut planes = vec![0.0; pixels.len()];
        for (i, &x) in pixels.iter().enumerate() {
            let (image, pixel, c) = (i / 12, i % 12 / 3, i % 3);
            planes[image * 12 + c * 4 + pixel] = x;
        }
        let shape = [2, 3, 2, 2];
        let last = counted(&op(true), &shape, Layout::ChannelsLast, &pixels);
        assert_eq!(last, counted(&op(true), &shape, Layout::RowMajor, &planes));
        assert_eq!(last.pairs, 8, "the third channel has no partner");
    }

    #[test]
    fn flips_are_counted_per_lane_from_pair_to_pair() {
        // Lanes 0 and 1 go from (15, 0) to (15, 16): 8-bit operands flip one bit; windows: 15 beside a zero is halves 0 at 4
        // and 15 at 0 (crossing), then 15 at 0 and 8 at 1.
        let counts = counted(&op(true), &[1, 4], Layout::RowMajor, &[15., 0., 15., 16.]);
        assert_eq!((counts.followed, counts.flips), (2, [1, 4 + 3, 1 + 1 + 1]));
        let report = counts.report(&op(true).read);
        assert_eq!((report.flips_of_8_bits, report.flips_of_window, report.zero_percent), (0.5, 3.5, 25.0));
    }
}

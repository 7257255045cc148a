//! Plain stand-ins until the kernels have these.
use lowbit_kernels::{FakeQuant, Isa, Unary};

pub(crate) fn unary_backward(_: Isa, op: Unary, x: &[f32], y: &[f32], dy: &mut [f32]) {
    for ((dy, &x), &y) in dy.iter_mut().zip(x).zip(y) {
        *dy *= match op {
            Unary::Relu => f32::from(u8::from(y > 0.0)),
            Unary::Clip { lo, hi } => f32::from(u8::from(y > lo && y < hi)),
            Unary::Sigmoid => y * (1.0 - y),
            Unary::Tanh => 1.0 - y * y,
            Unary::HardSwish => {
                if x <= -3.0 {
                    0.0
                } else if x >= 3.0 {
                    1.0
                } else {
                    x / 3.0 + 0.5
                }
            }
            _ => unreachable!(),
        };
    }
}

pub(crate) fn fake_quant_backward(_: Isa, q: &FakeQuant, x: &[f32], dy: &mut [f32]) -> f64 {
    let (lo, hi) = ((q.lo - q.zero_point) as f32, (q.hi - q.zero_point) as f32);
    let mut sum = 0.0f32;
    for (dy, &x) in dy.iter_mut().zip(x) {
        let steps = x / q.scale;
        let code = steps.round_ties_even();
        let (ds, pass) = if code < lo {
            (lo, 0.0)
        } else if code > hi {
            (hi, 0.0)
        } else {
            (code - steps, 1.0)
        };
        sum += *dy * ds;
        *dy *= pass;
    }
    f64::from(sum)
}

pub(crate) fn global_average_pool_backward(
    _: Isa,
    pixels: usize,
    channels: usize,
    dy: &[f32],
    dx: &mut [f32],
    add: bool,
) {
    for (dy, dx) in dy.chunks_exact(channels).zip(dx.chunks_exact_mut(pixels * channels)) {
        for row in dx.chunks_exact_mut(channels) {
            for (dx, dy) in row.iter_mut().zip(dy) {
                let part = dy / pixels as f32;
                *dx = if add { *dx + part } else { part };
            }
        }
    }
}

//! The plain twin, one parameter at a time, in f64.

use super::Sgd;

/// The parameter and its velocity after a step with gradient `g`.
pub fn step(sgd: &Sgd, parameter: f32, g: f32, velocity: f32) -> [f32; 2] {
    let [rate, momentum, decay] = [sgd.learning_rate, sgd.momentum, sgd.weight_decay].map(f64::from);
    let (p, mut g) = (f64::from(parameter), f64::from(g));
    g += decay * p;
    let v = momentum * f64::from(velocity) + g;
    let direction = if sgd.nesterov { g + momentum * v } else { v };
    [p - rate * direction, v].map(|x| x as f32)
}

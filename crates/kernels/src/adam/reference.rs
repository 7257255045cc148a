//! The plain twin, one parameter at a time, in f64.

use super::Adam;

/// The parameter and the two averages after step `t` with gradient `g`.
pub fn step(adam: &Adam, t: u32, parameter: f32, g: f32, averages: [f32; 2]) -> [f32; 3] {
    let [first, second] = averages.map(f64::from);
    let g = f64::from(g);
    let first = adam.betas[0] * first + (1.0 - adam.betas[0]) * g;
    let second = adam.betas[1] * second + (1.0 - adam.betas[1]) * g * g;
    let [step, root] = adam.corrected(t);
    let moved = f64::from(parameter) - step * first / (second.sqrt() / root + adam.epsilon);
    [moved, first, second].map(|x| x as f32)
}

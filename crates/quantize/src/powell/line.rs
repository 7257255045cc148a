//! The least value along a line: a bracket by steps downhill, then Brent's method inside it.

/// Growth of steps downhill; the golden ratio.
const GROWTH: f64 = 1.618_034;
/// How many times further than the last step a parabola may reach.
const REACH: f64 = 110.0;
/// Share of an interval that a golden step cuts off.
const GOLDEN: f64 = 0.381_966_0;

/// How to search a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// First step tried.
    pub first: f64,
    /// The place of the minimum is wanted to this share of itself ...
    pub relative: f64,
    /// ... plus this much.
    pub absolute: f64,
    /// Most evaluations of each part, bracket and Brent.
    pub evaluations: usize,
}

impl Default for Line {
    /// As in SciPy's Powell.
    fn default() -> Line {
        Line { first: 1.0, relative: 0.01, absolute: 1e-11, evaluations: 500 }
    }
}

/// A place on the line and the value there.
type Sample = (f64, f64);

impl Line {
    /// The place of the least value found, and the value: not larger than `at_zero`, the finite value at 0.
    ///
    /// # Errors
    /// Those of `g`.
    pub fn minimize<E>(&self, at_zero: f64, mut g: impl FnMut(f64) -> Result<f64, E>) -> Result<Sample, E> {
        let bracket = self.bracket(at_zero, &mut g)?;
        self.brent(bracket, g)
    }

    /// Two places and a third between them that is not higher than either, unless the function falls for ever.
    fn bracket<E>(&self, at_zero: f64, g: &mut impl FnMut(f64) -> Result<f64, E>) -> Result<[Sample; 3], E> {
        let mut sample = |s: f64| -> Result<Sample, E> { Ok((s, g(s)?)) };
        let (mut a, mut b) = ((0.0, at_zero), sample(self.first)?);
        if a.1 < b.1 {
            (a, b) = (b, a);
        }
        let mut c = sample(b.0 + GROWTH * (b.0 - a.0))?;
        let mut left = self.evaluations;
        while c.1 < b.1 && left > 0 {
            left -= 1;
            let next = c.0 + GROWTH * (c.0 - b.0);
            let furthest = b.0 + REACH * (c.0 - b.0);
            let vertex = vertex(a, b, c);
            let d = if (vertex - c.0) * (b.0 - vertex) > 0.0 {
                let d = sample(vertex)?;
                if d.1 < c.1 {
                    return Ok([b, d, c]);
                }
                if d.1 > b.1 {
                    return Ok([a, b, d]);
                }
                sample(next)?
            } else if (vertex - furthest) * (furthest - c.0) >= 0.0 {
                sample(furthest)?
            } else if (vertex - furthest) * (c.0 - vertex) > 0.0 {
                let d = sample(vertex)?;
                if d.1 < c.1 {
                    (b, c) = (c, d);
                    sample(c.0 + GROWTH * (c.0 - b.0))?
                } else {
                    d
                }
            } else {
                sample(next)?
            };
            (a, b, c) = (b, c, d);
        }
        Ok([a, b, c])
    }

    /// Brent's method: parabolas through the three best places where they behave, golden steps where they do not.
    fn brent<E>(
        &self,
        [a, best, c]: [Sample; 3],
        mut g: impl FnMut(f64) -> Result<f64, E>,
    ) -> Result<Sample, E> {
        let (mut lo, mut hi) = (a.0.min(c.0), a.0.max(c.0));
        // The best place, the second best, and the one that was second before.
        let (mut x, mut w, mut v) = (best, best, best);
        let (mut step, mut last) = (0.0f64, 0.0f64);
        for _ in 0..self.evaluations {
            let least = self.relative * x.0.abs() + self.absolute;
            let middle = 0.5 * (lo + hi);
            if (x.0 - middle).abs() < 2.0 * least - 0.5 * (hi - lo) {
                break;
            }
            let golden = if x.0 >= middle { lo - x.0 } else { hi - x.0 };
            let parabola = vertex(w, x, v) - x.0;
            let inside = lo < x.0 + parabola && x.0 + parabola < hi;
            // Steps must halve every second time, else the parabolas lead nowhere.
            if last.abs() > least && inside && parabola.abs() < 0.5 * last.abs() {
                last = step;
                step = parabola;
                let u = x.0 + step;
                if u - lo < 2.0 * least || hi - u < 2.0 * least {
                    step = if middle >= x.0 { least } else { -least };
                }
            } else {
                last = golden;
                step = GOLDEN * golden;
            }
            // Nearer than the wanted precision nothing can be told apart.
            let u = x.0 + if step.abs() >= least { step } else { least.copysign(step) };
            let u = (u, g(u)?);
            if u.1 <= x.1 {
                *(if u.0 >= x.0 { &mut lo } else { &mut hi }) = x.0;
                (v, w, x) = (w, x, u);
            } else {
                *(if u.0 < x.0 { &mut lo } else { &mut hi }) = u.0;
                if u.1 <= w.1 || w.0 == x.0 {
                    (v, w) = (w, u);
                } else if u.1 <= v.1 || v.0 == x.0 || v.0 == w.0 {
                    v = u;
                }
            }
        }
        Ok(x)
    }
}

/// Where the parabola through three places turns; not a number, or anywhere, where they lie on a line or coincide.
fn vertex(a: Sample, b: Sample, c: Sample) -> f64 {
    let (left, right) = ((b.0 - a.0) * (b.1 - c.1), (b.0 - c.0) * (b.1 - a.1));
    b.0 - 0.5 * ((b.0 - c.0) * right - (b.0 - a.0) * left) / (right - left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn minimize(line: Line, g: impl Fn(f64) -> f64) -> (Sample, usize) {
        let mut evaluations = 0;
        let counted = |s| {
            evaluations += 1;
            Ok::<_, Infallible>(g(s))
        };
        let Ok(found) = line.minimize(g(0.0), counted);
        (found, evaluations)
    }

    #[test]
    fn a_parabola_is_minimized_on_either_side_near_and_far() {
        for place in [-40.0, -0.3, 0.2, 1.0, 7.0, 1e4] {
            let ((s, value), evaluations) = minimize(Line::default(), |s| (s - place).powi(2));
            assert!((s - place).abs() <= 0.011 * place.abs() && value <= place * place, "{place}: {s}");
            assert!(evaluations < 40, "{place}: {evaluations}");
        }
    }

    #[test]
    fn the_absolute_precision_ends_the_search_where_the_relative_one_would_not() {
        let g = |s: f64| (s - 0.001).powi(2);
        let coarse = Line { first: 0.1, absolute: 0.01, ..Line::default() };
        let ((s, _), few) = minimize(coarse, g);
        let (_, many) = minimize(Line { first: 0.1, ..Line::default() }, g);
        assert!((s - 0.001).abs() < 0.03 && few < many, "{s}: {few}, {many}");
    }

    #[test]
    fn jumps_and_flats_never_raise_the_value() {
        let g = |s: f64| ((s * 7.0).floor() - 3.0).abs() + (s * 31.0).sin().signum() * 0.3;
        for first in [1.0, 0.1, -0.5] {
            let ((_, value), _) = minimize(Line { first, ..Line::default() }, g);
            assert!(value <= g(0.0));
        }
        assert_eq!(minimize(Line::default(), |_| 2.0).0.1, 2.0);
    }

    #[test]
    fn a_function_that_falls_for_ever_ends_the_search() {
        let (_, evaluations) = minimize(Line { evaluations: 20, ..Line::default() }, |s| -s);
        assert!(evaluations <= 42, "{evaluations}");
    }
}

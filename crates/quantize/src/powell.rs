//! Powell's method: a minimum of a function of several variables without its gradient (Powell 1964, with the
//! acceptance test of Acton for new directions; the variant that SciPy calls `method="Powell"`).
//!
//! A sweep searches along each direction in turn, at first the axes. After it the way gone may replace the direction
//! that gained most: a direction conjugate to the others, if the function is quadratic. [`Powell::step`] does one line
//! search, so that the caller sees each, may save what it has, and may stop anywhere: the point never gets worse.
//!
//! The function may be undefined in places: where it is infinite, it is not entered. That is how bounds are said.

mod line;

pub use line::Line;

/// When to stop, and how to search a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Most sweeps.
    pub sweeps: usize,
    /// A sweep that lowers the value by less than this share of it is the last.
    pub tolerance: f64,
    /// How each line is searched.
    pub line: Line,
}

impl Default for Options {
    /// As in SciPy: sweeps until one gains less than 1e-4 of the value.
    fn default() -> Options {
        Options { sweeps: usize::MAX, tolerance: 1e-4, line: Line::default() }
    }
}

/// A search for a minimum, between two line searches.
#[derive(Clone, Debug, PartialEq)]
pub struct Powell {
    options: Options,
    point: Vec<f64>,
    value: f64,
    directions: Vec<Vec<f64>>,
    /// Direction that the next step searches; past the last, the sweep is over.
    next: usize,
    sweeps: usize,
    /// Where the way that may become a direction began.
    origin: Vec<f64>,
    /// Value when the sweep began.
    before: f64,
    /// The largest decrease of a line search of this sweep, and its direction.
    largest: (f64, usize),
    finished: bool,
}

/// What one line search did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Sweep it belongs to, from 0. The search along the way gone belongs to the sweep that it opens.
    pub sweep: usize,
    /// Index of the direction searched; `None` for the way gone.
    pub direction: Option<usize>,
    /// Value before.
    pub before: f64,
    /// Value after; not larger.
    pub after: f64,
}

impl Powell {
    /// A search from `point`, where the function has the finite value `value`.
    pub fn new(point: Vec<f64>, value: f64, options: Options) -> Powell {
        let axis = |i| (0..point.len()).map(|j| f64::from(u8::from(i == j))).collect();
        Powell {
            directions: (0..point.len()).map(axis).collect(),
            next: 0,
            sweeps: 0,
            origin: point.clone(),
            before: value,
            largest: (0.0, 0),
            finished: point.is_empty() || options.sweeps == 0,
            options,
            point,
            value,
        }
    }

    /// The best point so far.
    pub fn point(&self) -> &[f64] {
        &self.point
    }

    /// The value there.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Sweeps done.
    pub fn sweeps(&self) -> usize {
        self.sweeps
    }

    /// The directions of the present sweep.
    pub fn directions(&self) -> &[Vec<f64>] {
        &self.directions
    }

    /// Does the next line search; `None` when the search is over.
    ///
    /// # Errors
    /// Those of `f`; the point is then that of the last search that ended.
    pub fn step<E>(&mut self, mut f: impl FnMut(&[f64]) -> Result<f64, E>) -> Result<Option<Search>, E> {
        if self.finished {
            return Ok(None);
        }
        if self.next == self.directions.len()
            && let Some(search) = self.turn(&mut f)?
        {
            return Ok(Some(search));
        }
        let direction = self.directions[self.next].clone();
        let search = self.search(&mut f, &direction, Some(self.next))?.0;
        if search.before - search.after > self.largest.0 {
            self.largest = (search.before - search.after, self.next);
        }
        self.next += 1;
        if self.next == self.directions.len() {
            self.sweeps += 1;
            let gain = self.before - self.value;
            let least = self.options.tolerance * (self.before.abs() + self.value.abs()) + 1e-20;
            self.finished = 2.0 * gain <= least || self.sweeps >= self.options.sweeps;
        }
        Ok(Some(search))
    }

    /// Opens a sweep: the way gone, from where the last one began, is searched and becomes a direction if going it once
    /// more still gains, and if the gain was neither one direction's alone nor at its end.
    fn turn<E>(&mut self, f: &mut impl FnMut(&[f64]) -> Result<f64, E>) -> Result<Option<Search>, E> {
        let way: Vec<f64> = self.point.iter().zip(&self.origin).map(|(x, o)| x - o).collect();
        let beyond: Vec<f64> = self.point.iter().zip(&way).map(|(x, d)| x + d).collect();
        let further = f(&beyond)?;
        let (start, here, (largest, big)) = (self.before, self.value, self.largest);
        self.origin.clone_from(&self.point);
        let bend = 2.0 * (start + further - 2.0 * here) * (start - here - largest).powi(2)
            - largest * (start - further).powi(2);
        let search = if further < start && bend < 0.0 {
            let (search, gone) = self.search(f, &way, None)?;
            if gone.iter().any(|&g| g != 0.0) {
                self.directions.swap_remove(big);
                self.directions.push(gone);
            }
            Some(search)
        } else {
            None
        };
        (self.next, self.before, self.largest) = (0, self.value, (0.0, 0));
        Ok(search)
    }

    /// Moves to the least value found along a direction; also tells the way moved.
    fn search<E>(
        &mut self,
        f: &mut impl FnMut(&[f64]) -> Result<f64, E>,
        along: &[f64],
        direction: Option<usize>,
    ) -> Result<(Search, Vec<f64>), E> {
        let at = |s: f64| -> Vec<f64> { self.point.iter().zip(along).map(|(x, d)| x + s * d).collect() };
        let (s, after) = self.options.line.minimize(self.value, |s| f(&at(s)))?;
        let (before, sweep) = (self.value, self.sweeps);
        (self.point, self.value) = (at(s), after);
        Ok((Search { sweep, direction, before, after }, along.iter().map(|d| s * d).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn quadratic(x: &[f64]) -> Result<f64, Infallible> {
        Ok((x[0] - 1.0).powi(2) + (x[1] + 2.0).powi(2) + 1.5 * x[0] * x[1])
    }

    fn rosenbrock(x: &[f64]) -> Result<f64, Infallible> {
        Ok((1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2))
    }

    type Function = fn(&[f64]) -> Result<f64, Infallible>;

    /// Runs to the end, counting evaluations.
    fn run(f: Function, start: &[f64], sweeps: usize) -> (Powell, usize) {
        let Ok(value) = f(start);
        let mut powell = Powell::new(start.to_vec(), value, Options { sweeps, ..Options::default() });
        let mut evaluations = 1;
        while let Ok(Some(search)) = powell.step(|x| {
            evaluations += 1;
            f(x)
        }) {
            assert!(search.after <= search.before);
        }
        (powell, evaluations)
    }

    fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < tolerance;
        assert!(found.iter().zip(expected).all(near), "{found:?} {expected:?}");
    }

    #[test]
    fn the_first_sweep_searches_the_axes() {
        let (powell, _) = run(quadratic, &[0.0, 0.0], 1);
        assert_near(powell.point(), &[1.0, -2.75], 1e-6);
        assert_near(&[powell.value()], &[-3.5625], 1e-9);
        assert_eq!(powell.directions(), [[1.0, 0.0], [0.0, 1.0]]);
    }

    #[test]
    fn a_way_that_goes_on_gaining_replaces_the_direction_that_gained_most() {
        let (powell, _) = run(quadratic, &[0.0, 0.0], 2);
        assert_near(&[powell.value()], &[-12.7185], 1e-3);
        assert_near(powell.point(), &[4.6332, -5.7114], 1e-2);
        assert_eq!(powell.directions()[0], [1.0, 0.0]);
        let [along, across] = powell.directions()[1][..] else { panic!("two variables") };
        assert!((across / along + 2.75).abs() < 1e-6, "the way gone was (1, -2.75)");
        assert_near(&[run(quadratic, &[0.0, 0.0], 3).0.value()], &[-13.2832], 1e-3);
    }

    #[test]
    fn a_quadratic_is_minimized_in_five_sweeps() {
        let (powell, evaluations) = run(quadratic, &[0.0, 0.0], usize::MAX);
        assert_near(powell.point(), &[5.714286, -6.285714], 1e-3);
        assert_near(&[powell.value()], &[-13.28571429], 1e-6);
        assert_eq!(powell.sweeps(), 5);
        // SciPy takes 157: it evaluates the start of each of the 13 lines again.
        assert_eq!(evaluations, 144);
    }

    #[test]
    fn the_curved_valley_is_walked_to_its_end() {
        let start = [-1.2, 1.0];
        assert_near(&[run(rosenbrock, &start, 1).0.value()], &[3.9799], 1e-4);
        assert_near(&[run(rosenbrock, &start, 2).0.value()], &[3.9480], 1e-3);
        let (powell, _) = run(rosenbrock, &start, usize::MAX);
        assert_near(powell.point(), &[1.0, 1.0], 1e-4);
        assert_eq!(powell.sweeps(), 23);
    }

    #[test]
    fn one_sweep_minimizes_what_separates_and_one_variable_is_one_line() {
        let separable: Function = |x| Ok((x[0] - 3.0).powi(2) + 5.0 * (x[1] + 1.0).powi(2) + x[2] * x[2]);
        assert_near(run(separable, &[0.0, 0.0, 4.0], 1).0.point(), &[3.0, -1.0, 0.0], 1e-5);
        let single: Function = |x| Ok((x[0] - 0.3).powi(2));
        let mut powell = Powell::new(vec![0.0], 0.09, Options { sweeps: 1, ..Options::default() });
        assert!(powell.step(single).unwrap().is_some() && powell.step(single).unwrap().is_none());
        assert_eq!(powell.point()[0], Line::default().minimize(0.09, |s| single(&[s])).unwrap().0);
    }

    #[test]
    fn where_the_function_is_infinite_is_not_entered() {
        let walled: Function =
            |x| Ok(if x[0] > 0.5 { f64::INFINITY } else { (x[0] - 2.0).powi(2) + x[1] * x[1] });
        let (powell, _) = run(walled, &[0.0, 1.0], usize::MAX);
        assert_near(powell.point(), &[0.5, 0.0], 0.02);
    }

    #[test]
    fn nothing_to_vary_is_no_search() {
        let mut powell = Powell::new(Vec::new(), 1.0, Options::default());
        assert_eq!(powell.step(|_| Ok::<_, Infallible>(0.0)), Ok(None));
    }
}

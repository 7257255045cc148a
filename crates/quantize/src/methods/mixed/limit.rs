//! What a choice of widths may take: bytes or time, a sum over layers.

/// One limit on all layers together.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The option that set it.
    pub name: &'static str,
    /// `[unit][choice]`, in the unit of the option.
    pub cost: Vec<Vec<f64>>,
    /// What the layers that are not chosen take.
    pub fixed: f64,
    /// Most that all may take.
    pub most: f64,
}

impl Limit {
    /// What a choice takes.
    pub fn of(&self, chosen: &[usize]) -> f64 {
        self.fixed + self.cost.iter().zip(chosen).map(|(costs, &c)| costs[c]).sum::<f64>()
    }

    /// Whether so much keeps the limit; a last digit does not decide it.
    pub fn allows(&self, amount: f64) -> bool {
        amount <= self.most * (1.0 + 1e-9)
    }

    /// Whether a choice keeps the limit.
    pub fn holds(&self, chosen: &[usize]) -> bool {
        self.allows(self.of(chosen))
    }
}

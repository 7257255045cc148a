//! Names in use, and new ones.

use std::collections::{HashMap, HashSet};

/// The names in use in one namespace.
#[derive(Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// Last suffix given to each base, so that a file full of one name costs linear time.
    suffix: HashMap<String, usize>,
}

impl Names {
    /// Takes a name; whether it was free.
    pub(crate) fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }

    /// Takes `base`, or the first of `base_1`, `base_2`, … that is free.
    pub(crate) fn fresh(&mut self, base: &str) -> String {
        if self.take(base) {
            return base.to_owned();
        }
        let last = self.suffix.entry(base.to_owned()).or_default();
        loop {
            *last += 1;
            let name = format!("{base}_{last}");
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_names_are_new() {
        let mut names = Names::default();
        assert!(names.take("a_1"));
        let fresh: Vec<String> = (0..3).map(|_| names.fresh("a")).collect();
        assert_eq!(fresh, ["a", "a_2", "a_3"]);
        assert!(!names.take("a_2"));
    }
}

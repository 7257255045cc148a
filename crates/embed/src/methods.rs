//! The quantizers of a row: one file each, and this list, from which help and documentation follow.

mod aciq;
mod asym;
mod greedy;
mod gss;
mod hist_apprx;
mod hist_brute;
mod histogram;
mod kmeans;
mod kmeans_cls;
mod sym;

pub use greedy::Search;
pub(crate) use kmeans::nearest;
pub use kmeans::{Codebook, lloyd};

/// A method by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Row minimum and maximum.
    Asym,
    /// A range around zero.
    Sym,
    /// A range around zero by golden-section search.
    Gss,
    /// Histogram, outermost bins given up one by one.
    HistApprx,
    /// Histogram, all sub-ranges tried.
    HistBrute,
    /// Analytic clip of a Laplace or Gaussian row.
    Aciq,
    /// Search for the row's range.
    Greedy,
    /// Codebook per row.
    Kmeans,
    /// Codebook per cluster of rows.
    KmeansCls,
}

/// What is known of a method.
#[derive(Debug)]
pub struct Entry {
    /// Which.
    pub method: Method,
    /// Its name on the command line and in files.
    pub name: &'static str,
    /// One line for help.
    pub summary: &'static str,
    /// How it makes rows.
    pub(crate) kind: Kind,
}

/// How a method makes rows.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Minimum and maximum: kernels of its own.
    Extremes,
    /// The greedy search: kernels of its own.
    Greedy,
    /// A range per row, in real units, from the row and the number of bits.
    Range(fn(&[f32], u32) -> [f64; 2]),
    /// A codebook per row.
    Rows,
    /// A codebook per cluster.
    Clusters,
}

/// All methods.
pub const ALL: [&Entry; 9] = [
    &asym::ENTRY,
    &sym::ENTRY,
    &gss::ENTRY,
    &hist_apprx::ENTRY,
    &hist_brute::ENTRY,
    &aciq::ENTRY,
    &greedy::ENTRY,
    &kmeans::ENTRY,
    &kmeans_cls::ENTRY,
];

impl Method {
    /// What is known of it.
    pub fn entry(self) -> &'static Entry {
        ALL.into_iter().find(|entry| entry.method == self).unwrap_or(&asym::ENTRY)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The method of that name.
    pub fn named(name: &str) -> Option<Method> {
        ALL.into_iter().find(|entry| entry.name == name).map(|entry| entry.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_means_one_method() {
        for entry in ALL {
            assert_eq!(Method::named(entry.name), Some(entry.method));
            assert_eq!(entry.method.name(), entry.name);
        }
        assert_eq!(Method::named("magic"), None);
    }
}

//! KMEANS-CLS: rows are clustered, and each cluster has a codebook for all its values. A research option: at equal size its
//! error is larger than GREEDY's. How: [`crate::cluster`].

use super::{Entry, Kind, Method};

pub(super) const ENTRY: Entry = Entry {
    method: Method::KmeansCls,
    name: "kmeans-cls",
    summary: "codebook per cluster of rows: research, larger error than greedy at equal size",
    kind: Kind::Clusters,
};

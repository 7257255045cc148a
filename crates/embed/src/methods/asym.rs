//! ASYM: a row's minimum and maximum are the ends of its grid.

use super::{Entry, Kind, Method};

pub(super) const ENTRY: Entry = Entry {
    method: Method::Asym,
    name: "asym",
    summary: "row minimum and maximum: fastest; at 8 bits practically lossless",
    kind: Kind::Extremes,
};

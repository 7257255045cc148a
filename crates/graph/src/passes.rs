//! Rewrites of a graph, one per file, each with its reason.

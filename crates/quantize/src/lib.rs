//! The product: sites, observers, plans, recipes, methods, simulation, lowering, and report data.
//!
//! Reads no files and prints nothing; every stage is a plain value.

pub mod report;

//! The product: sites, observers, plans, recipes, methods, simulation, lowering, and report data.
//!
//! Reads no files and prints nothing; every stage is a plain value:
//! [`site::find`] → [`observe::Observer`] → [`recipe::Recipe`] (steps over a [`plan::Plan`]) → [`simulate::simulate`]
//! → [`lower::qdq`].

pub mod bias;
pub mod blocks;
pub mod describe;
pub mod evaluate;
pub mod lower;
pub mod method;
pub mod methods;
pub mod observe;
pub mod plan;
pub mod powell;
pub mod recipe;
pub mod report;
pub mod rewrite;
pub mod rows;
pub mod run;
pub mod search;
pub mod simulate;
pub mod site;
pub mod strict;
pub mod target;
pub mod window_use;
pub mod workbench;

pub use plan::Plan;
pub use recipe::Recipe;
pub use site::Sites;
pub use target::Target;

//! Training of a network given as a graph: in float, or in few bits from the start (quantization-aware training).
//!
//! [`recipe::TrainRecipe`] says what is learned and how long; [`attach::attach`] puts quantizers on the sites of a
//! network; a [`model::Model`] holds what is learned; a [`trainer::Trainer`] does the steps; [`deploy::plan`] turns the
//! result into the plan of codes that every other part of lowbit knows. No file is read or written here.

pub mod attach;
pub mod augment;
pub mod batch_norm;
pub mod deploy;
pub mod error;
pub mod listing;
pub mod loss;
pub mod model;
pub mod optimizer;
pub mod quantizers;
pub mod recipe;
pub mod schedule;
pub mod trainer;

pub use error::TrainError;
pub use model::Model;
pub use recipe::TrainRecipe;
pub use trainer::{Data, Saved, Trainer};

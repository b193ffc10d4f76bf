//! What the programs of the measurements share: the load generator with its sink, and the scale model.

pub mod load;
pub mod scale;

//! What the programs of the measurements share: the load generator with its sink, the scale model, and overload.

pub mod load;
pub mod overload;
pub mod scale;

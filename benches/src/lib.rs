//! What the programs of the measurements share: the load generator with its sink, the scale model, overload, what authentication costs, and what
//! large messages take.

pub mod authentication;
mod author;
mod conclusion;
pub mod large;
pub mod load;
mod memory;
pub mod overload;
pub mod process_tree;
pub mod scale;
pub mod spread;

pub use conclusion::conclude;

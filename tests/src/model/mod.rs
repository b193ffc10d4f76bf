//! The protocols that nodes share the store by, as models small enough that every order of events can be tried.
//!
//! An action of a model is the effect of one store request, or one thing that happens to a node. A request has its effect long after
//! it was decided on, or its answer never comes: whoever acts may always be slow, be wrong about who is dead, or end. What the
//! models leave out is said where each begins.
//!
//! Each model has switches that break one rule of the protocol. They exist here and nowhere else; that the explorer finds what
//! comes of each shows that a model can fail.

pub mod adoption;
pub mod chain;
pub mod explorer;
pub mod garbage;
pub mod writer;

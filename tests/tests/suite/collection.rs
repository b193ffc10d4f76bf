//! Collection of garbage: that nothing goes that anybody needs, whoever dies or sleeps amid whatever, and that the rest goes.

mod chains;
mod crashes;
mod days;
mod sleepers;
pub(crate) mod spool;
pub(crate) mod world;

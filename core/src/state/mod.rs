//! What is kept in the store, and what is asked of a store that keeps it (rank 4).

pub mod contract;

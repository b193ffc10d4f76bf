//! Credentials (rank 2). The mechanisms that use them come with submission and retrieval.

pub mod password;

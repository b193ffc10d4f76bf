//! Everything that needs no network, no other program and no extra package, as one binary.

mod structure;
mod transcripts;

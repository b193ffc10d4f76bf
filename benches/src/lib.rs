//! What the measuring programs are made of.

#![forbid(unsafe_code)]

pub mod scale;

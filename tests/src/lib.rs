//! What tests of whole engines share.

#![forbid(unsafe_code)]

pub mod clock;
pub mod faults;

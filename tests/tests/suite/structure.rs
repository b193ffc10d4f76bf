//! The structure test.

//! Sessions against a scripted server in memory.

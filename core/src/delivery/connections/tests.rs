//! Connections to servers in memory.

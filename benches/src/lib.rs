//! What Fulmar's measurements share.

pub mod load;

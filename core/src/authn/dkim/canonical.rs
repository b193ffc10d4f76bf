//! What of a header field is signed (RFC 6376 §3.4.1, §3.4.2).

/// How much a message may be altered on its way without breaking the signature (RFC 6376 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canonicalization {
    /// Next to nothing.
    Simple,
    /// White space, and the case of field names.
    Relaxed,
}

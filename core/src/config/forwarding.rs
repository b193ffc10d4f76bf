//! What is done with mail that an alias of ours leads to another host.

/// The settings of forwarding.
#[derive(Clone, Copy, Debug)]
pub struct ForwardingSettings {
    /// Whether strangers' reverse-paths are rewritten to addresses of the alias's domain (`authn::srs`). Addresses that have been
    /// written lead back whether they are or not.
    pub rewrites: bool,
}

impl Default for ForwardingSettings {
    fn default() -> Self {
        Self { rewrites: true }
    }
}

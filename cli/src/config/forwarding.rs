//! What is done with mail that aliases lead to other hosts: `[forwarding]`.

use toml::Value;

use super::keys::{Key, put};
use super::value::flag;

/// The settings of this section.
pub(super) const KEYS: &[Key] = &[Key {
    section: "forwarding",
    name: "srs",
    set: |s, w| put(&mut s.engine.forwarding.rewrites, flag(w)),
    show: |s| Some(Value::Boolean(s.engine.forwarding.rewrites)),
}];

//! Attributes of XCLIENT and XFORWARD, as Postfix defined them: `name=value`, the value in xtext.

use super::{SyntaxError, is_blank};
use crate::model::xtext;

/// Attributes in one command.
const MOST: usize = 16;
/// Octets in a value, decoded.
const VALUE_LIMIT: usize = 255;

/// What a proxy says about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// In capitals.
    pub name: String,
    /// None for `[UNAVAILABLE]` and `[TEMPUNAVAIL]`.
    pub value: Option<String>,
}

/// At least one attribute, each of a known name and at most once.
pub(super) fn attributes(text: &str, known: &[&str]) -> Result<Vec<Attribute>, SyntaxError> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for word in text.split(is_blank).filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').ok_or(SyntaxError::Parameter)?;
        let name = name.to_ascii_uppercase();
        if !known.contains(&name.as_str()) {
            return Err(SyntaxError::UnknownParameter);
        }
        if attributes.len() == MOST || attributes.iter().any(|other| other.name == name) {
            return Err(SyntaxError::DuplicateParameter);
        }
        let is_unknown =
            ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|word| value.eq_ignore_ascii_case(word));
        let decoded =
            if is_unknown { None } else { Some(xtext::decode(value).ok_or(SyntaxError::Parameter)?) };
        let is_good = |text: &String| text.len() <= VALUE_LIMIT && !text.chars().any(char::is_control);
        if decoded.as_ref().is_some_and(|text| !is_good(text)) {
            return Err(SyntaxError::Parameter);
        }
        attributes.push(Attribute { name, value: decoded });
    }
    if attributes.is_empty() { Err(SyntaxError::Arguments("name=value ...")) } else { Ok(attributes) }
}

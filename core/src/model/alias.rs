//! What an alias may be named: one address, or a pattern of local-parts in a domain.
//!
//! | written | stands for | kind |
//! |---|---|---|
//! | `sales@example.org` | this address | exact |
//! | `sales-*@example.org` | local-parts like this; `*` is any characters, `?` one | wildcard |
//! | `/(.+)-request/@example.org` | local-parts that the whole expression matches | regular expression |
//! | `*@example.org` | every other local-part | catch-all |
//!
//! In targets of patterns, `$0` is the local-part that was matched, and `$1` to `$9` are its groups: those in parentheses of an
//! expression, or what each `*` and `?` stood for.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::{Address, AddressError, Domain};

/// Octets in a pattern.
pub const PATTERN_LIMIT: usize = 256;
/// Octets of a compiled pattern. Matching takes time in proportion to this and to the local-part. Must never become smaller: patterns that
/// are kept would not be read any more.
const PROGRAM_LIMIT: usize = 64 << 10;
/// How deep groups may stand in groups. As for `PROGRAM_LIMIT`.
const NESTING_LIMIT: u32 = 20;

/// Why a text names no alias, or addresses cannot be what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// Neither an address nor a pattern.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Neither a wildcard nor an expression between slashes.
    #[error("neither holds * or ? nor stands between slashes")]
    NoPattern,
    /// See [`PATTERN_LIMIT`].
    #[error("a pattern longer than {PATTERN_LIMIT} octets")]
    Long,
    /// Not a regular expression, or one that would take too much to match.
    #[error("not a regular expression that can be used: {0}")]
    Expression(String),
    /// A target refers to a group that the pattern does not have.
    #[error("a target refers to ${0}, and the pattern has groups up to ${1}")]
    Group(usize, usize),
}

/// The name of an alias. Its text is that of the module's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasName {
    /// One address.
    Exact(Address),
    /// All that are like this.
    Pattern(LocalPattern, Domain),
}

impl AliasName {
    /// Where it is.
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Exact(address) => address.domain(),
            Self::Pattern(_, domain) => domain,
        }
    }

    /// What kind of name this is, in listings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Pattern(pattern, _) => match pattern.kind {
                Kind::Wildcard => "wildcard",
                Kind::Expression => "regex",
                Kind::CatchAll => "catch_all",
            },
        }
    }
}

impl FromStr for AliasName {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, AliasError> {
        if text.starts_with('/')
            && let Some((expression, domain)) = text.rsplit_once('@')
            && expression.ends_with('/')
        {
            return Ok(Self::Pattern(LocalPattern::parse(expression)?, Domain::parse_utf8(domain)?));
        }
        let address = Address::parse_utf8(text)?.normalized();
        match address.local_part().contains(WILD) {
            true => Ok(Self::Pattern(LocalPattern::parse(address.local_part())?, address.domain().clone())),
            false => Ok(Self::Exact(address)),
        }
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(address) => address.fmt(f),
            Self::Pattern(pattern, domain) => match Address::with_local_part(&pattern.text, domain.clone()) {
                Ok(address) if pattern.kind != Kind::Expression => address.fmt(f),
                _ => write!(f, "{}@{domain}", pattern.text),
            },
        }
    }
}

/// What makes a local-part a wildcard.
const WILD: [char; 2] = ['*', '?'];

/// A pattern of local-parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalPattern {
    text: Box<str>,
    kind: Kind,
    regex: Regex,
}

/// Kinds of pattern, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Wildcard,
    Expression,
    CatchAll,
}

impl LocalPattern {
    /// Parses what stands before the `@`, unquoted.
    pub fn parse(text: &str) -> Result<Self, AliasError> {
        if text.len() > PATTERN_LIMIT {
            return Err(AliasError::Long);
        }
        let expression = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let (kind, regex) = match expression {
            Some(expression) => {
                // Alone first: what closes our group and opens another is no expression.
                compile(expression)?;
                (Kind::Expression, compile_whole(expression)?)
            }
            None if !text.contains(WILD) => return Err(AliasError::NoPattern),
            None if text == "*" => (Kind::CatchAll, compile_whole("(.*)")?),
            None => (Kind::Wildcard, compile_whole(&wildcard(text))?),
        };
        Ok(Self { text: text.into(), kind, regex })
    }

    /// Whether it comes after all others.
    pub fn is_catch_all(&self) -> bool {
        self.kind == Kind::CatchAll
    }

    /// What patterns are sorted by for the first that matches to be the one meant: wildcards, those with the most characters of their own
    /// first; then expressions, which keep the order in which they were added; then the catch-all.
    pub fn rank(&self) -> impl Ord + use<> {
        let wildcard = (self.kind == Kind::Wildcard).then(|| {
            let own = self.text.chars().filter(|c| !WILD.contains(c)).count();
            (Reverse(own), self.text.clone())
        });
        (self.kind, wildcard)
    }

    /// Fails where a target refers to what the pattern does not have.
    pub fn check(&self, targets: &[Address]) -> Result<(), AliasError> {
        let groups = self.regex.captures_len() - 1;
        let beyond = |target: &Address| references(target.local_part()).find(|group| *group > groups);
        match targets.iter().find_map(beyond) {
            Some(group) => Err(AliasError::Group(group, groups)),
            None => Ok(()),
        }
    }

    /// What targets come to for a local-part in normal form; nothing where that does not match. A target that comes to no address is
    /// left out.
    pub fn expand(&self, local_part: &str, targets: &[Address]) -> Option<Vec<Address>> {
        let captures = self.regex.captures(local_part)?;
        let group = |number| captures.get(number).map_or("", |found| found.as_str());
        let expanded = targets.iter().filter_map(|target| {
            let local_part = substitute(target.local_part(), group);
            Address::with_local_part(&local_part, target.domain().clone()).ok()
        });
        Some(expanded.collect())
    }
}

impl fmt::Display for LocalPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for LocalPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LocalPattern {}

impl TryFrom<String> for LocalPattern {
    type Error = AliasError;
    fn try_from(text: String) -> Result<Self, AliasError> {
        Self::parse(&text)
    }
}

impl From<LocalPattern> for String {
    fn from(pattern: LocalPattern) -> Self {
        pattern.text.into()
    }
}

fn compile_whole(expression: &str) -> Result<Regex, AliasError> {
    compile(&format!("\\A(?:{expression})\\z"))
}

/// Local-parts come in lower case, so expressions may be written in any.
fn compile(expression: &str) -> Result<Regex, AliasError> {
    let mut builder = RegexBuilder::new(expression);
    builder.case_insensitive(true).size_limit(PROGRAM_LIMIT).nest_limit(NESTING_LIMIT);
    builder.build().map_err(|error| AliasError::Expression(error.to_string()))
}

/// A wildcard as a regular expression.
fn wildcard(text: &str) -> String {
    let mut expression = String::new();
    for c in text.chars() {
        match c {
            '*' => expression.push_str("(.*)"),
            '?' => expression.push_str("(.)"),
            c => expression.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression
}

/// The numbers of the groups that a target refers to.
fn references(target: &str) -> impl Iterator<Item = usize> {
    let pairs = target.chars().zip(target.chars().skip(1));
    pairs
        .filter_map(|(first, second)| (first == '$').then(|| second.to_digit(10)).flatten())
        .map(|n| n as usize)
}

/// Puts groups in the place of references. A `$` without a digit stands for itself.
fn substitute<'a>(target: &str, group: impl Fn(usize) -> &'a str) -> String {
    let mut text = String::new();
    let mut chars = target.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek().and_then(|next| next.to_digit(10)).filter(|_| c == '$') {
            Some(number) => {
                chars.next();
                text.push_str(group(number as usize));
            }
            None => text.push(c),
        }
    }
    text
}

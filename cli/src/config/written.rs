//! Values as somebody wrote them, before anybody asked what they mean.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// A value with the line on which it stands; a variable's value has none.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) line: Option<usize>,
    pub(super) value: Value,
}

/// What kinds of value there are.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Written>),
    /// From an environment variable: text that stands for any of the above.
    Raw(String),
    /// Something that no setting takes, by the name of its kind.
    Other(&'static str),
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: Option<usize>,
    pub(super) problem: String,
}

impl From<Wrong> for Vec<Wrong> {
    fn from(wrong: Wrong) -> Self {
        vec![wrong]
    }
}

impl Written {
    /// A value of an environment variable.
    pub(super) fn in_variable(text: &str) -> Self {
        Self { line: None, value: Value::Raw(text.to_owned()) }
    }

    /// A value in a file.
    pub(super) fn in_file(lines: &Lines<'_>, value: &Spanned<DeValue<'_>>) -> Self {
        Self { line: Some(lines.line_of(value.span())), value: Value::from_toml(lines, value.get_ref()) }
    }

    /// That this value is not what is allowed here.
    pub(super) fn wrong(&self, problem: &str, allowed: impl fmt::Display) -> Wrong {
        Wrong { line: self.line, problem: format!("{self} {problem}; allowed: {allowed}") }
    }
}

impl Value {
    fn from_toml(lines: &Lines<'_>, value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Other("a number too large"),
            },
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Written::in_file(lines, item)).collect())
            }
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date or time"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Text(text) | Value::Raw(text) => write!(f, "{text:?}"),
            Value::Integer(number) => number.fmt(f),
            Value::Boolean(flag) => flag.fmt(f),
            Value::List(_) => f.write_str("a list"),
            Value::Other(kind) => f.write_str(kind),
        }
    }
}

/// Finds line numbers in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a>(pub(super) &'a str);

impl Lines<'_> {
    /// The line on which a span begins, from 1.
    pub(super) fn line_of(self, span: Range<usize>) -> usize {
        1 + self.0.bytes().take(span.start).filter(|b| *b == b'\n').count()
    }
}

//! The process's environment, read in one place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Variables of the environment, as far as they are text. Their values do not show in its debug form.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let as_text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(as_text).collect()
    }

    /// The first of these variables that is set and not empty.
    pub(super) fn first<'a>(&'a self, names: &[&str]) -> Option<&'a str> {
        let values = names.iter().filter_map(|name| self.0.get(*name));
        values.map(String::as_str).find(|value| !value.is_empty())
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.first(&[name])
    }

    /// A file below the user's home, unless a variable names another.
    pub(super) fn file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        match self.get(variable) {
            Some(path) => Some(path.into()),
            None => self.get("HOME").map(|home| PathBuf::from(home).join(below_home)),
        }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

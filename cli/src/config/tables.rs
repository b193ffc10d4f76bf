//! Lists of tables in the file, such as `[[listener]]`.

use toml::Spanned;
use toml::de::DeValue;

use super::written::{Lines, Written, Wrong};

/// A kind of table.
pub(super) struct Form<const N: usize> {
    /// What stands in its heading.
    pub(super) heading: &'static str,
    /// Its fields: name, and what is allowed there.
    pub(super) fields: [(&'static str, &'static str); N],
    /// How many of them, from the first on, may not be missing.
    pub(super) required: usize,
}

/// Reads the tables of a list: each one's fields in the order of its form, nothing for a field that is missing. Each mistake
/// goes to `mistake` with the name of its field, if it has one.
pub(super) fn read<const N: usize>(
    form: &Form<N>,
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<[Option<Written>; N]> {
    let Form { heading, fields, required } = form;
    let names = fields.map(|(name, _)| name);
    let whole = Written::in_file(lines, value);
    let tables = match value.get_ref() {
        DeValue::Array(tables) if !tables.is_empty() => tables,
        _ => {
            let problem = format!("is not a list of {heading}s");
            mistake("", whole.wrong(&problem, format!("tables with the heading [[{heading}]]")));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for table in tables.iter() {
        let written = Written::in_file(lines, table);
        let DeValue::Table(entries) = table.get_ref() else {
            let allowed = format!("a table with {}", names[..*required].join(" and "));
            mistake("", written.wrong(&format!("is not a {heading}"), allowed));
            continue;
        };
        for (name, _) in entries.iter().filter(|(name, _)| !names.contains(&name.get_ref().as_ref())) {
            let line = Some(lines.line_of(name.span()));
            let problem = format!("not a setting of this version; allowed: {}", names.join(", "));
            mistake(name.get_ref(), Wrong { line, problem });
        }
        found.push(fields.map(|(name, allowed)| {
            let entry = entries.iter().find(|(key, _)| key.get_ref() == name);
            if entry.is_none() && names[..*required].contains(&name) {
                mistake(name, Wrong { line: written.line, problem: format!("missing; allowed: {allowed}") });
            }
            entry.map(|(_, value)| Written::in_file(lines, value))
        }));
    }
    found
}

/// What a field means, where it is there and right.
pub(super) fn field<T>(
    name: &str,
    written: Option<&Written>,
    read: impl FnOnce(&Written) -> Result<T, Wrong>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Option<T> {
    read(written?).map_err(|wrong| mistake(name, wrong)).ok()
}

/// The same for a list, in which several things may be wrong.
pub(super) fn list_field<T>(
    name: &str,
    written: Option<&Written>,
    read: impl FnOnce(&Written) -> Result<Vec<T>, Vec<Wrong>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Option<Vec<T>> {
    read(written?).map_err(|wrongs| wrongs.into_iter().for_each(|wrong| mistake(name, wrong))).ok()
}

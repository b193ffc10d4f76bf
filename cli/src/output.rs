//! Standard output: tables for people, JSON lines for scripts.

use std::io::{self, Write};

use serde_json::Value;

/// Blanks between two columns.
const GAP: &str = "  ";

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// One result, in words or as an object.
    pub(crate) fn fact(self, words: &str, object: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json { writeln!(out, "{object}") } else { writeln!(out, "{words}") }
    }

    /// What is for people alone.
    pub(crate) fn remark(self, words: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout().lock(), "{words}") }
    }

    /// A list, as a table under these headings or as one object an item.
    pub(crate) fn list<T, const N: usize>(
        self,
        items: &[T],
        headings: [&str; N],
        cells: impl Fn(&T) -> [String; N],
        object: impl Fn(&T) -> Value,
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return items.iter().try_for_each(|item| writeln!(out, "{}", object(item)));
        }
        let table: Vec<[String; N]> =
            std::iter::once(headings.map(str::to_owned)).chain(items.iter().map(cells)).collect();
        out.write_all(aligned(&table).as_bytes())
    }
}

/// Rows with their columns aligned on the left.
fn aligned<const N: usize>(table: &[[String; N]]) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in table {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() {
        let table = [["ADDRESS", "OCTETS"], ["a@x.test", "10"], ["b@x.test", ""]];
        let table = table.map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&table), "ADDRESS   OCTETS\na@x.test  10\nb@x.test\n");
    }
}

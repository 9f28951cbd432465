//! What a suite found: tables for people, in the form in which `docs/performance.md` keeps them, and JSON for programs.

use std::fmt;

use serde_json::Value;

/// The result of a suite.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) tables: Vec<Table>,
    /// The same numbers and more.
    pub(super) json: Value,
}

/// A table in Markdown.
#[derive(Debug)]
pub(super) struct Table {
    /// One sentence.
    pub(super) caption: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().copied().map(str::to_owned).collect();
        Self { caption: caption.into(), head, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            for (cell, &width) in cells.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")
        };
        writeln!(f, "{}\n", self.caption)?;
        line(f, &self.head)?;
        line(f, &widths.iter().map(|&width| "-".repeat(width)).collect::<Vec<_>>())?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}", self.title)?;
        self.tables.iter().try_for_each(|table| write!(f, "\n{table}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("What it is.", &["path", "n"]);
        table.row(["direct".to_owned(), "1–2".to_owned()]);
        assert_eq!(
            table.to_string(),
            "What it is.\n\n| path   | n   |\n| ------ | --- |\n| direct | 1–2 |\n"
        );
    }
}

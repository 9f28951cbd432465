//! Columns as wide as their widest cell.

/// A table for people. It never wraps: a terminal does, and `| less -S` does not.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headings.
    pub(super) fn new(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| one_line(&cell)));
    }

    /// The lines, without trailing blanks.
    pub(super) fn render(&self) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// The text without what moves a terminal's cursor: some of it comes from files that others write.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text, or a dash where there is none.
pub(super) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_blanks() {
        let mut table = Table::new(["A", "LONG"]);
        table.row(["xyz".to_owned(), "1".to_owned()]);
        assert_eq!(table.render(), "A    LONG\nxyz  1\n");
    }

    #[test]
    fn a_cell_cannot_break_the_table_or_speak_to_the_terminal() {
        let mut table = Table::new(["A", "B"]);
        table.row(["one\ntwo".to_owned(), "\u{1b}[2Jred".to_owned()]);
        assert_eq!(table.render(), "A        B\none two   [2Jred\n");
    }
}

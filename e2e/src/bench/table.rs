//! Results as a table of plain text.

use std::fmt;

/// Rows of text under headings.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(ToString::to_string).collect()],
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    /// The first column is flush left, the others, which are numbers, flush right.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell =
            |row: &Vec<String>, column: usize| row.get(column).map_or(0, |c| c.chars().count());
        let width = |column| {
            self.rows
                .iter()
                .map(|row| cell(row, column))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            for (column, text) in row.iter().enumerate() {
                let width = widths[column];
                match column {
                    0 => write!(formatter, "{text:<width$}")?,
                    _ => write!(formatter, "  {text:>width$}")?,
                }
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["test", "ms"]);
        table.row(vec!["a".to_owned(), "12.5".to_owned()]);
        assert_eq!(table.to_string(), "test    ms\na     12.5\n");
    }
}

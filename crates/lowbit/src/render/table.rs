//! A table as plain data, and its two plain-text forms.

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Columns and rows; each row has as many cells as there are columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

/// Narrowest that a column is cut to when the table is too wide.
const NARROWEST: usize = 8;

impl Table {
    /// An empty table.
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Appends a row. Missing cells are empty, surplus ones dropped.
    pub fn push(&mut self, mut cells: Vec<String>) {
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Titles of the columns, and on which side their cells begin.
    pub(super) fn columns(&self) -> &[(&'static str, Align)] {
        &self.columns
    }

    /// Cells, row by row.
    pub(super) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Without the columns that hold nothing in any row (empty, or [`NONE`](super::units::NONE)).
    #[must_use]
    pub fn without_blank_columns(mut self) -> Table {
        let blank = |cell: &String| cell.is_empty() || cell == super::units::NONE;
        let keep: Vec<bool> =
            (0..self.columns.len()).map(|c| !self.rows.iter().all(|row| blank(&row[c]))).collect();
        let mut kept = keep.iter();
        self.columns.retain(|_| *kept.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut kept = keep.iter();
            row.retain(|_| *kept.next().unwrap_or(&true));
        }
        self
    }

    /// Aligned columns, two spaces apart, one line per row; where `width` characters do not suffice, the widest
    /// left-aligned column is shortened from the middle.
    pub fn to_text(&self, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width);
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, &(_, align)), &width) in cells.zip(&self.columns).zip(&widths) {
                let cell = shorten(cell, width);
                let pad = " ".repeat(width - cell.chars().count());
                let (before, after) =
                    if align == Align::Left { ("", pad.as_str()) } else { (pad.as_str(), "") };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            line.trim_end().to_owned()
        };
        std::iter::once(line(&mut self.columns.iter().map(|c| c.0)))
            .chain(self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str))))
            .collect()
    }

    /// A pipe table, as GitHub and most Markdown readers take it.
    pub fn to_markdown(&self) -> String {
        let mut out = String::from("|");
        for (title, _) in &self.columns {
            out.push_str(&format!(" {title} |"));
        }
        out.push_str("\n|");
        for (_, align) in &self.columns {
            out.push_str(if *align == Align::Left { "---|" } else { "--:|" });
        }
        for row in &self.rows {
            out.push_str("\n|");
            for cell in row {
                out.push_str(&format!(" {} |", super::markdown::escape(cell)));
            }
        }
        out.push('\n');
        out
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|c| {
                let cells = self.rows.iter().map(|row| row[c].chars().count());
                cells.chain([self.columns[c].0.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let total = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        while limit.is_some_and(|limit| total(&widths) > limit) {
            let widest = (0..widths.len())
                .filter(|&c| self.columns[c].1 == Align::Left && widths[c] > NARROWEST)
                .max_by_key(|&c| widths[c]);
            match widest {
                Some(c) => widths[c] -= 1,
                None => break,
            }
        }
        widths
    }
}

/// At most `width` characters, the middle given up first: names of layers differ at both ends.
fn shorten(text: &str, width: usize) -> String {
    let n = text.chars().count();
    if n <= width {
        return text.to_owned();
    }
    let tail = width.saturating_sub(1) / 2;
    let head = width.saturating_sub(1) - tail;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(n - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("layer", Align::Left), ("bits", Align::Right), ("dB", Align::Right)]);
        table.push(vec!["layer1.0.conv1".into(), "4".into(), "–".into()]);
        table.push(vec!["größe".into(), "3.52".into(), "–".into()]);
        table
    }

    #[test]
    fn numbers_line_up_at_their_right_end() {
        let lines = table().to_text(None);
        assert_eq!(lines[1], "layer1.0.conv1     4   –");
        assert_eq!(lines[2], "größe           3.52   –");
    }

    #[test]
    fn names_give_way_and_numbers_do_not() {
        let lines = table().to_text(Some(20));
        assert_eq!(lines[1], "layer…onv1     4   –");
        assert!(lines.iter().all(|line| line.chars().count() <= 20));
    }

    #[test]
    fn blank_columns_vanish() {
        assert_eq!(table().without_blank_columns().to_text(None)[0], "layer           bits");
    }

    #[test]
    fn markdown_cells_cannot_break_the_table() {
        let mut table = Table::new(&[("name", Align::Left)]);
        table.push(vec!["a|b\nc".into()]);
        assert_eq!(table.to_markdown(), "| name |\n|---|\n| a\\|b c |\n");
    }
}

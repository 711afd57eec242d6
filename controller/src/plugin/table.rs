//! Tables as kubectl prints them: aligned columns, some of which only `-o wide` has.

/// A column.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    head: &'static str,
    right: bool,
    wide: bool,
}

/// Rows of cells, one for each column.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

// === impl Column ===

impl Column {
    /// Words, aligned to the left.
    pub(crate) const fn of(head: &'static str) -> Self {
        Self { head, right: false, wide: false }
    }

    /// Numbers, aligned to the right.
    pub(crate) const fn right(head: &'static str) -> Self {
        Self { head, right: true, wide: false }
    }

    /// Only shown by `-o wide`.
    pub(crate) const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

// === impl Table ===

impl Table {
    /// One without rows.
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text, with a head, and no line when there are no rows.
    pub(crate) fn render(&self, wide: bool) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown = (0..self.columns.len()).filter(|at| wide || !self.columns[*at].wide);
        let shown: Vec<_> = shown.map(|at| (at, self.width(at))).collect();
        let head: Vec<_> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        let lines = std::iter::once(&head).chain(&self.rows);
        lines.map(|cells| self.line(cells, &shown)).collect()
    }

    fn line(&self, cells: &[String], shown: &[(usize, usize)]) -> String {
        let padded = shown.iter().map(|&(at, width)| {
            let cell = &cells[at];
            match self.columns[at].right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    }

    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|cells| cells[at].chars().count());
        cells.chain([self.columns[at].head.len()]).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_wide_ones_are_left_out_unless_asked_for() {
        let columns = [Column::of("NAME"), Column::right("SIZE"), Column::of("WHY").wide()];
        let mut table = Table::new(&columns);
        assert_eq!(table.render(true), "");
        table.row(vec!["a█".into(), "1".into(), "full".into()]);
        table.row(vec!["longer".into(), "10".into(), "x".into()]);
        assert_eq!(table.render(false), "NAME    SIZE\na█         1\nlonger    10\n");
        assert_eq!(table.render(true), "NAME    SIZE  WHY\na█         1  full\nlonger    10  x\n");
    }
}

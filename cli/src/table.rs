//! Tables for people: aligned, no borders, one line for each row so that `grep` and `awk` work.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::text;

/// How a field is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// Of less interest.
    Dim,
    /// Well.
    Good,
    /// Look after it.
    Warn,
    /// Not well.
    Bad,
}

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    text: String,
    tone: Tone,
    right: bool,
}

/// Text, made harmless.
pub(crate) fn field(text: &str) -> Field {
    Field { text: text::plain(text), tone: Tone::Plain, right: false }
}

/// The beginning of an id.
pub(crate) fn id(id: &str) -> Field {
    Field { text: text::short(id), tone: Tone::Plain, right: false }
}

/// A number.
pub(crate) fn number(n: impl ToString) -> Field {
    Field { text: n.to_string(), tone: Tone::Plain, right: true }
}

impl Field {
    pub(crate) const fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn cell(self) -> Cell {
        let cell = Cell::new_owned(self.text);
        let cell = if self.right { cell.set_alignment(CellAlignment::Right) } else { cell };
        match self.tone {
            Tone::Plain => cell,
            Tone::Dim => cell.add_attribute(Attribute::Dim),
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Warn => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed),
        }
    }
}

/// Rows below a header. A column without any text is left out.
#[derive(Debug)]
pub(crate) struct Grid {
    head: Vec<&'static str>,
    rows: Vec<Vec<Field>>,
}

impl Grid {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, fields: [Field; N]) {
        self.rows.push(fields.into());
    }

    pub(crate) fn render(self, header: bool, colour: bool) -> String {
        let keep: Vec<bool> = (0..self.head.len())
            .map(|i| self.rows.is_empty() || self.rows.iter().any(|row| !row[i].text.is_empty()))
            .collect();
        let kept = |i: &usize| keep[*i];
        let mut table = empty_table(colour);
        if header {
            let right = |i: usize| self.rows.first().is_some_and(|row| row[i].right);
            let head = (0..self.head.len()).filter(kept).map(|i| head_cell(self.head[i], right(i)));
            table.set_header(head.collect::<Vec<_>>());
        }
        for row in self.rows {
            let cells = row.into_iter().enumerate().filter(|(i, _)| keep[*i]);
            table.add_row(cells.map(|(_, field)| field.cell()).collect::<Vec<_>>());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }
}

fn empty_table(colour: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty();
    if colour {
        // Otherwise the padding is styled too, and trailing blanks cannot be trimmed.
        table.enforce_styling().style_text_only();
    }
    table
}

fn head_cell(name: &str, right: bool) -> Cell {
    let cell = Cell::new(name).add_attribute(Attribute::Bold);
    if right { cell.set_alignment(CellAlignment::Right) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&["NAME", "INPUTS", "WHY", "HOST"]);
        grid.row([field("ada"), number(7), field(""), id("abcdefghijkl").tone(Tone::Dim)]);
        grid.row([field("gr\u{1b}ace"), number(1234), field(""), id("b")]);
        grid
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let expected = "NAME         INPUTS  HOST\n\
                        ada               7  abcdefgh\n\
                        gr\\u{1b}ace    1234  b";
        assert_eq!(grid().render(true, false), expected);
        assert_eq!(grid().render(false, false).lines().count(), 2);
    }

    #[test]
    fn colour_is_added_only_on_demand() {
        assert!(grid().render(true, true).contains('\u{1b}'));
        assert!(!grid().render(true, false).contains('\u{1b}'));
    }
}

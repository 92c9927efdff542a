//! Tables: cut to the terminal for people, tab-separated and whole for programs.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::IsTerminal;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, TableComponent, presets};

use crate::cli::print;
use crate::keywords::Keyword;
use crate::visible::{one_line, quote, visible};

/// Columns of a terminal that doesn't say how many it has.
const WIDTH: u16 = 80;
/// No terminal is taken for narrower.
const NARROWEST: u16 = 40;
/// Between two columns of a table.
const GAP: u16 = 2;
/// A text that is cut has at least so much room, or a column is left out.
const TEXT: u16 = 24;
/// Characters of a text that are laid out: more than any line of a terminal holds.
const LONGEST: usize = 400;
/// Keywords in a cell on a terminal.
const WORDS: usize = 8;

/// Rows under a header.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    note: String,
    continues: bool,
}

/// One column.
pub(super) struct Column {
    name: Cow<'static, str>,
    /// Never cut, and aligned to the right.
    is_number: bool,
    place: Place,
    /// Left out on a terminal that is too narrow for all columns; the last such column goes first.
    is_spare: bool,
}

/// Who sees a column.
#[derive(PartialEq)]
enum Place {
    Everywhere,
    Terminal,
    Pipe,
}

/// One cell: on a terminal, and whole.
pub(super) struct Cell {
    shown: String,
    whole: String,
}

impl Column {
    /// Texts, cut on a terminal where there is no room for them.
    pub(super) fn text(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), is_number: false, place: Place::Everywhere, is_spare: false }
    }

    /// Numbers and other short things, never cut.
    pub(super) fn number(name: impl Into<Cow<'static, str>>) -> Self {
        Self { is_number: true, ..Self::text(name) }
    }

    /// The same, left out on a terminal that is too narrow.
    pub(super) fn where_room(self) -> Self {
        Self { is_spare: true, ..self }
    }

    /// The same, on terminals only.
    pub(super) fn on_terminal(self) -> Self {
        Self { place: Place::Terminal, ..self }
    }

    /// The same, for programs only.
    pub(super) fn in_pipe(self) -> Self {
        Self { place: Place::Pipe, ..self }
    }
}

impl Cell {
    /// The same everywhere.
    pub(super) fn of(value: impl Display) -> Self {
        let whole = one_line(&value.to_string());
        Self { shown: quote(&whole, LONGEST), whole }
    }

    /// Something shorter on a terminal.
    pub(super) fn short(shown: impl Display, whole: impl Display) -> Self {
        let shown = visible(&shown.to_string()).replace(char::is_whitespace, " ");
        Self { shown, whole: one_line(&whole.to_string()) }
    }

    /// A fraction, on a terminal with so many decimals.
    pub(super) fn real(value: impl Display, decimals: usize) -> Self {
        Self { shown: format!("{value:.decimals$}"), whole: value.to_string() }
    }

    /// A moment such as `2026-11-28T21:23:44Z`, on a terminal to the minute.
    pub(super) fn time(time: &str) -> Self {
        Self::short(time.get(..16).unwrap_or(time).replace('T', " "), time)
    }

    /// A value that may be missing.
    pub(super) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or_else(|| Self::short("–", ""), cell)
    }

    /// The best keywords, all of them where there is room for all.
    pub(super) fn words(keywords: &[Keyword]) -> Self {
        let words: Vec<&str> = keywords.iter().map(|keyword| keyword.term.as_str()).collect();
        Self::short(words[..words.len().min(WORDS)].join(", "), words.join(", "))
    }
}

impl Table {
    /// No rows yet.
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            note: String::new(),
            continues: false,
        }
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A further line that follows the table on a terminal, or none if it is empty.
    pub(super) fn note(mut self, note: String) -> Self {
        if !note.is_empty() {
            self.note += &(note + "\n");
        }
        self
    }

    /// More rows of the table that was printed before: programs get no second header.
    pub(super) fn continues(mut self) -> Self {
        self.continues = true;
        self
    }

    /// Prints it as who reads needs it.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let Some(width) = terminal() else { return print(&self.separated()) };
        print(&format!("{}{}", self.drawn(width), self.note))
    }

    /// The table within a text: as on a terminal, and whole where there is none.
    pub(super) fn in_text(&self) -> String {
        self.drawn(terminal().unwrap_or(u16::MAX))
    }

    /// A header line and a line for each row, with a tab between two cells.
    fn separated(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| column.name.replace(' ', "_")).collect();
        let header = self.line(names.iter().map(String::as_str));
        let mut text = if self.continues { String::new() } else { header };
        text.extend(self.rows.iter().map(|row| self.line(row.iter().map(|cell| &*cell.whole))));
        text
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>) -> String {
        let cells = cells
            .zip(&self.columns)
            .filter(|(_, column)| column.place != Place::Terminal)
            .map(|(cell, _)| cell);
        cells.collect::<Vec<_>>().join("\t") + "\n"
    }

    /// Aligned columns, a row on one line of at most `width` columns.
    fn drawn(&self, width: u16) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_style(TableComponent::HeaderLines, '─')
            .set_content_arrangement(ContentArrangement::Dynamic)
            // No cell holds one: texts are cut anywhere, so that no room is lost.
            .set_delimiter('\n')
            .set_truncation_indicator("…")
            .set_width(width);
        let one_line = |cells: Vec<String>| {
            let mut row = Row::from(cells);
            row.max_height(1);
            row
        };
        table.set_header(one_line(self.columns.iter().map(|column| column.name.to_string()).collect()));
        for row in &self.rows {
            table.add_row(one_line(row.iter().map(|cell| cell.shown.clone()).collect()));
        }
        let widths = table.column_max_content_widths();
        let kept = self.kept(width, &widths);
        let numbers = kept.iter().filter(|index| self.columns[**index].is_number).copied();
        let numbers_fit = self.least(&numbers.collect::<Vec<_>>(), &widths) < usize::from(width);
        for (index, column) in table.column_iter_mut().enumerate() {
            let is_last = kept.last() == Some(&index);
            column.set_padding((0, if is_last { 0 } else { GAP }));
            let is_number = self.columns[index].is_number;
            if !kept.contains(&index) {
                column.set_constraint(ColumnConstraint::Hidden);
            } else if is_number {
                column.set_cell_alignment(CellAlignment::Right);
                if numbers_fit {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        table.trim_fmt() + "\n"
    }

    /// The columns that a terminal has room for, of those whose content is so wide.
    fn kept(&self, width: u16, widths: &[u16]) -> Vec<usize> {
        let mut kept: Vec<usize> =
            (0..self.columns.len()).filter(|index| self.columns[*index].place != Place::Pipe).collect();
        while self.least(&kept, widths) > usize::from(width) {
            let spare = kept.iter().rposition(|index| self.columns[*index].is_spare);
            let Some(spare) = spare else { break };
            kept.remove(spare);
        }
        kept
    }

    /// The room that the columns `kept` need, with their texts cut as short as may be.
    fn least(&self, kept: &[usize], widths: &[u16]) -> usize {
        let least = |index: &usize| {
            let widest = widths[*index];
            usize::from(if self.columns[*index].is_number { widest } else { widest.min(TEXT) })
        };
        kept.iter().map(least).sum::<usize>() + kept.len().saturating_sub(1) * usize::from(GAP)
    }
}

/// Columns of the terminal that stdout is; none where a program reads.
pub(super) fn terminal() -> Option<u16> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let wanted = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
    let measured = || terminal_size::terminal_size().map(|(width, _)| width.0);
    Some(wanted().or_else(measured).unwrap_or(WIDTH).max(NARROWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns that the widest line takes on a terminal.
    fn widest(text: &str) -> u16 {
        let mut table = comfy_table::Table::new();
        table.add_row([text]);
        table.column_max_content_widths()[0]
    }

    fn table() -> Table {
        let mut table = Table::new([
            Column::number("id"),
            Column::number("size"),
            Column::text("name"),
            Column::text("keywords"),
            Column::text("only seen").on_terminal(),
            Column::text("window 1").in_pipe(),
            Column::text("representative document").where_room(),
        ]);
        for (name, words) in [
            (
                "0_virus_of_a_name_that_never_ends_and_ends_never",
                "virus, vaccine, hospital, patients, doctors",
            ),
            ("위성_로켓_궤도_망원경_은하", "위성, 로켓, 궤도, 망원경, 은하, 우주, 달"),
            ("a\tb\nc\u{1b}[2J\u{202e}", "x"),
        ] {
            table.row([
                Cell::of(123),
                Cell::real(1.0 / 3.0, 2),
                Cell::of(name),
                Cell::of(words),
                Cell::short("▁▂", ""),
                Cell::of(7),
                Cell::of("A document of many words. ".repeat(40)),
            ]);
        }
        table
    }

    #[test]
    fn every_line_fits_the_terminal() {
        for width in [60, 80, 200] {
            let drawn = table().drawn(width);
            assert_eq!(drawn.lines().count(), 5, "{drawn}");
            for line in drawn.lines() {
                assert!(widest(line) <= width, "{width}: {} in {line}", widest(line));
                assert!(!line.contains(char::is_control) && !line.contains('\u{202e}'), "{line:?}");
            }
            assert!(drawn.contains("0.33") && !drawn.contains("0.333"), "{drawn}");
            assert!(drawn.contains("▁▂") && !drawn.contains("window"), "{drawn}");
            // Where there is room it is used, and what has none is left out rather than crushed.
            assert!(drawn.lines().any(|line| widest(line) > width - 10), "{drawn}");
            assert_eq!(drawn.contains("representative"), width == 200, "{drawn}");
        }
    }

    #[test]
    fn numbers_are_cut_only_where_they_alone_are_too_wide() {
        let mut table = Table::new((0..12).map(|index| Column::number(format!("column {index}"))));
        table.row((0..12).map(|_| Cell::of(1_234_567)));
        assert!(table.drawn(200).contains("1234567"));
        for width in [40, 60, 80] {
            assert!(table.drawn(width).lines().all(|line| widest(line) <= width), "{}", table.drawn(width));
        }
    }

    #[test]
    fn a_program_gets_whole_values_between_tabs() {
        let text = table().separated();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0], ["id", "size", "name", "keywords", "window_1", "representative_document"]);
        assert!(lines.iter().all(|line| line.len() == 6) && lines.len() == 4, "{text}");
        assert_eq!(lines[1][1], "0.3333333333333333");
        assert_eq!(lines[1][2], "0_virus_of_a_name_that_never_ends_and_ends_never");
        assert_eq!(lines[3][2], "a b c\\u{1b}[2J\\u{202e}");
        assert!(lines[3][5].len() > 1000);
        assert_eq!(table().continues().separated().lines().count(), 3);
    }

    #[test]
    fn an_empty_table_is_its_header() {
        let empty = Table::new([Column::number("id"), Column::text("name")]);
        assert_eq!(empty.separated(), "id\tname\n");
        assert_eq!(empty.drawn(80).lines().next(), Some("id  name"));
        assert_eq!(empty.drawn(u16::MAX), empty.drawn(80));
    }
}

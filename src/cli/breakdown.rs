//! `topicd topics --by FIELD` and `--where CONDITION`.

use crate::cli::table::{Cell, Column, Table};
use crate::model::breakdown::{Breakdown, Numbers, Over, Part, Wanted};

/// The topics of `found`, of `all` that there are, and the outliers.
pub(super) fn table(found: &Breakdown, wanted: &Wanted, all: usize) -> Table {
    let parts = || found.topics.iter().chain([&found.outliers]);
    let shape = Shape {
        wanted,
        valued: !found.values.is_empty(),
        numeric: parts().any(|part| part.numbers.is_some()),
    };
    let mut table = Table::new(shape.columns(&found.values));
    parts().for_each(|part| table.row(shape.row(part, &found.values)));
    table.note(note(found, wanted, all))
}

/// Which columns there are.
struct Shape<'a> {
    wanted: &'a Wanted,
    valued: bool,
    numeric: bool,
}

impl Shape<'_> {
    fn columns(&self, values: &[String]) -> Vec<Column> {
        let mut columns = vec![Column::number("id"), Column::text("name"), Column::number("size")];
        if self.wanted.r#where.is_some() {
            columns.extend([Column::number("looked at").where_room(), Column::number("found")]);
            columns.push(Column::number("share"));
        }
        if self.wanted.by.is_some() {
            columns.push(Column::number("with field").where_room());
        }
        if self.numeric {
            columns.extend(["mean", "10 %", "median", "90 %"].map(Column::number));
        }
        if self.valued {
            columns.extend(values.iter().map(|value| Column::number(value.clone()).where_room()));
            columns.extend([Column::number("others").where_room(), Column::text("over-represented")]);
        }
        columns
    }

    fn row(&self, part: &Part, values: &[String]) -> Vec<Cell> {
        let id = if part.id < 0 { Cell::of("") } else { Cell::of(part.id) };
        let mut row = vec![id, Cell::of(&part.name), Cell::of(part.size)];
        if self.wanted.r#where.is_some() {
            row.extend([Cell::of(part.looked_at), Cell::of(part.found), percent(part.found, part.looked_at)]);
        }
        if self.wanted.by.is_some() {
            row.push(Cell::of(part.having));
        }
        if self.numeric {
            let number = |of: fn(&Numbers) -> f64| {
                Cell::maybe(part.numbers.as_ref().map(of), |number| Cell::real(number, 2))
            };
            row.extend([
                number(|one| one.mean),
                number(|one| one.p10),
                number(|one| one.p50),
                number(|one| one.p90),
            ]);
        }
        if self.valued {
            let shares = values.iter().zip(&part.documents).map(|(value, documents)| {
                let mark = if part.over.iter().any(|over| over.value == *value) { "*" } else { "" };
                Cell::short(format!("{}{mark}", in_percent(*documents, part.having)), documents)
            });
            row.extend(shares);
            row.extend([Cell::short(in_percent(part.others, part.having), part.others), over(&part.over)]);
        }
        row
    }
}

fn percent(part: u64, of: u64) -> Cell {
    Cell::short(in_percent(part, of), part as f64 / of.max(1) as f64)
}

fn in_percent(part: u64, of: u64) -> String {
    if of == 0 { String::new() } else { format!("{:.0} %", 100.0 * part as f64 / of as f64) }
}

/// `camera 63 % (12 %)`: its share here, and elsewhere.
fn over(over: &[Over]) -> Cell {
    let told: Vec<String> = (over.iter())
        .map(|Over { value, share, elsewhere, .. }| {
            format!("{value} {:.0} % ({:.0} %)", 100.0 * share, 100.0 * elsewhere)
        })
        .collect();
    Cell::of(told.join(", "))
}

fn note(found: &Breakdown, wanted: &Wanted, all: usize) -> String {
    let Breakdown { documents, looked_at, found: fulfil, topics, values, known_values, .. } = found;
    let shown = topics.len();
    let topics = if shown < all { format!("{shown} of {all} topics; ") } else { String::new() };
    let counted = if wanted.r#where.is_none() {
        format!("all {documents} documents counted")
    } else {
        let share = 100.0 * *looked_at as f64 / (*documents).max(1) as f64;
        format!(
            "{fulfil} of the {looked_at} documents of the sample, which is {share:.0} % of all {documents}"
        )
    };
    let columns = if values.len() < *known_values {
        format!("; {} of {known_values} values, --values shows more", values.len())
    } else {
        String::new()
    };
    let marked =
        if values.is_empty() { "" } else { "; * and the last column: more than elsewhere, p ≤ 0.01" };
    format!("{topics}{counted}{columns}{marked}")
}

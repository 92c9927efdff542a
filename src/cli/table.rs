//! Answers as text for people.

use comfy_table::{ContentArrangement, Table, presets};

use crate::keywords::Keyword;
use crate::record::answer::{AssignedRecord, FoundRecord};
use crate::record::topic::TopicsRecord;

/// Keywords in a cell.
const WORDS: usize = 8;
/// Characters of a representative document in a cell.
const TEXT: usize = 70;

/// An empty table.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table
}

pub(super) fn words(keywords: &[Keyword]) -> String {
    let words: Vec<&str> = keywords.iter().take(WORDS).map(|keyword| keyword.term.as_str()).collect();
    words.join(", ")
}

/// `text` on one line, at most `characters` long.
pub(super) fn one_line(text: &str, characters: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The topics, largest first.
pub(super) fn topics(record: &TopicsRecord) -> String {
    let mut table = table(&["id", "size", "name", "keywords", "representative document"]);
    for topic in &record.topics {
        let document =
            topic.representative.first().map_or_else(String::new, |first| one_line(&first.text, TEXT));
        let name = one_line(&topic.name, 40);
        table.add_row([topic.id.to_string(), topic.size.to_string(), name, words(&topic.keywords), document]);
    }
    let share = record.outliers as f64 / (record.documents.max(1)) as f64 * 100.0;
    format!(
        "{table}\nversion {}: {} topics, {} documents, {} of them outliers ({share:.0} %)\n",
        record.version,
        record.topics.len(),
        record.documents,
        record.outliers
    )
}

/// Topics near to a text.
pub(super) fn found(found: &[FoundRecord], measure: &str) -> String {
    let mut table = table(&[measure, "id", "size", "name", "keywords"]);
    for topic in found {
        let cosine = format!("{:.4}", topic.similarity);
        let name = one_line(&topic.name, 40);
        table.add_row([cosine, topic.id.to_string(), topic.size.to_string(), name, words(&topic.keywords)]);
    }
    format!("{table}\n")
}

/// The topics of one text.
pub(super) fn assigned(text: &str, assigned: &AssignedRecord) -> String {
    let topic = if assigned.topic < 0 {
        format!("outlier (nearest topic at cosine {:.3})", assigned.similarity)
    } else {
        format!("topic {} ({}), cosine {:.3}", assigned.topic, assigned.label, assigned.similarity)
    };
    let weights: Vec<String> =
        assigned.weights.iter().map(|weight| format!("{} {:.2}", weight.topic, weight.weight)).collect();
    format!("{}\n  {topic}\n  weights: {}\n", one_line(text, TEXT), weights.join(", "))
}

//! Whatever a model answers, to a label and a summary that can stand in a table, a file and a page.

/// A topic's label, and a sentence about it if one was asked for and given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// One line of plain text.
    pub label: String,
    /// One line of plain text; empty for none.
    pub summary: String,
}

/// Why an answer is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Useless {
    /// Nothing is left once markup is gone.
    #[error("the answer holds no words")]
    Empty,
    /// A refusal, or thinking aloud.
    #[error("the answer is no label but talk")]
    Talk,
}

/// Words in a label after which it is talk and no label, whatever its length in characters.
const MOST_WORDS: usize = 12;

/// What a line may begin with to say what it holds.
const KEYS: [&str; 3] = ["topic:", "label:", "summary:"];

/// Reads `topic: …` and `summary: …` from an answer; without `topic:`, the first line with words is the label.
///
/// Markup, links, control characters and quotes around the whole are taken out, white space becomes one space, and
/// what is longer than `label_characters` or `summary_characters` is cut between words. What a model thinks aloud
/// before it answers (`<think> … </think>`) is left out.
pub fn read(text: &str, label_characters: usize, summary_characters: usize) -> Result<Labelled, Useless> {
    let said = text.rsplit_once("</think>").map_or(text, |(_, said)| said);
    let keyed = |line: &&str| KEYS.iter().any(|key| value(unmarked(line), key).is_some());
    let first = || said.lines().filter(|line| !keyed(line)).map(plain).find(has_words);
    let label =
        ["topic:", "label:"].iter().find_map(|key| after(said, key)).or_else(first).ok_or(Useless::Empty)?;
    if label.split(' ').count() > MOST_WORDS || is_refusal(&label) {
        return Err(Useless::Talk);
    }
    let label = cut(&label, label_characters);
    if !label.chars().any(char::is_alphabetic) {
        return Err(Useless::Empty);
    }
    let summary =
        if summary_characters > 0 { after(said, "summary:").unwrap_or_default() } else { String::new() };
    Ok(Labelled { label, summary: cut(&summary, summary_characters) })
}

/// The rest of the first line that begins with `key` and has words, in plain text.
fn after(text: &str, key: &str) -> Option<String> {
    text.lines().filter_map(|line| value(unmarked(line), key)).map(plain).find(has_words)
}

/// A line without what Markdown puts before its first word.
fn unmarked(line: &str) -> &str {
    line.trim_start_matches(|c: char| !c.is_alphanumeric())
}

/// What follows `key`, in any case, at the start of a line.
fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.get(..key.len()).filter(|start| start.eq_ignore_ascii_case(key)).map(|_| &line[key.len()..])
}

#[expect(clippy::ptr_arg, reason = "filters strings")]
fn has_words(line: &String) -> bool {
    line.chars().any(char::is_alphanumeric)
}

/// `text` without markup: tags, links, Markdown's signs, control and invisible characters, quotes around it.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        kept.push_str(&rest[..at]);
        // A tag that does not end swallows the rest: half a tag is worse than half a label.
        rest = rest[at..].find('>').map_or("", |end| &rest[at + end + 1..]);
        kept.push(' ');
    }
    kept.push_str(rest);
    let words = kept.split_whitespace().filter(|word| !word.contains("://") && !word.starts_with("www."));
    let joined = words.collect::<Vec<_>>().join(" ");
    let bare: String = joined.chars().filter(|c| !is_markup(*c)).collect();
    let bare = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    bare.trim_matches(|c: char| {
        matches!(c, '"' | '\'' | '“' | '”' | '‘' | '’' | '«' | '»' | '.' | ',' | ';' | ':' | '-')
    })
    .trim()
    .to_owned()
}

/// Signs of Markdown, HTML and JSON, control characters, and those that turn or hide text.
fn is_markup(c: char) -> bool {
    matches!(c, '*' | '_' | '`' | '#' | '[' | ']' | '{' | '}' | '<' | '>' | '|' | '\\' | '~')
        || c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn is_refusal(label: &str) -> bool {
    let lower = label.to_lowercase();
    ["i'm sorry", "i’m sorry", "i am sorry", "sorry,", "as an ai", "i cannot", "i can't", "i can’t"]
        .iter()
        .any(|start| lower.starts_with(start))
}

/// The start of `text` of at most `characters`, cut between words where there are any.
fn cut(text: &str, characters: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(characters) else { return text.to_owned() };
    let whole = text[..end].rfind(' ').filter(|_| !text[end..].starts_with(' ')).unwrap_or(end);
    text[..whole].trim_end_matches([' ', ',', ';', ':', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(text: &str) -> Result<String, Useless> {
        read(text, 40, 60).map(|labelled| labelled.label)
    }

    #[test]
    fn the_two_lines_are_read_wherever_they_stand() {
        let expected =
            Labelled { label: "Interest rates".into(), summary: "Central banks raise rates".into() };
        for text in [
            "topic: Interest rates\nsummary: Central banks raise rates.",
            "Sure! Here it is:\n\n**Topic:** \"Interest rates\"\n\n*Summary:* Central banks raise rates.\n",
            "<think>topic: no\nhm</think>\nTOPIC: Interest   rates\r\nSummary:\tCentral banks raise rates",
            "- label: <b>Interest</b> rates\n- summary: Central banks raise rates",
        ] {
            assert_eq!(read(text, 40, 60), Ok(expected.clone()), "{text}");
        }
        assert_eq!(label("Interest rates"), Ok("Interest rates".into()));
        assert_eq!(read("topic: a b\nsummary: long", 40, 0).unwrap().summary, "");
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for text in ["", "\n\n", "```\n```", "topic: 123", "topic: <br>", "{}", "\u{200B}"] {
            assert_eq!(label(text), Err(Useless::Empty), "{text}");
        }
        let talk = "I read all of the documents and thought about them for a while before I answered";
        assert_eq!((label(talk), label("I'm sorry, but no")), (Err(Useless::Talk), Err(Useless::Talk)));
    }

    #[test]
    fn links_scripts_and_half_tags_go() {
        assert_eq!(
            label("topic: Bank <script>alert(1)</script> news https://evil.example/x"),
            Ok("Bank alert(1) news".into())
        );
        assert_eq!(label("topic: Bank news <img src=x"), Ok("Bank news".into()));
        assert_eq!(label("topic: one\u{202E}two\u{0}"), Ok("onetwo".into()));
    }

    #[test]
    fn long_labels_are_cut_between_words() {
        assert_eq!(
            label("topic: Extraordinarily long labels about banking regulation"),
            Ok("Extraordinarily long labels about".into())
        );
        assert_eq!(label(&format!("topic: {}", "x".repeat(90))).unwrap().len(), 40);
    }

    proptest! {
        #[test]
        fn whatever_is_said_a_label_is_a_short_line_of_plain_text(text in ".{0,300}|(topic: |<|>|\\*|\n|[a-z ]{0,9}){0,40}") {
            if let Ok(Labelled { label, summary }) = read(&text, 40, 60) {
                prop_assert!(label.chars().count() <= 40 && summary.chars().count() <= 60);
                for text in [&label, &summary] {
                    prop_assert!(!text.chars().any(is_markup), "{text:?}");
                    prop_assert_eq!(text.trim(), text.as_str());
                }
                prop_assert!(label.chars().any(char::is_alphabetic));
            }
        }
    }
}

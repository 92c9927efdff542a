//! Foreign text as people may see it, on a terminal or in a log: nothing in it moves the cursor, changes a colour or turns the reading direction.

use std::borrow::Cow;

/// `text` with each control character and each bidirectional override written out, such as `\u{1b}`. Line ends and tabs
/// stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { seen.extend(c.escape_unicode()) } else { seen.push(c) }
    }
    Cow::Owned(seen)
}

/// `text` on one line, without tabs, and visible.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    visible(&words.join(" ")).into_owned()
}

/// The start of `text` on one line, at most `characters` long.
pub fn quote(text: &str, characters: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `json` with the same characters escaped; they can stand in its strings only.
pub fn visible_json(json: String) -> String {
    if !json.contains(is_hidden) {
        return json;
    }
    let escaped = |c| if is_hidden(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(escaped).collect()
}

/// `line` on one line, as a log needs it: control characters and overrides, line ends too, written as `\uXXXX`, which
/// JSON reads as the same characters.
pub fn log_line(line: &str) -> String {
    let escaped =
        |c| if is_hidden(c) || c == '\n' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    line.chars().map(escaped).collect()
}

/// C0 but for line end and tab, DEL, C1, and what overrides, embeds or isolates a reading direction.
fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_and_no_override_is_left() {
        let hostile: String = ('\0'..='\u{a0}').chain('\u{2020}'..='\u{2070}').collect();
        for seen in [visible(&hostile).into_owned(), one_line(&hostile), quote(&hostile, 9)] {
            let left = |c: char| {
                c.is_control() && c != '\n' && c != '\t'
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c)
            };
            assert!(!seen.contains(left), "{seen:?}");
        }
        assert_eq!(visible("\u{1b}[31mred\r\u{202e}"), "\\u{1b}[31mred\\u{d}\\u{202e}");
        assert_eq!(visible("a\tb\n위성"), "a\tb\n위성");
        assert_eq!(one_line(" a\tb\u{2028}c\u{85}d\n\u{7}"), "a b c d \\u{7}");
    }

    #[test]
    fn a_document_cannot_write_lines_of_the_log() {
        assert_eq!(log_line("a\n2026 ERROR \u{9b}31m\u{202e}"), "a\\u000a2026 ERROR \\u009b31m\\u202e");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}\u{7f}\u{202e}위\n" });
        let seen = visible_json(value.to_string());
        assert!(!seen.contains(is_hidden), "{seen:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&seen).unwrap(), value);
    }
}

//! Which Kafka topics documents come from.

use std::fmt;

use regex::Regex;

/// Topics by their names, and by patterns of names that begin with `^`.
#[derive(Clone)]
pub struct Subscription {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Name(String),
    Pattern(Regex),
}

impl Subscription {
    /// The topics that `text` names, separated by commas.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(|part| Part::parse(part.trim()));
        Ok(Self { text: text.to_owned(), parts: parts.collect::<Result<_, _>>()? })
    }

    /// True if documents come from `topic`.
    pub fn takes(&self, topic: &str) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Name(name) => name == topic,
            Part::Pattern(pattern) => pattern.is_match(topic),
        })
    }

    /// The topics that are named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Pattern(_) => None,
        })
    }

    /// True if there may be more topics than those that are named.
    pub fn has_pattern(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Pattern(_)))
    }
}

/// The longest name of a topic.
const MOST_BYTES: usize = 249;

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('^') {
            let pattern = Regex::new(text).map(Self::Pattern);
            return pattern
                .map_err(|error| format!("a regular expression where it begins with `^`: {error}"));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
        if text.is_empty() || text.len() > MOST_BYTES || !text.chars().all(legal) {
            return Err("1 to 249 letters, digits, dots, underscores and hyphens".to_owned());
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_take_topics() {
        let both = Subscription::parse("news, ^posts-[a-z]{2}$").unwrap();
        assert!(both.takes("news") && both.takes("posts-de") && both.has_pattern());
        for other in ["news2", "my-posts-de", "posts-deu"] {
            assert!(!both.takes(other), "{other}");
        }
        assert_eq!(both.names().collect::<Vec<_>>(), ["news"]);
        assert!(Subscription::parse("^posts").unwrap().takes("posts-de"), "a pattern is the start of a name");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for wrong in ["", "a,", "a b", "^a(", "é"] {
            assert!(Subscription::parse(wrong).is_err(), "{wrong}");
        }
    }
}

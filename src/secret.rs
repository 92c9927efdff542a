//! A text that is never shown: passwords, tokens, and addresses that carry one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that no log, error or printed configuration shows. Empty for none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `other` is the same. Takes as long for any text of its length, so that nobody learns the secret a
    /// character at a time.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
        own.len() == other.len() && std::hint::black_box(differences) == 0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"***\"" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "***" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// A line's end at the end is cut: editors and `echo` leave one. One inside is a mistake.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.contains(char::is_control) {
            let why = "it holds a line's end or another control character; is it pasted whole and alone?";
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::from("hush");
        assert!(!format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()).contains("hush"));
        assert!(secret.is(b"hush") && !secret.is(b"hus") && !secret.is(b"hush!") && !secret.is(b"husk"));
    }

    #[test]
    fn a_line_end_at_its_end_is_cut_and_one_inside_refused() {
        let read = |text: &str| serde_json::from_value::<Secret>(text.into());
        assert_eq!(read("hush\r\n").unwrap().reveal(), "hush");
        let wrong = read("two\nlines").unwrap_err().to_string();
        assert!(
            wrong.contains("line's end") && !wrong.contains("lines;") && !wrong.contains("two"),
            "{wrong}"
        );
    }
}

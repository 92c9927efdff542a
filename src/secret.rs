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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What serde says of another type shows the value.
        String::deserialize(deserializer)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("a secret must be a string"))
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
    fn a_value_of_another_type_is_not_shown() {
        let wrong = serde_json::from_value::<Secret>(12345.into()).unwrap_err().to_string();
        assert!(wrong.contains("string") && !wrong.contains("12345"), "{wrong}");
    }
}

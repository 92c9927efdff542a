//! Conditions on the kept fields of documents, as people write them: `rating < 3 and country = "DE"`.
//!
//! ```text
//! condition  = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" condition ")" | name ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!            | name "in" "(" value { "," value } ")"
//! name       = letter { letter | digit | "_" | "." | "-" } | "`" any "`"
//! value      = "\"" text "\"" | "'" text "'" | number | "true" | "false"
//! ```
//!
//! A field that a document doesn't have, or that holds another type than the value, fulfils no comparison; `not` turns
//! that round. Of an array one value is enough, but for `!=`, which no value may be. A time is compared with a text that
//! is one: `sold >= "2021-05"`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::document::Value;

/// Brackets and `not` within each other, at most.
const MOST_NESTED: usize = 50;

/// A condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    text: String,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Compared { field: String, how: How, with: Literal },
    OneOf { field: String, values: Vec<Literal> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value, and the moment that its text is, if it is one.
#[derive(Debug, Clone, PartialEq)]
struct Literal {
    value: Value,
    moment: Option<i64>,
}

/// A condition that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read the condition at character {at}: {found} stands there, not {expected}; write it like `rating < 3 and country = \"DE\"`"
)]
pub struct Unreadable {
    /// The character at fault, from 1.
    at: usize,
    /// What stands there.
    found: String,
    /// What may stand there.
    expected: &'static str,
}

impl Filter {
    /// True if the condition holds, when `value_of` gives the value of a field by its name.
    pub fn holds(&self, value_of: impl Fn(&str) -> Option<Value>) -> bool {
        self.condition.holds(&value_of)
    }

    /// The names of the fields that it asks for.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let mut fields = Vec::new();
        self.condition.name(&mut fields);
        fields.into_iter()
    }
}

impl Condition {
    fn name<'c>(&'c self, fields: &mut Vec<&'c str>) {
        match self {
            Self::Any(conditions) | Self::All(conditions) => {
                conditions.iter().for_each(|one| one.name(fields));
            }
            Self::Not(condition) => condition.name(fields),
            Self::Compared { field, .. } | Self::OneOf { field, .. } => fields.push(field),
        }
    }

    fn holds(&self, value_of: &impl Fn(&str) -> Option<Value>) -> bool {
        match self {
            Self::Any(conditions) => conditions.iter().any(|one| one.holds(value_of)),
            Self::All(conditions) => conditions.iter().all(|one| one.holds(value_of)),
            Self::Not(condition) => !condition.holds(value_of),
            Self::Compared { field, how, with } => value_of(field).is_some_and(|found| match how {
                How::Unequal => found.each().iter().all(|one| with.order(one) != Some(Ordering::Equal)),
                _ => found.each().iter().any(|one| with.order(one).is_some_and(|order| how.fits(order))),
            }),
            Self::OneOf { field, values } => value_of(field).is_some_and(|found| {
                let is = |one: &Value| values.iter().any(|value| value.order(one) == Some(Ordering::Equal));
                found.each().iter().any(is)
            }),
        }
    }
}

impl How {
    fn fits(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Literal {
    fn of(value: Value) -> Self {
        let moment = if let Value::Text(text) = &value { moment(text) } else { None };
        Self { value, moment }
    }

    /// How `found` stands to it; none where the two cannot be compared.
    fn order(&self, found: &Value) -> Option<Ordering> {
        match (found, &self.value) {
            (Value::Text(found), Value::Text(value)) => Some(found.cmp(value)),
            (Value::Number(found), Value::Number(value)) => found.partial_cmp(value),
            (Value::Boolean(found), Value::Boolean(value)) => Some(found.cmp(value)),
            (Value::Time(found), Value::Text(_)) => Some(found.cmp(&self.moment?)),
            _ => None,
        }
    }
}

/// The moment that `text` is, in ms since 1970: a time, or the first one of a day, a month or a year in UTC.
fn moment(text: &str) -> Option<i64> {
    let whole = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let civil = || whole.parse::<DateTime>().ok().and_then(|civil| Offset::UTC.to_timestamp(civil).ok());
    whole.parse::<Timestamp>().ok().or_else(civil).map(Timestamp::as_millisecond)
}

impl FromStr for Filter {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut reader = Reader { text, at: 0, nested: 0 };
        let condition = reader.condition()?;
        match reader.peek() {
            Token::End => Ok(Self { text: text.to_owned(), condition }),
            _ => Err(reader.unexpected("`and`, `or` or the end")),
        }
    }
}

impl TryFrom<String> for Filter {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.text
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    /// A name without quotes, a number, or a word of the language.
    Word(&'a str),
    /// A name in backticks.
    Name(&'a str),
    /// A text in quotes.
    Text(&'a str),
    /// A comparison, a bracket or a comma.
    Sign(&'a str),
    /// Nothing that has a meaning.
    Unknown(&'a str),
    End,
}

/// Reads from left to right, one token ahead.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    nested: usize,
}

impl<'a> Reader<'a> {
    fn condition(&mut self) -> Result<Condition, Unreadable> {
        self.several("or", Self::all, Condition::Any)
    }

    fn all(&mut self) -> Result<Condition, Unreadable> {
        self.several("and", Self::one, Condition::All)
    }

    fn several(
        &mut self,
        word: &str,
        read: fn(&mut Self) -> Result<Condition, Unreadable>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Condition, Unreadable> {
        let first = read(self)?;
        let mut conditions = vec![first];
        while self.takes_word(word) {
            conditions.push(read(self)?);
        }
        Ok(if conditions.len() == 1 { conditions.remove(0) } else { join(conditions) })
    }

    fn one(&mut self) -> Result<Condition, Unreadable> {
        if self.takes_word("not") {
            return self.nest(Self::one).map(|condition| Condition::Not(Box::new(condition)));
        }
        if self.takes("(") {
            let condition = self.nest(Self::condition)?;
            return if self.takes(")") { Ok(condition) } else { Err(self.unexpected("`and`, `or` or `)`")) };
        }
        let field = match self.peek() {
            Token::Name(name) => name,
            Token::Word(name) if name.starts_with(|first: char| first.is_alphabetic() || first == '_') => {
                name
            }
            _ => return Err(self.unexpected("the name of a field")),
        };
        self.advance();
        if self.takes_word("in") {
            return Ok(Condition::OneOf { field: field.to_owned(), values: self.values()? });
        }
        let how = match self.peek() {
            Token::Sign("=") => How::Equal,
            Token::Sign("!=") => How::Unequal,
            Token::Sign("<") => How::Less,
            Token::Sign("<=") => How::LessOrEqual,
            Token::Sign(">") => How::Greater,
            Token::Sign(">=") => How::GreaterOrEqual,
            _ => return Err(self.unexpected("one of = != < <= > >= in")),
        };
        self.advance();
        Ok(Condition::Compared { field: field.to_owned(), how, with: self.value()? })
    }

    fn nest(
        &mut self,
        read: fn(&mut Self) -> Result<Condition, Unreadable>,
    ) -> Result<Condition, Unreadable> {
        if self.nested == MOST_NESTED {
            return Err(self.unexpected("a condition with fewer brackets within brackets"));
        }
        self.nested += 1;
        let condition = read(self);
        self.nested -= 1;
        condition
    }

    fn values(&mut self) -> Result<Vec<Literal>, Unreadable> {
        if !self.takes("(") {
            return Err(self.unexpected("`(` and the values"));
        }
        let mut values = vec![self.value()?];
        while self.takes(",") {
            values.push(self.value()?);
        }
        if self.takes(")") { Ok(values) } else { Err(self.unexpected("`,` or `)`")) }
    }

    fn value(&mut self) -> Result<Literal, Unreadable> {
        let value = match self.peek() {
            Token::Text(text) => Some(Value::Text(text.into())),
            Token::Word("true") => Some(Value::Boolean(true)),
            Token::Word("false") => Some(Value::Boolean(false)),
            Token::Word(word) => {
                word.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number)
            }
            _ => None,
        };
        let value = value.ok_or_else(|| self.unexpected("a number, true, false or a text in quotes"))?;
        self.advance();
        Ok(Literal::of(value))
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = self.peek() == Token::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word));
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, expected: &'static str) -> Unreadable {
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Unknown(start) if start.starts_with(['"', '\'', '`']) => {
                "a quote without its end".to_owned()
            }
            Token::Word(text)
            | Token::Name(text)
            | Token::Text(text)
            | Token::Sign(text)
            | Token::Unknown(text) => {
                format!("`{text}`")
            }
        };
        let at = self.text[..self.start()].chars().count() + 1;
        Unreadable { at, found, expected }
    }

    fn start(&self) -> usize {
        self.text.len() - self.text[self.at..].trim_start().len()
    }

    fn advance(&mut self) {
        self.at = self.next().1;
    }

    fn peek(&self) -> Token<'a> {
        self.next().0
    }

    /// The token from here on, and where it ends.
    fn next(&self) -> (Token<'a>, usize) {
        let start = self.start();
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else { return (Token::End, start) };
        let to = |length: usize| (&rest[..length], start + length);
        if let '"' | '\'' | '`' = first {
            let inside = &rest[1..];
            let Some(length) = inside.find(first) else { return (Token::Unknown(rest), self.text.len()) };
            let (text, end) = (&inside[..length], start + length + 2);
            return (if first == '`' { Token::Name(text) } else { Token::Text(text) }, end);
        }
        if let Some(sign) =
            ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","].iter().find(|sign| rest.starts_with(**sign))
        {
            let (sign, end) = to(sign.len());
            return (Token::Sign(sign), end);
        }
        let in_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.' | '-' | '+');
        let (word, end) = to(rest.find(|char: char| !in_word(char)).unwrap_or(rest.len()));
        if word.is_empty() {
            let (unknown, end) = to(first.len_utf8());
            return (Token::Unknown(unknown), end);
        }
        (Token::Word(word), end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Option<Value> {
        Some(match name {
            "rating" => Value::Number(2.0),
            "user.country" => Value::Text("DE".into()),
            "new" => Value::Boolean(true),
            "sold" => Value::Time(1_621_296_000_000),
            "tags" => Value::Array([Value::Text("a".into()), Value::Number(7.0)].into()),
            "a name" => Value::Text("it's".into()),
            _ => return None,
        })
    }

    #[test]
    fn conditions_hold_or_not() {
        for (text, expected) in [
            ("rating < 3 and user.country = \"DE\"", true),
            ("rating<3 AND user.country='AT'", false),
            ("rating >= 2.5 or not user.country in ('AT', \"CH\")", true),
            ("rating = 1 or rating = 2 and new = false", false),
            ("(rating = 1 or rating = 2) and new = true", true),
            ("rating != 2", false),
            ("rating > -1e3", true),
            ("rating = 'DE'", false),
            ("missing = 1 or missing != 1", false),
            ("not missing = 1", true),
            ("tags = 'a' and tags > 6 and tags != 'b'", true),
            ("tags != 'a'", false),
            (
                "sold = \"2021-05-18\" and sold >= '2021-05' and sold > '2021' and sold < '2021-05-18T00:00:01Z'",
                true,
            ),
            ("sold < 'soon'", false),
            ("`a name` = \"it's\"", true),
            ("user.country >= 'DD'", true),
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!(filter.holds(value), expected, "{text}");
            let json = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        for (text, at, words) in [
            ("", 1, "the end stands there, not the name of a field"),
            ("rating", 7, "not one of = != < <= > >= in"),
            ("rating < ", 10, "the end stands there, not a number"),
            ("rating < high", 10, "`high` stands there"),
            ("rating < inf", 10, "`inf` stands there"),
            ("größe = 3 und x = 1", 11, "`und` stands there, not `and`, `or` or the end"),
            ("(a = 1", 7, "not `and`, `or` or `)`"),
            ("a in (1 2)", 9, "not `,` or `)`"),
            ("a = 'x", 5, "a quote without its end"),
            ("a ~ 1", 3, "`~` stands there"),
            ("5 = a", 1, "not the name of a field"),
        ] {
            let error = text.parse::<Filter>().unwrap_err();
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
        let deep = "(".repeat(100_000);
        assert!(deep.parse::<Filter>().is_err() && "not ".repeat(100_000).parse::<Filter>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9 ()=<>!'\"`,.é-]{0,60}") {
            drop(text.parse::<Filter>().map(|filter| filter.holds(value)));
        }
    }
}

//! What stands on the command line, each kind read in one way and refused with the way out.

use std::io::{IsTerminal, Read, Write};

use crate::model::topic::TopicId;

/// A topic's id.
pub(super) fn topic_id(text: &str) -> Result<TopicId, String> {
    if text.parse() == Ok(TopicId::OUTLIER) {
        return Err(
            "-1 stands for outliers, documents without a topic; `topicd topics` lists the topics".into()
        );
    }
    text.parse().map(TopicId).map_err(|_| {
        "a topic's id is a whole number, such as 7; `topicd topics` lists the topics, `topicd find` finds them by a word"
            .into()
    })
}

/// A version's number.
pub(super) fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        "a version is a whole number, such as 12; `topicd versions` lists those that are kept".into()
    })
}

/// A refit's number.
pub(super) fn refit(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a refit has a whole number, such as 3; `topicd refits` lists them".into())
}

/// An event's number.
pub(super) fn event(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "an event's id is a whole number, such as 12; `topicd notifications` lists them".into())
}

/// How many rows; 0 for all.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    let limit: usize = text.parse().map_err(|_| "write how many, such as 10, or 0 for all".to_owned())?;
    Ok(if limit == 0 { usize::MAX } else { limit })
}

/// A number of things.
pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "write a whole number from 1, such as 5".into())
}

/// A cosine distance.
pub(super) fn distance(text: &str) -> Result<f64, String> {
    let distance = text.parse().ok().filter(|distance| (0.0..=2.0).contains(distance));
    distance.ok_or_else(|| "a cosine distance is a number from 0 to 2, such as 0.6".into())
}

/// All of stdin; who types it is told how it ends.
pub(super) fn stdin() -> anyhow::Result<String> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        // Whoever closed stderr needs no advice.
        drop(writeln!(std::io::stderr(), "type the text, then Enter and Ctrl-D"));
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_refused_with_an_example() {
        for wrong in ["abc", "", "1.5", "-2", "99999999999999999999999", "7\u{1b}[2J", "NaN"] {
            for refused in [
                topic_id(wrong).err(),
                version(wrong).err(),
                refit(wrong).err(),
                event(wrong).err(),
                limit(wrong).err(),
                count(wrong).err(),
            ] {
                assert!(refused.is_some_and(|why| why.contains("such as")), "{wrong}");
            }
        }
        for wrong in ["abc", "-0.1", "2.1", "NaN", "inf"] {
            assert!(distance(wrong).is_err_and(|why| why.contains("0.6")), "{wrong}");
        }
        assert!(topic_id("-1").is_err_and(|why| why.contains("outliers")));
        assert_eq!((limit("0"), limit("3")), (Ok(usize::MAX), Ok(3)));
        assert!(count("0").is_err());
    }
}

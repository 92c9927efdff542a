//! Where a group begins to read, or goes on.

use jiff::Timestamp;

/// A place in every partition of the documents, or in some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Start {
    /// The first record that is there.
    #[default]
    Beginning,
    /// Behind the last record.
    End,
    /// The first record of this time or later, in ms since 1970.
    Time(i64),
    /// The offsets of these partitions, each as topic, partition and offset.
    Offsets(Vec<(String, i32, i64)>),
}

impl Start {
    /// `beginning`, `end`, a time in RFC 3339, or offsets as in `news/0=17,news/1=4`.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::Time(time.as_millisecond()));
        }
        let offsets: Option<Vec<_>> = text.split(',').map(|part| offset(part.trim())).collect();
        offsets.map(Self::Offsets).ok_or(
            "`beginning`, `end`, a time such as 2026-11-29T08:00:00Z, or offsets such as documents/0=17,documents/1=4",
        )
    }
}

fn offset(text: &str) -> Option<(String, i32, i64)> {
    let (place, offset) = text.split_once('=')?;
    let (topic, partition) = topic_and_partition(place)?;
    let offset = offset.parse().ok().filter(|offset| *offset >= 0)?;
    Some((topic.to_owned(), partition, offset))
}

/// The topic and the partition that `topic/partition` names.
pub(super) fn topic_and_partition(place: &str) -> Option<(&str, i32)> {
    let (topic, partition) = place.rsplit_once('/')?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    (!topic.is_empty()).then_some((topic, partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_each_notation() {
        assert_eq!(Start::parse("end"), Ok(Start::End));
        assert_eq!(Start::parse("1970-01-01T01:00:01+01:00"), Ok(Start::Time(1000)));
        let offsets = vec![("a.b".to_owned(), 0, 17), ("c".to_owned(), 12, 0)];
        assert_eq!(Start::parse("a.b/0=17, c/12=0"), Ok(Start::Offsets(offsets)));
        for wrong in ["", "start", "a/0", "a=7", "/0=1", "a/-1=3", "a/0=-1", "2026-11-29"] {
            assert!(Start::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! What assigners teach the modeler, as it travels between processes: sums that add up, and the documents worth
//! keeping. A large one is cut into several, each of which is evidence by itself.

mod format_2;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::document::MOST_ID_BYTES;
use crate::keywords::Bag;
use crate::model::evidence::{Evidence, Learned};
use crate::model::operate::Erasure;
use crate::record::packed::{Broken, pack, pack_as, unpack, unpack_as};

/// The version of a record of evidence: documents have times and fields since.
const FORMAT: u8 = 3;

/// One record of the evidence topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// The encoder that made the embeddings.
    pub encoder: String,
    /// What was learned.
    pub evidence: Evidence,
    /// Where the documents go on after it; only in the last of several that were cut from one.
    pub ends: Checkpoint,
}

impl EvidenceRecord {
    /// `evidence`, after which the documents go on at `ends`, in as few records as stay near `bytes` each before they are compressed.
    pub fn cut(encoder: &str, evidence: Evidence, ends: Checkpoint, bytes: usize) -> Vec<Self> {
        let mut cut = Cut { parts: vec![Evidence::default()], size: 0, most: bytes };
        cut.parts[0].rejected = evidence.rejected;
        for ids in evidence.ids.chunks((bytes / ID_BYTES).max(1)) {
            cut.grow(ID_BYTES * ids.len()).ids.extend(ids);
        }
        for (topic, learned) in evidence.learned {
            let Learned { mut sums, words, profile } = learned;
            for profile in profile.cut(bytes) {
                cut.grow(profile.size()).learned.entry(topic).or_default().profile.merge(&profile);
            }
            for words in words.cut(bytes) {
                let size = 8 * sums.sum.len() + size_of_words(&words);
                let part = cut.grow(size).learned.entry(topic).or_default();
                part.sums.merge(&std::mem::take(&mut sums));
                part.words.merge(&words);
            }
        }
        for (kept, topic) in evidence.kept {
            let values = kept.fields.iter().map(|(name, value)| name.len() + value.size());
            let texts = kept.id.len() + kept.text.len() + size_of_words(&kept.words) + values.sum::<usize>();
            cut.grow(4 * kept.embedding.len() + texts).kept.push((kept, topic));
        }
        let parts = cut.parts.into_iter();
        let record = |evidence| Self { encoder: encoder.to_owned(), evidence, ends: Checkpoint::new() };
        let mut records: Vec<Self> = parts.map(record).collect();
        records.last_mut().into_iter().for_each(|last| last.ends.clone_from(&ends));
        records
    }

    /// The record as bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Broken> {
        pack_as(FORMAT, self)
    }

    /// The record that `bytes` are, which a topicd of the format before may have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        match bytes.first() {
            Some(&format_2::FORMAT) => {
                Ok(unpack_as::<format_2::EvidenceRecord>(format_2::FORMAT, bytes)?.into())
            }
            _ => unpack_as(FORMAT, bytes),
        }
    }
}

/// The key of a record of erasures; one of evidence has none.
pub const ERASURES: &[u8] = b"erasures";

/// Documents that the stream orders to be erased, as one record of the evidence topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErasuresRecord {
    /// In the order in which they stand in the documents.
    pub erasures: Vec<Erasure>,
    /// Where the documents go on after it; only in the last of several that were cut from one.
    pub ends: Checkpoint,
}

impl ErasuresRecord {
    /// `erasures`, after which the documents go on at `ends`, in records of at most about `bytes` each.
    pub fn cut(erasures: &[Erasure], ends: &Checkpoint, bytes: usize) -> Vec<Self> {
        let most = (bytes / MOST_ID_BYTES).max(1);
        let parts = erasures.chunks(most);
        let record = |part: &[Erasure]| Self { erasures: part.to_vec(), ends: Checkpoint::new() };
        let mut records: Vec<Self> = parts.map(record).collect();
        records.last_mut().into_iter().for_each(|last| last.ends.clone_from(ends));
        records
    }

    /// The record as bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Broken> {
        pack(self)
    }

    /// The record that `bytes` are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        unpack(bytes)
    }
}

/// Bytes of the hash of an id.
const ID_BYTES: usize = size_of::<u128>();

fn size_of_words(words: &Bag) -> usize {
    words.iter().map(|(word, _)| word.len() + 2).sum()
}

struct Cut {
    parts: Vec<Evidence>,
    size: usize,
    most: usize,
}

impl Cut {
    /// The part that has room for `bytes` more.
    fn grow(&mut self, bytes: usize) -> &mut Evidence {
        if self.size > 0 && self.size + bytes > self.most {
            self.parts.push(Evidence::default());
            self.size = 0;
        }
        self.size += bytes;
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::{Partition, Position};
    use crate::document::{Fields, Value};
    use crate::model::evidence::{Kept, Sums};
    use crate::model::topic::TopicId;

    fn evidence() -> impl Strategy<Value = Evidence> {
        let topic = prop::option::of(0_u32..5);
        let document = (topic, prop::collection::vec(-1.0_f32..1.0, 4), "[a-c ]{0,40}");
        prop::collection::vec(document, 0..40).prop_map(|documents| {
            let mut evidence = Evidence { rejected: 3, ..Evidence::default() };
            for (number, (topic, embedding, text)) in documents.into_iter().enumerate() {
                let topic = topic.map(TopicId);
                evidence.ids.push(number as u128);
                let learned: &mut Learned = evidence.learned.entry(topic).or_default();
                learned.sums.add(&embedding);
                text.split_whitespace().for_each(|word| learned.words.add(word, 1));
                let position = Position { partition: Partition::new("d/0"), offset: number as u64 };
                let (id, embedding) = (Arc::from(number.to_string()), Arc::from(embedding));
                let words = learned.words.clone();
                let mut fields = Fields::default();
                fields.push("start".into(), Value::Text(text.chars().take(2).collect::<String>().into()));
                learned.profile.add(Some(number as i64), &fields);
                let kept = Kept {
                    id,
                    text,
                    embedding,
                    words,
                    timestamp_ms: Some(number as i64),
                    position,
                    priority: 7,
                    arrived: 0,
                    fields,
                };
                evidence.kept.push((kept, topic));
            }
            evidence
        })
    }

    fn add(sum: &mut Evidence, part: Evidence) {
        for (topic, learned) in part.learned {
            let known = sum.learned.entry(topic).or_default();
            known.sums.merge(&learned.sums);
            known.words.merge(&learned.words);
            known.profile.merge(&learned.profile);
        }
        sum.kept.extend(part.kept);
        sum.ids.extend(part.ids);
        sum.rejected += part.rejected;
    }

    proptest! {
        #[test]
        fn what_is_cut_and_travels_adds_up_to_the_same(evidence in evidence(), bytes in 1_usize..2000) {
            let mut ends = Checkpoint::new();
            ends.advance(Partition::new("d/0"), 40);
            let (mut sum, mut done) = (Evidence::default(), Checkpoint::new());
            for part in EvidenceRecord::cut("encoder", evidence.clone(), ends.clone(), bytes) {
                let arrived = EvidenceRecord::decode(&part.encode().unwrap()).unwrap();
                prop_assert_eq!(&arrived, &part);
                prop_assert!(!done.covers(&ends), "only the last part ends the documents");
                done.merge(&arrived.ends);
                add(&mut sum, arrived.evidence);
            }
            prop_assert_eq!(done, ends);
            prop_assert_eq!(sum, evidence);
        }

        #[test]
        fn no_bytes_are_trusted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(EvidenceRecord::decode(&bytes).is_err());
        }
    }

    #[test]
    fn erasures_travel_in_their_order() {
        let position = |offset| Position { partition: Partition::new("d/0"), offset };
        let erasures: Vec<Erasure> = (0..10)
            .map(|number| Erasure { document: Arc::from(format!("d{number}")), position: position(number) })
            .collect();
        let mut ends = Checkpoint::new();
        ends.advance(Partition::new("d/0"), 10);
        let records = ErasuresRecord::cut(&erasures, &ends, 3 * MOST_ID_BYTES);
        let arrived: Vec<ErasuresRecord> =
            records.iter().map(|record| ErasuresRecord::decode(&record.encode().unwrap()).unwrap()).collect();
        assert_eq!(
            arrived.iter().map(|record| record.ends == ends).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(arrived.into_iter().flat_map(|record| record.erasures).collect::<Vec<_>>(), erasures);
    }

    #[test]
    fn the_words_of_one_topic_are_cut_too() {
        let mut evidence = Evidence { ids: (0..1000).collect(), ..Evidence::default() };
        let learned = evidence.learned.entry(None).or_default();
        (0..1000).for_each(|number| learned.words.add(&format!("word{number:06}"), 1));
        for part in EvidenceRecord::cut("encoder", evidence, Checkpoint::new(), 1000) {
            let words: usize =
                part.evidence.learned.values().map(|learned| size_of_words(&learned.words)).sum();
            assert!(words + ID_BYTES * part.evidence.ids.len() <= 1300);
        }
    }

    #[test]
    fn a_record_of_the_format_before_is_read_and_its_kept_documents_have_their_times() {
        let position = || Position { partition: Partition::new("d/0"), offset: 3 };
        let embedding: Arc<[f32]> = Arc::from([1.0, 0.0]);
        let (topic, words) = (Some(TopicId(2)), Bag::default());
        // As its fields stood one after the other.
        let kept = ("id", "text", &embedding, &words, Some(7_200_000_i64), position(), 0_u64, 9_u64);
        let sums = Sums { documents: 2, sum: vec![2.0, 0.0] };
        let learned = [(topic, (&sums, &words))].into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let evidence = (learned, vec![(kept, topic)], vec![1_u128, 2], 0_u64);
        let bytes = pack_as(2, &("encoder", evidence, Checkpoint::new())).unwrap();
        let record = EvidenceRecord::decode(&bytes).unwrap();
        let learned = &record.evidence.learned[&topic];
        assert_eq!((&learned.sums, learned.profile.calendar.documents()), (&sums, 1));
        let (kept, _) = &record.evidence.kept[0];
        assert_eq!((&*kept.id, kept.timestamp_ms, kept.priority), ("id", Some(7_200_000), 9));
    }

    #[test]
    fn another_format_is_named() {
        let (encoder, evidence, ends) = Default::default();
        let record = EvidenceRecord { encoder, evidence, ends };
        let mut bytes = record.encode().unwrap();
        bytes[0] = 9;
        assert!(EvidenceRecord::decode(&bytes).unwrap_err().to_string().contains("format 9"));
        assert_eq!(Sums::default().documents, 0);
    }
}

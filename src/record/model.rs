//! The model on its way to assigners: a compacted topic with a record for each member that votes, one for each
//! topic, one for the noise, and one that closes the version.
//!
//! | key | what |
//! | --- | --- |
//! | `member/N` | the embedding of kept document N: one byte for the format, then `d` floats, little-endian |
//! | `topic/T` | the topic, and the numbers of its members |
//! | `noise` | the numbers of the members that vote for no topic |
//! | `learned` | in lockstep: what is learned; what follows from it is in force |
//! | `modeler` | who publishes, and where it answers |
//! | `version` | its number, the encoder, redirects, which documents are sampled, how much there is of each kind |
//!
//! A version writes only what differs from the one before, so its size is that of the change; a reader that has read
//! up to a `version` record has all of it. Members travel as they are, so every assigner decides to the bit as the
//! modeler would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::document::Sequence;
use crate::model::topic::{Topic, TopicId};
use crate::model::version::{Entry, Sampling, TopicModel};
use crate::record::packed::{Broken, pack, unpack};
use crate::record::state::Write;

/// The format of a member's record.
const MEMBER_FORMAT: u8 = 1;
const NOISE: &[u8] = b"noise";
const VERSION: &[u8] = b"version";
const LEARNED: &[u8] = b"learned";
const MODELER: &[u8] = b"modeler";

/// A topic and who votes for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TopicMembers {
    topic: Topic,
    /// Differences between the numbers of its members, ascending.
    members: Vec<u64>,
}

/// What closes a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Closing {
    number: u64,
    encoder: String,
    dim: usize,
    sampling_bound: u64,
    vote: Option<f32>,
    redirects: BTreeMap<TopicId, TopicId>,
    topics: usize,
    members: usize,
}

/// A member: its number, its topic (none: noise) and its embedding.
pub type Member<'a> = (Sequence, Option<TopicId>, &'a Arc<[f32]>);

/// What the topic holds already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Members.
    pub members: BTreeSet<Sequence>,
    /// Topics.
    pub topics: BTreeSet<TopicId>,
}

impl Published {
    /// The records that lead from what is published to `model` with `members`, in ascending order; the last one
    /// closes the version.
    pub fn advance(
        &mut self,
        encoder: &str,
        model: &TopicModel,
        members: &[Member<'_>],
    ) -> Result<Vec<Write>, Broken> {
        let mut writes = Vec::new();
        let mut numbers: BTreeMap<Option<TopicId>, Vec<u64>> = BTreeMap::new();
        let mut present = BTreeSet::new();
        for (sequence, topic, embedding) in members {
            present.insert(*sequence);
            numbers.entry(*topic).or_default().push(sequence.0);
            if !self.members.contains(sequence) {
                writes.push(set(member_key(*sequence), member(embedding)));
            }
        }
        writes.extend(self.members.difference(&present).map(|gone| unset(member_key(*gone))));
        for (id, topic) in &model.topics {
            let members = differences(numbers.remove(&Some(*id)).unwrap_or_default());
            writes.push(set(topic_key(*id), pack(&TopicMembers { topic: topic.clone(), members })?));
        }
        let gone = self.topics.iter().filter(|id| !model.topics.contains_key(id));
        writes.extend(gone.map(|id| unset(topic_key(*id))));
        let noise = differences(numbers.remove(&None).unwrap_or_default());
        writes.push(set(NOISE.to_vec(), pack(&noise)?));
        let closing = Closing {
            number: model.number,
            encoder: encoder.to_owned(),
            dim: model.dim(),
            sampling_bound: model.sampling.bound,
            vote: model.vote,
            redirects: model.redirects.clone(),
            topics: model.topics.len(),
            members: members.len(),
        };
        writes.push(set(VERSION.to_vec(), pack(&closing)?));
        *self = Self { members: present, topics: model.topics.keys().copied().collect() };
        Ok(writes)
    }
}

/// In lockstep: everything up to `done` is learned, and what follows from it was written before this.
pub fn learned(done: &Checkpoint) -> Result<Write, Broken> {
    Ok(set(LEARNED.to_vec(), pack(done)?))
}

/// What every reader skips: a member that there never is leaves.
pub fn nothing() -> Write {
    unset(member_key(Sequence(0)))
}

/// Who publishes the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reigning {
    /// Where it answers: `http://HOST:PORT`.
    pub url: String,
    /// What it calls itself in each answer.
    pub instance: String,
    /// Since when, in ms since 1970.
    pub since_ms: i64,
}

/// `reigning` publishes from now on.
pub fn reigning(reigning: &Reigning) -> Result<Write, Broken> {
    Ok(set(MODELER.to_vec(), pack(reigning)?))
}

/// Gathers records until a version is closed.
#[derive(Debug, Default)]
pub struct Gathering {
    members: BTreeMap<Sequence, Arc<[f32]>>,
    topics: BTreeMap<TopicId, TopicMembers>,
    noise: Vec<u64>,
    closing: Option<Closing>,
    learned: Checkpoint,
    reigning: Option<Reigning>,
}

impl Gathering {
    /// Takes the next record in; true if it closes a version.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, Broken> {
        let name = String::from_utf8_lossy(key);
        match (name.split_once('/'), value) {
            (Some(("member", number)), Some(bytes)) => {
                self.members.insert(Sequence(parse(number, &name)?), embedding(bytes)?);
            }
            (Some(("member", number)), None) => {
                self.members.remove(&Sequence(parse(number, &name)?));
            }
            (Some(("topic", number)), Some(bytes)) => {
                self.topics.insert(TopicId(parse(number, &name)?), unpack(bytes)?);
            }
            (Some(("topic", number)), None) => {
                self.topics.remove(&TopicId(parse(number, &name)?));
            }
            (None, Some(bytes)) if key == NOISE => self.noise = unpack(bytes)?,
            (None, Some(bytes)) if key == LEARNED => self.learned = unpack(bytes)?,
            (None, Some(bytes)) if key == MODELER => self.reigning = Some(unpack(bytes)?),
            (None, Some(bytes)) if key == VERSION => {
                self.closing = Some(unpack(bytes)?);
                return Ok(true);
            }
            _ => return Err(Broken::Key { key: name.into_owned() }),
        }
        Ok(false)
    }

    /// What was announced last as learned.
    pub fn learned(&self) -> &Checkpoint {
        &self.learned
    }

    /// Who publishes, as it said itself.
    pub fn reigning(&self) -> Option<&Reigning> {
        self.reigning.as_ref()
    }

    /// The encoder of the version that was closed last.
    pub fn encoder(&self) -> Option<&str> {
        self.closing.as_ref().map(|closing| closing.encoder.as_str())
    }

    /// The version that was closed last, if one was. O(entries × d).
    pub fn model(&self) -> Result<Option<TopicModel>, Broken> {
        let Some(closing) = &self.closing else { return Ok(None) };
        let torn = |what: String| Broken::Torn { version: closing.number, what };
        if (self.topics.len(), self.members.len()) != (closing.topics, closing.members) {
            let (topics, members) = (self.topics.len(), self.members.len());
            return Err(torn(format!("{topics} topics and {members} members are there")));
        }
        let mut votes: BTreeMap<u64, Option<TopicId>> = sums(&self.noise).map(|n| (n, None)).collect();
        for (id, topic) in &self.topics {
            votes.extend(sums(&topic.members).map(|number| (number, Some(*id))));
        }
        let entries = votes.iter().map(|(number, topic)| {
            let embedding = self.members.get(&Sequence(*number));
            let embedding = embedding.ok_or_else(|| torn(format!("member {number} is missing")))?;
            Ok(Entry { embedding: embedding.clone(), topic: *topic })
        });
        let entries = entries.collect::<Result<Vec<_>, Broken>>()?;
        let topics = self.topics.iter().map(|(id, members)| (*id, members.topic.clone())).collect();
        let sampling = Sampling { bound: closing.sampling_bound };
        let redirects = closing.redirects.clone();
        let model = TopicModel::build(closing.number, closing.dim, topics, redirects, &entries, sampling);
        model.map(|model| Some(model.with_vote(closing.vote))).map_err(|error| torn(error.source.to_string()))
    }
}

fn set(key: Vec<u8>, value: Vec<u8>) -> Write {
    Write { key, value: Some(value) }
}

fn unset(key: Vec<u8>) -> Write {
    Write { key, value: None }
}

fn member_key(sequence: Sequence) -> Vec<u8> {
    format!("member/{}", sequence.0).into_bytes()
}

fn topic_key(id: TopicId) -> Vec<u8> {
    format!("topic/{id}").into_bytes()
}

fn parse<T: std::str::FromStr>(number: &str, key: &str) -> Result<T, Broken> {
    number.parse().map_err(|_| Broken::Key { key: key.to_owned() })
}

fn member(embedding: &[f32]) -> Vec<u8> {
    std::iter::once(MEMBER_FORMAT).chain(embedding.iter().flat_map(|value| value.to_le_bytes())).collect()
}

fn embedding(bytes: &[u8]) -> Result<Arc<[f32]>, Broken> {
    let (format, bytes) = bytes.split_first().ok_or(Broken::Empty)?;
    if *format != MEMBER_FORMAT {
        return Err(Broken::Format { found: *format, expected: MEMBER_FORMAT });
    }
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Broken::Decode(postcard::Error::DeserializeUnexpectedEnd));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// Ascending numbers as differences, which postcard writes in a byte or two each.
fn differences(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    let before = std::iter::once(0).chain(numbers.clone());
    numbers.iter().zip(before).map(|(number, before)| number - before).collect()
}

fn sums(differences: &[u64]) -> impl Iterator<Item = u64> {
    differences.iter().scan(0_u64, |sum, difference| {
        *sum = sum.saturating_add(*difference);
        Some(*sum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::topic::Life;

    fn topic(id: u32, centroid: Vec<f32>) -> Topic {
        Topic {
            id: TopicId(id),
            name: format!("topic {id}"),
            size: 3,
            life: Life::Live,
            centroid,
            floor: 0.25,
            keywords: Vec::new(),
            representative: Vec::new(),
            created_version: 1,
            split_from: None,
            custom_label: None,
            label: None,
            aspects: BTreeMap::new(),
            seeds: Vec::new(),
        }
    }

    type Owned = (Sequence, Option<TopicId>, Arc<[f32]>);

    /// A version of topics that lie on the two axes, with members (number, topic).
    fn version(number: u64, topics: &[u32], members: &[(u64, Option<u32>)]) -> (TopicModel, Vec<Owned>) {
        let axis = |id: u32| if id.is_multiple_of(2) { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        let members: Vec<Owned> = members
            .iter()
            .map(|(number, topic)| (Sequence(*number), topic.map(TopicId), Arc::from(axis(*number as u32))))
            .collect();
        let entries: Vec<Entry> = members
            .iter()
            .map(|(_, topic, embedding)| Entry { embedding: embedding.clone(), topic: *topic })
            .collect();
        let topics = topics.iter().map(|id| (TopicId(*id), topic(*id, axis(*id)))).collect();
        let redirects = BTreeMap::from([(TopicId(90), TopicId(0))]);
        let sampling = Sampling { bound: 77 };
        (TopicModel::build(number, 2, topics, redirects, &entries, sampling).unwrap(), members)
    }

    fn publish(published: &mut Published, (model, members): &(TopicModel, Vec<Owned>)) -> Vec<Write> {
        let members: Vec<Member<'_>> =
            members.iter().map(|(sequence, topic, embedding)| (*sequence, *topic, embedding)).collect();
        published.advance("encoder", model, &members).unwrap()
    }

    #[test]
    fn a_reader_has_each_version_as_it_was_published() {
        let versions = [
            version(1, &[0, 1], &[(1, Some(0)), (2, Some(1)), (5, None)]),
            version(2, &[0, 1], &[(1, Some(0)), (2, None), (5, None), (9, Some(1))]),
            version(3, &[0], &[(1, Some(0)), (9, Some(0))]),
        ];
        let (mut published, mut gathering) = (Published::default(), Gathering::default());
        let mut compacted: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for told in &versions {
            let writes = publish(&mut published, told);
            let closes: Vec<bool> = writes
                .iter()
                .map(|write| gathering.take(&write.key, write.value.as_deref()).unwrap())
                .collect();
            let expected: Vec<bool> = (1..=writes.len()).map(|at| at == writes.len()).collect();
            assert_eq!(closes, expected, "the last record closes the version");
            let arrived = gathering.model().unwrap().unwrap();
            assert_eq!(format!("{arrived:?}"), format!("{:?}", told.0), "to the bit");
            compacted.extend(writes.into_iter().map(|write| (write.key, write.value)));
        }
        // One that joins later reads what compaction left, the version's record last.
        let mut late = Gathering::default();
        let closing = compacted.remove(VERSION).unwrap();
        for (key, value) in &compacted {
            late.take(key, value.as_deref()).unwrap();
        }
        late.take(VERSION, closing.as_deref()).unwrap();
        assert_eq!(format!("{:?}", late.model().unwrap().unwrap()), format!("{:?}", versions[2].0));
        assert_eq!(late.encoder(), Some("encoder"));
    }

    #[test]
    fn a_second_version_writes_what_differs() {
        let mut published = Published::default();
        publish(&mut published, &version(1, &[0], &[(1, Some(0)), (2, Some(0))]));
        let writes = publish(&mut published, &version(2, &[0], &[(2, Some(0)), (3, None)]));
        let keys: Vec<_> = writes.iter().map(|write| String::from_utf8_lossy(&write.key)).collect();
        assert_eq!(keys, ["member/3", "member/1", "topic/0", "noise", "version"]);
    }

    #[test]
    fn a_version_that_lacks_a_member_is_refused() {
        let mut gathering = Gathering::default();
        let mut writes = publish(&mut Published::default(), &version(4, &[0], &[(1, Some(0)), (2, None)]));
        writes.remove(0);
        for write in &writes {
            gathering.take(&write.key, write.value.as_deref()).unwrap();
        }
        assert!(gathering.model().unwrap_err().to_string().contains("version 4"));
        assert!(gathering.take(b"strange", None).is_err());
    }
}

//! Right to erasure: one document leaves sums, counts, kept tables, seen ids, and every text that quotes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::document::Sequence;
use crate::keywords::Keyword;
use crate::model::event::{Event, Happened, Portrait};
use crate::model::evidence::Kept;
use crate::model::operate::{Holding, Refusal};
use crate::model::state::State;
use crate::model::state::change::{Change, Op, Standing};
use crate::model::state::draft::Draft;
use crate::model::state::operate::Tombstone;
use crate::model::topic::{Representative, Topic, TopicId, name_all, name_of};

/// What is held of a document.
pub(super) struct Found {
    id: Arc<str>,
    hash: u128,
    pub(super) kept: Option<(Sequence, Arc<Kept>, Standing)>,
}

impl Found {
    /// Topics of which the document is, or was when its record was written.
    fn topics(&self) -> BTreeSet<TopicId> {
        self.kept.iter().flat_map(|(.., standing)| [standing.topic, standing.recorded]).flatten().collect()
    }

    pub(super) fn tombstone(self) -> Tombstone {
        let holding = if self.kept.is_some() { Holding::Kept } else { Holding::Counted };
        Tombstone { id: self.id, holding }
    }

    fn quoted_in(&self, quotes: &[Representative]) -> bool {
        quotes.iter().any(|quote| quote.id == self.id)
    }
}

impl State {
    /// What is held of `document`.
    pub(super) fn find(&self, document: &str) -> Result<Found, Refusal> {
        let hash = xxhash_rust::xxh3::xxh3_128(document.as_bytes());
        let kept = (self.held.iter())
            .find(|(_, kept, _)| &*kept.id == document)
            .map(|(sequence, kept, standing)| (sequence, Arc::clone(kept), standing));
        if kept.is_none() && !self.seen.contains(&hash) {
            return Err(Refusal::NoDocument { document: document.to_owned() });
        }
        Ok(Found { id: document.into(), hash, kept })
    }

    /// Takes the document out of all that quotes it: seen ids, events, archived versions.
    ///
    /// Words that no other document had leave keyword lists too. The event that tells of the forgetting, and names the
    /// id, is not yet there.
    pub(super) fn scrub(&mut self, change: &mut Change, found: &Found) {
        self.step(change, Op::Unseen(found.hash));
        let lost = self.lost_words(found);
        let about = found.topics();
        let given = |id: TopicId, name: &str| {
            self.topics.get(&id).and_then(|record| record.topic.custom_label.as_deref()) == Some(name)
        };
        let mut reworded: Vec<Event> = Vec::new();
        for event in &self.news.events {
            let mut event = Event::clone(event);
            let mut touched = false;
            for portrait in event.happened.portraits_mut() {
                let renewed = about.contains(&portrait.id) && !given(portrait.id, &portrait.name);
                touched |= strip_portrait(portrait, found, &lost, renewed);
            }
            if let Some(before) = event.happened.keywords_before_mut() {
                touched |= strip(before, &lost);
            }
            if let Happened::Renamed { topic, before } = &mut event.happened {
                touched |= strip_name(topic.id, before, &lost);
            }
            reworded.extend(touched.then_some(event));
        }
        reworded.into_iter().for_each(|event| self.step(change, Op::Reword(Box::new(event))));
        let sequence = found.kept.as_ref().map(|(sequence, ..)| *sequence);
        let archives = self.archives.clone();
        for archive in archives {
            let mut archive = (*archive).clone();
            let labels = archive.labels.len();
            archive.labels.retain(|(kept, ..)| Some(*kept) != sequence);
            let mut touched = archive.labels.len() != labels;
            for (id, topic) in &mut archive.topics {
                let renewed = about.contains(id) && topic.custom_label.is_none();
                touched |= strip_named(*id, &mut topic.name, &mut topic.keywords, &lost, renewed);
            }
            if touched {
                self.step(change, Op::Archive(Box::new(archive)));
            }
        }
    }

    /// Words that only this document had.
    fn lost_words(&self, found: &Found) -> BTreeSet<String> {
        let words = found.kept.iter().flat_map(|(_, kept, _)| kept.words.iter());
        words.filter(|(word, _)| self.counts.total(word) <= 0.0).map(|(word, _)| word.to_owned()).collect()
    }
}

impl Draft<'_> {
    /// Takes the document out of sums, counts, kept documents and quotations.
    pub(super) fn forget(&mut self, found: &Found) {
        if let Some((sequence, kept, standing)) = &found.kept {
            self.take_out(kept, *standing);
            self.next.standings.remove(sequence);
        }
        let counts = &self.next.counts;
        let words = found.kept.iter().flat_map(|(_, kept, _)| kept.words.iter());
        let lost: BTreeSet<String> =
            words.filter(|(word, _)| counts.total(word) <= 0.0).map(|(word, _)| word.to_owned()).collect();
        let ended = self.next.ended.values_mut().map(|ended| &mut ended.record);
        for record in self.next.topics.values_mut().chain(ended) {
            record.topic.representative.retain(|quote| quote.id != found.id);
            strip(&mut record.announced, &lost);
            strip_topic(&mut record.topic, &lost);
        }
        // What a chat endpoint said may rest on the document, whatever words it chose.
        for id in found.topics() {
            let live = self.next.topics.get_mut(&id);
            let ended = self.next.ended.get_mut(&id).map(|ended| &mut ended.record);
            live.into_iter().chain(ended).for_each(|record| record.topic.label = None);
        }
        name_all(self.next.topics.values_mut().map(|record| &mut record.topic));
    }
}

fn strip_topic(topic: &mut Topic, lost: &BTreeSet<String>) {
    strip(&mut topic.keywords, lost);
    for list in topic.aspects.values_mut().chain(topic.label.iter_mut().map(|label| &mut label.basis)) {
        strip(list, lost);
    }
}

fn strip(keywords: &mut Vec<Keyword>, lost: &BTreeSet<String>) -> bool {
    let before = keywords.len();
    keywords.retain(|keyword| !lost.contains(&keyword.term));
    keywords.len() != before
}

/// Takes words out of a list, and out of the name if it was made of the list; with `renewed`, the name is made of it
/// now, because a chat endpoint may have made it of the document.
fn strip_named(
    id: TopicId,
    name: &mut String,
    keywords: &mut Vec<Keyword>,
    lost: &BTreeSet<String>,
    renewed: bool,
) -> bool {
    let from_words = *name == name_of(id, keywords);
    let mut touched = strip(keywords, lost);
    if renewed || (touched && from_words) {
        let made = name_of(id, keywords);
        touched |= *name != made;
        *name = made;
    }
    touched
}

/// Takes words out of a name that is made of keywords. A keyword may hold `_` itself, so words are cut out one by one.
fn strip_name(id: TopicId, name: &mut String, lost: &BTreeSet<String>) -> bool {
    let before = name.len();
    if name.starts_with(&format!("{id}_")) {
        for word in lost {
            let without = format!("{name}_").replace(&format!("_{word}_"), "_");
            without.trim_end_matches('_').clone_into(name);
        }
    }
    name.len() != before
}

fn strip_portrait(portrait: &mut Portrait, found: &Found, lost: &BTreeSet<String>, renewed: bool) -> bool {
    let quoted = found.quoted_in(&portrait.representative);
    portrait.representative.retain(|quote| quote.id != found.id);
    strip_named(portrait.id, &mut portrait.name, &mut portrait.keywords, lost, renewed) || quoted
}

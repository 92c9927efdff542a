//! Right to erasure: documents leave sums, counts, kept tables, seen ids, and every text that quotes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::checkpoint::Position;
use crate::document::Sequence;
use crate::keywords::Keyword;
use crate::model::event::{Event, Happened, Portrait};
use crate::model::evidence::Kept;
use crate::model::operate::{Erasure, Holding, Refusal};
use crate::model::profile::Profile;
use crate::model::state::State;
use crate::model::state::adopt::Rules;
use crate::model::state::change::{Change, Op, Standing};
use crate::model::state::draft::Draft;
use crate::model::state::operate::{Operation, Tombstone};
use crate::model::topic::{Representative, Topic, TopicId, name_all, name_of};
use crate::model::version::BrokenEntry;

/// What is held of documents.
struct Found {
    documents: BTreeMap<Arc<str>, Holding>,
    kept: Vec<(Sequence, Arc<Kept>, Standing)>,
}

/// Why there is a version that differs by forgotten documents only.
const CAUSE: &str = "documents forgotten";

impl Found {
    /// Topics of which the documents are, or were when their records were written.
    fn topics(&self) -> BTreeSet<TopicId> {
        self.kept.iter().flat_map(|(.., standing)| [standing.topic, standing.recorded]).flatten().collect()
    }

    fn quotes(&self, quote: &Representative) -> bool {
        self.documents.contains_key(&quote.id)
    }
}

fn hash(document: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(document.as_bytes())
}

impl State {
    /// Erases a document, whatever came under its id. O(kept documents × d + words).
    ///
    /// # Errors
    /// Nothing is held of it.
    pub(super) fn forget(
        &mut self,
        document: &str,
        rules: Rules<'_>,
        now_ms: i64,
    ) -> Result<Operation, Refusal> {
        let found = self.find([document].into_iter(), |_| true);
        if found.documents.is_empty() {
            return Err(Refusal::NoDocument { document: document.to_owned() });
        }
        Ok(self.take_out(&found, rules, now_ms)?)
    }

    /// Carries out orders of the stream; none if nothing is held of any of the documents. As [`operate`](Self::operate)
    /// in cost, however many there are.
    pub fn erase(
        &mut self,
        erasures: &[Erasure],
        rules: Rules<'_>,
        now_ms: i64,
    ) -> Result<Option<Operation>, BrokenEntry> {
        let mut orders: BTreeMap<&str, Vec<&Position>> = BTreeMap::new();
        for Erasure { document, position } in erasures {
            orders.entry(document).or_default().push(position);
        }
        let found = self.find(orders.keys().copied(), |kept| {
            let orders = orders.get(&*kept.id).into_iter().flatten();
            // A document that came under the same id after the order stays.
            orders.copied().any(|order| order.partition != kept.position.partition || order > &kept.position)
        });
        if found.documents.is_empty() {
            return Ok(None);
        }
        self.take_out(&found, rules, now_ms).map(Some)
    }

    /// What is held of the documents called `ids`; of the kept ones, of those that `are_meant`.
    fn find<'a>(&self, ids: impl Iterator<Item = &'a str>, are_meant: impl Fn(&Kept) -> bool) -> Found {
        let ids: BTreeSet<&str> = ids.collect();
        let kept = self.held.iter().filter(|(_, kept, _)| ids.contains(&*kept.id) && are_meant(kept));
        let kept: Vec<_> =
            kept.map(|(sequence, kept, standing)| (sequence, kept.clone(), standing)).collect();
        let seen = ids.iter().filter(|id| self.seen.contains(&hash(id)));
        let mut documents: BTreeMap<Arc<str>, Holding> =
            seen.map(|id| (Arc::from(*id), Holding::Counted)).collect();
        documents.extend(kept.iter().map(|(_, kept, _)| (kept.id.clone(), Holding::Kept)));
        Found { documents, kept }
    }

    /// Takes what was found out of everything, as a version of its own.
    fn take_out(&mut self, found: &Found, rules: Rules<'_>, now_ms: i64) -> Result<Operation, BrokenEntry> {
        let mut totals = self.totals;
        totals.version += 1;
        totals.forgotten += found.kept.len() as u64;
        let mut draft = Draft::new(self);
        draft.forget(found);
        draft.publish(rules.keywords);
        let model = draft.model(totals.version, self.sampling())?;
        let mut next = draft.next;
        let revisions = std::mem::take(&mut next.revisions).into_values().collect();
        let mut change = Change::default();
        self.enact(&mut change, totals, next);
        self.scrub(&mut change, found);
        let told: Vec<Happened> = (found.documents.keys())
            .map(|id| Happened::DocumentForgotten { document: id.to_string() })
            .collect();
        let summary = match &told[..] {
            [one] => one.summary(),
            several => format!("{} documents are forgotten", several.len()),
        };
        told.into_iter().for_each(|happened| self.tell(&mut change, happened, now_ms));
        self.tell_published(&mut change, now_ms);
        // Many erasures would push out all versions that differ by more.
        if let Some(last) = self.archives.back().filter(|last| last.cause == CAUSE).map(|last| last.number) {
            self.step(&mut change, Op::Unarchive(last));
        }
        self.keep_version(&mut change, CAUSE.to_owned(), now_ms);
        let tombstones = found
            .documents
            .iter()
            .map(|(id, holding)| Tombstone { id: id.clone(), holding: *holding })
            .collect();
        Ok(Operation { change, revisions, tombstones, model, summary })
    }

    /// Takes the documents out of all that quotes them: seen ids, events, archived versions.
    ///
    /// Words that no other document had leave keyword lists too. The events that tell of the forgetting, and name the
    /// ids, are not yet there.
    fn scrub(&mut self, change: &mut Change, found: &Found) {
        found.documents.keys().for_each(|id| self.step(change, Op::Unseen(hash(id))));
        let lost = self.lost_words(found);
        let about = found.topics();
        let given = |id: TopicId, name: &str| {
            self.topics.get(&id).and_then(|record| record.topic.custom_label.as_deref()) == Some(name)
        };
        let mut reworded: Vec<Event> = Vec::new();
        for event in &self.news.events {
            let mut event = Event::clone(event);
            let mut touched = self.forget_shift(&mut event.happened);
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
        let sequences: BTreeSet<Sequence> = found.kept.iter().map(|(sequence, ..)| *sequence).collect();
        let archives = self.archives.clone();
        for archive in archives {
            let mut archive = (*archive).clone();
            let labels = archive.labels.len();
            archive.labels.retain(|(kept, ..)| !sequences.contains(kept));
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

    /// Takes the value out of what is told of a shift, if no document has it any more.
    fn forget_shift(&self, happened: &mut Happened) -> bool {
        let Happened::FieldShifted { field, value, .. } = happened else { return false };
        let mut profiles = self.topics.values().map(|record| &record.profile).chain([&self.outlier_profile]);
        let gone = !value.is_empty() && !profiles.any(|profile| profile.may_have(field, value));
        if gone {
            value.clear();
        }
        gone
    }

    /// Words that only these documents had.
    fn lost_words(&self, found: &Found) -> BTreeSet<String> {
        let words = found.kept.iter().flat_map(|(_, kept, _)| kept.words.iter());
        words.filter(|(word, _)| self.counts.total(word) <= 0.0).map(|(word, _)| word.to_owned()).collect()
    }
}

impl Draft<'_> {
    /// Takes the documents out of sums, counts, kept documents and quotations.
    fn forget(&mut self, found: &Found) {
        for (sequence, kept, standing) in &found.kept {
            self.take_out(kept, *standing);
            self.next.standings.remove(sequence);
        }
        found.kept.iter().for_each(|(_, kept, _)| self.forget_values(kept));
        let counts = &self.next.counts;
        let words = found.kept.iter().flat_map(|(_, kept, _)| kept.words.iter());
        let lost: BTreeSet<String> =
            words.filter(|(word, _)| counts.total(word) <= 0.0).map(|(word, _)| word.to_owned()).collect();
        let ended = self.next.ended.values_mut().map(|ended| &mut ended.record);
        for record in self.next.topics.values_mut().chain(ended) {
            record.topic.representative.retain(|quote| !found.quotes(quote));
            strip(&mut record.announced, &lost);
            strip_topic(&mut record.topic, &lost);
        }
        // What a chat endpoint said may rest on the documents, whatever words it chose.
        for id in found.topics() {
            let live = self.next.topics.get_mut(&id);
            let ended = self.next.ended.get_mut(&id).map(|ended| &mut ended.record);
            live.into_iter().chain(ended).for_each(|record| record.topic.label = None);
        }
        name_all(self.next.topics.values_mut().map(|record| &mut record.topic));
    }

    /// Takes values that only `kept` had out of the dictionary.
    fn forget_values(&mut self, kept: &Kept) {
        for (field, facet) in Profile::of(None, &kept.fields).facets() {
            for value in facet.values.keys() {
                let topics = self.next.topics.values().map(|record| &record.profile);
                if !topics.chain([&self.next.outlier_profile]).any(|profile| profile.has(field, value)) {
                    self.next.dictionary.erase(field, value);
                }
            }
        }
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
    let quoted = portrait.representative.iter().any(|quote| found.quotes(quote));
    portrait.representative.retain(|quote| !found.quotes(quote));
    strip_named(portrait.id, &mut portrait.name, &mut portrait.keywords, lost, renewed) || quoted
}

//! The step of every operator's action.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::event::{Happened, Portrait};
use crate::model::operate::{Action, Holding, MOST_LABEL_CHARACTERS, Refusal};
use crate::model::state::State;
use crate::model::state::adopt::{Revision, Rules};
use crate::model::state::change::Change;
use crate::model::state::draft::Draft;
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;

/// What an action comes to.
#[derive(Debug)]
pub struct Operation {
    /// For the store.
    pub change: Change,
    /// Documents whose topic changed.
    pub revisions: Vec<Revision>,
    /// Documents that are to be forgotten by everybody who knows them.
    pub tombstones: Vec<Tombstone>,
    /// The new version, ready for assigners.
    pub model: TopicModel,
    /// The action in words.
    pub summary: String,
}

/// The last word on a forgotten document.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// Its id.
    pub id: Arc<str>,
    /// What was held of it.
    pub holding: Holding,
}

impl State {
    /// Carries out `action`. O(kept documents × d + words), as long as a small refit.
    ///
    /// # Errors
    /// The reason why it cannot be done; nothing has changed then.
    pub fn operate(&mut self, action: &Action, rules: Rules<'_>, now_ms: i64) -> Result<Operation, Refusal> {
        if let Action::Forget { document } = action {
            return self.forget(document, rules, now_ms);
        }
        let action = &self.named(action)?;
        let version = self.totals.version + 1;
        let before: BTreeMap<TopicId, Portrait> =
            self.topics.keys().map(|id| (*id, self.portrait(*id))).collect();
        let mut draft = Draft::new(self);
        let mut totals = self.totals;
        totals.version = version;
        let mut told = Vec::new();
        if let Action::Rollback { version: to } = action {
            let then = self.archived(*to)?;
            for (id, into) in draft.roll_back(then, version) {
                told.push(ended(&before, id, into));
            }
        } else {
            self.edit_draft(&mut draft, action, version)?;
        }
        draft.publish(rules.keywords);
        let model = draft.model(version, self.sampling())?;
        if matches!(action, Action::Rollback { .. }) {
            draft.place_newcomers(&model, rules.assign);
        }
        let mut next = draft.next;
        let revisions = std::mem::take(&mut next.revisions).into_values().collect();
        let mut change = Change::default();
        self.enact(&mut change, totals, next);
        let summary = self.tell_action(&mut change, action, &before, told, now_ms);
        self.tell_published(&mut change, now_ms);
        self.keep_version(&mut change, cause(action), now_ms);
        Ok(Operation { change, revisions, tombstones: Vec::new(), model, summary })
    }

    /// `action` with the version to which it goes back: afterwards another one is the one before.
    fn named(&self, action: &Action) -> Result<Action, Refusal> {
        Ok(match action {
            Action::Rollback { version } => {
                Action::Rollback { version: Some(self.archived(*version)?.number) }
            }
            other => other.clone(),
        })
    }

    fn edit_draft(&self, draft: &mut Draft<'_>, action: &Action, version: u64) -> Result<(), Refusal> {
        match action {
            Action::Merge { from, into } => {
                self.may_merge(from, *into)?;
                from.iter().for_each(|id| draft.end_for_good(*id, Some(*into), version));
            }
            Action::ForgetTopic { topic } => {
                self.may_end(*topic)?;
                draft.end_for_good(*topic, None, version);
            }
            Action::Restore { topic } => {
                self.may_restore(*topic)?;
                draft.restore(*topic);
            }
            Action::Rename { topic, label } => {
                self.need(*topic)?;
                let label = label.as_deref().map(|label| one_line(*topic, label)).transpose()?;
                draft.edit(*topic, |record| record.topic.custom_label = label);
            }
            Action::Pin { topic } | Action::Unpin { topic } => {
                self.need(*topic)?;
                draft.edit(*topic, |record| record.pinned = matches!(action, Action::Pin { .. }));
            }
            Action::Rollback { .. } | Action::Forget { .. } => {}
        }
        Ok(())
    }

    /// The topic that `topic` is today: itself, or the one that took it in.
    ///
    /// # Errors
    /// It ended, or never was.
    pub fn whereabouts(&self, topic: TopicId) -> Result<TopicId, Refusal> {
        self.living(topic).ok_or_else(|| {
            if self.ended.contains_key(&topic) {
                Refusal::Ended { topic }
            } else if topic.0 < self.totals.topics {
                Refusal::TooLongAgo { topic, versions: self.bounds.versions }
            } else {
                Refusal::NoTopic { topic }
            }
        })
    }

    fn need(&self, topic: TopicId) -> Result<(), Refusal> {
        match self.whereabouts(topic)? {
            living if living == topic => Ok(()),
            into => Err(Refusal::EndedIn { topic, into }),
        }
    }

    fn may_end(&self, topic: TopicId) -> Result<(), Refusal> {
        self.need(topic)?;
        if self.topics[&topic].pinned { Err(Refusal::Pinned { topic }) } else { Ok(()) }
    }

    fn may_merge(&self, from: &[TopicId], into: TopicId) -> Result<(), Refusal> {
        self.may_end(into)?;
        if from.is_empty() {
            return Err(Refusal::Nothing { into });
        }
        for topic in from {
            if *topic == into {
                return Err(Refusal::Itself { topic: into });
            }
            self.may_end(*topic)?;
        }
        Ok(())
    }

    fn may_restore(&self, topic: TopicId) -> Result<(), Refusal> {
        if self.ended.contains_key(&topic) {
            return Ok(());
        }
        if self.topics.contains_key(&topic) {
            return Err(Refusal::Lives { topic });
        }
        if topic.0 < self.totals.topics {
            return Err(Refusal::TooLongAgo { topic, versions: self.bounds.versions });
        }
        Err(Refusal::NoTopic { topic })
    }

    /// Tells the action and what it brought about; its summary.
    fn tell_action(
        &mut self,
        change: &mut Change,
        action: &Action,
        before: &BTreeMap<TopicId, Portrait>,
        told: Vec<Happened>,
        now_ms: i64,
    ) -> String {
        let was = |id: &TopicId| before.get(id).cloned().unwrap_or_else(|| self.portrait(*id));
        let happened = match action {
            Action::Merge { from, into } => {
                Happened::Merged { into: self.portrait(*into), from: from.iter().map(was).collect() }
            }
            Action::ForgetTopic { topic } => Happened::Forgotten { topic: was(topic) },
            Action::Restore { topic } => Happened::Restored { topic: self.portrait(*topic) },
            Action::Rename { topic, .. } => {
                Happened::Renamed { topic: self.portrait(*topic), before: was(topic).name }
            }
            Action::Pin { topic } => Happened::Pinned { topic: self.portrait(*topic) },
            Action::Unpin { topic } => Happened::Unpinned { topic: self.portrait(*topic) },
            Action::Rollback { version } => Happened::RolledBack { to: version.unwrap_or_default() },
            Action::Forget { document } => Happened::DocumentForgotten { document: document.clone() },
        };
        let back: Vec<TopicId> = self.topics.keys().filter(|id| !before.contains_key(id)).copied().collect();
        let summary = happened.summary();
        let restores = matches!(happened, Happened::RolledBack { .. });
        self.tell(change, happened, now_ms);
        for id in back.into_iter().filter(|_| restores) {
            self.tell(change, Happened::Restored { topic: self.portrait(id) }, now_ms);
        }
        told.into_iter().for_each(|happened| self.tell(change, happened, now_ms));
        summary
    }
}

/// The action in words that quote no document.
fn cause(action: &Action) -> String {
    match action {
        Action::Merge { from, into } => {
            let from: Vec<String> = from.iter().map(ToString::to_string).collect();
            format!("merge of {} into {into}", from.join(", "))
        }
        Action::Rename { topic, .. } => format!("new name of {topic}"),
        Action::Pin { topic } => format!("pin of {topic}"),
        Action::Unpin { topic } => format!("unpin of {topic}"),
        Action::ForgetTopic { topic } => format!("end of {topic}"),
        Action::Restore { topic } => format!("return of {topic}"),
        Action::Rollback { version } => format!("rollback to {}", version.unwrap_or_default()),
        Action::Forget { .. } => "a document forgotten".to_owned(),
    }
}

/// What is told of a topic that a rollback ends.
fn ended(before: &BTreeMap<TopicId, Portrait>, id: TopicId, into: Option<TopicId>) -> Happened {
    let portrait = |id: TopicId| {
        before.get(&id).cloned().unwrap_or_else(|| Portrait {
            id,
            name: String::new(),
            size: 0,
            keywords: Vec::new(),
            representative: Vec::new(),
        })
    };
    match into {
        Some(into) => Happened::Merged { into: portrait(into), from: vec![portrait(id)] },
        None => Happened::Forgotten { topic: portrait(id) },
    }
}

/// `label` as one line.
fn one_line(topic: TopicId, label: &str) -> Result<String, Refusal> {
    let line = label.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count() {
        0 => Err(Refusal::EmptyLabel { topic }),
        characters if characters > MOST_LABEL_CHARACTERS => Err(Refusal::LongLabel { topic, characters }),
        _ => Ok(line),
    }
}

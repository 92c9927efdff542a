//! What cannot be in a state, whatever was done to it.

use crate::model::state::State;
use crate::model::topic::TopicId;

impl State {
    /// Each thing that cannot be, in words; nothing if all is well. O(documents kept).
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let totals = self.totals;
        let is_born = |id: &TopicId| id.0 < totals.topics;
        for (id, record) in &self.topics {
            if !is_born(id) {
                faults.push(format!("topic {id} is there, but only {} topics were born", totals.topics));
            }
            let numbers = record.topic.centroid.len();
            if numbers != self.dim && numbers > 0 {
                faults.push(format!("the centroid of topic {id} has {numbers} numbers, not {}", self.dim));
            }
        }
        for (ended, into) in &self.redirects {
            if self.topics.contains_key(ended) || !is_born(ended) || !is_born(into) {
                faults.push(format!("topic {ended} redirects to {into}, which cannot be"));
            }
        }
        for (_, kept, standing) in self.held.iter() {
            if kept.embedding.len() != self.dim {
                faults.push(format!("the embedding of document `{}` has the wrong length", kept.id));
            }
            if let Some(topic) = standing.topic.filter(|topic| !self.topics.contains_key(topic)) {
                faults.push(format!("document `{}` belongs to topic {topic}, which is not there", kept.id));
            }
        }
        let sizes: u64 = self.topics.values().map(|record| record.sums.documents).sum();
        let counted = sizes + self.outliers.documents;
        if counted != self.counted() {
            faults.push(format!(
                "topics and outliers have {counted} documents together, but {} were counted",
                self.counted()
            ));
        }
        if let Some(archive) = self.archives.iter().find(|archive| archive.number > totals.version) {
            faults.push(format!("version {} is kept, but {} is in force", archive.number, totals.version));
        }
        faults
    }
}

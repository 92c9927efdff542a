//! The modeler's part in descriptions: it takes them in and publishes the version in force as it is called now.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Error, Modeler};
use crate::model::state::change::{Change, Op};
use crate::model::state::describe::Description;
use crate::model::topic::TopicId;
use crate::pipeline::now_ms;
use crate::record::Keyed;
use crate::record::topic::TopicRecord;
use crate::transport::{ModelerPort, Records, Version};

impl<P: ModelerPort> Modeler<P> {
    /// True if nothing is left to describe of the version in force, or nobody describes.
    pub(super) fn is_described(&self) -> bool {
        let nobody = self.described.has_changed().is_err();
        nobody || *self.described.borrow() >= self.state.totals().version
    }

    /// Takes descriptions in; who follows the version in force sees them at once.
    pub(super) fn describe(&mut self, descriptions: Vec<Description>) -> Result<(), Error<P::Error>> {
        let labels = descriptions.iter().filter(|description| description.label.is_some()).count();
        let Some(change) = Arc::make_mut(&mut self.state).describe(descriptions, now_ms()) else {
            return Ok(());
        };
        let model = Arc::new(self.versions.borrow().described(self.state.in_force()));
        let changed = described(&change);
        let topics = model.topics.iter().filter(|(id, _)| changed.contains(id));
        let records = Records {
            topics: topics.map(|(id, topic)| Keyed::new(id, &TopicRecord::new(topic, &model))).collect(),
            version: Some(Version::of(&self.state, model.clone())),
            ..Records::default()
        };
        self.commit(&change, records)?;
        self.telemetry.topics_described(model.number, changed.len(), labels);
        self.versions.send_replace(model);
        self.publish_counts();
        Ok(())
    }
}

/// The topics that a change describes.
fn described(change: &Change) -> BTreeSet<TopicId> {
    let ops = change.ops.iter();
    ops.filter_map(|op| if let Op::Described(id, _) = op { Some(*id) } else { None }).collect()
}

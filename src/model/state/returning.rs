//! Topics that ended in another and that a refit finds again: they come back under the id that people know.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::Sequence;
use crate::model::refit::run::Fitted;
use crate::model::state::State;
use crate::model::topic::TopicId;

/// Share of the documents that voted for an ended topic, of those still kept, that must be together again.
const MOST: f64 = 0.5;
/// Share of a cluster's members that these must be.
const SOME: f64 = 0.25;

impl State {
    /// Topics that an operator ended, and topics that took such in.
    pub(super) fn decided(&self) -> [BTreeSet<TopicId>; 2] {
        let decided = || self.ended.iter().filter(|(_, ended)| ended.decided);
        [decided().map(|(id, _)| *id).collect(), decided().filter_map(|(_, ended)| ended.into).collect()]
    }

    /// Clusters → topics that they would be the return of: such as ended in another topic or by an operator, for as long
    /// as they can be brought back. O(members · log members of the ended topics).
    pub(super) fn returning(&self, fitted: &Fitted) -> BTreeMap<usize, TopicId> {
        let mut cluster_of: BTreeMap<Sequence, usize> = BTreeMap::new();
        let mut sizes = vec![0; fitted.clusters];
        for fit in &fitted.members {
            if let Some(cluster) = fit.cluster.map(|cluster| cluster as usize) {
                sizes[cluster] += 1;
                cluster_of.insert(fit.sequence, cluster);
            }
        }
        let mut found: BTreeMap<usize, (usize, TopicId)> = BTreeMap::new();
        for (id, ended) in self.ended.iter().filter(|(_, ended)| ended.into.is_some() || ended.decided) {
            let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
            for cluster in ended.members.iter().filter_map(|member| cluster_of.get(member)) {
                *shared.entry(*cluster).or_insert(0) += 1;
            }
            // No other cluster can have most of them.
            let Some((cluster, shared)) = shared.into_iter().max_by_key(|(_, shared)| *shared) else {
                continue;
            };
            let kept = ended.members.iter().filter(|member| self.held.get(**member).is_some()).count();
            let returns = shared as f64 > kept as f64 * MOST && shared as f64 >= sizes[cluster] as f64 * SOME;
            if returns && found.get(&cluster).is_none_or(|(most, _)| shared > *most) {
                found.insert(cluster, (shared, *id));
            }
        }
        found.into_iter().map(|(cluster, (_, id))| (cluster, id)).collect()
    }
}

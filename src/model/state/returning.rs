//! Topics that ended in another and that a refit finds again: they come back under the id that people know.

use std::collections::BTreeMap;

use crate::model::refit::reconcile::{Plan, Target};
use crate::model::refit::run::Fitted;
use crate::model::state::State;
use crate::model::topic::TopicId;

/// Share of the kept documents whose records still name an ended topic that must be together again.
const MOST: f64 = 0.5;
/// Share of a cluster's members that these must be.
const SOME: f64 = 0.25;

impl State {
    /// Births of `plan` → topics that they are the return of: such as ended in another topic, for as long as they can be
    /// brought back. O(members).
    pub(super) fn returning(&self, fitted: &Fitted, plan: &Plan) -> BTreeMap<usize, TopicId> {
        let mut left: BTreeMap<TopicId, usize> = BTreeMap::new();
        let taken = |id: &TopicId| self.ended.get(id).is_some_and(|ended| ended.into.is_some());
        for id in self.held.iter().filter_map(|(_, _, standing)| standing.recorded.filter(taken)) {
            *left.entry(id).or_insert(0) += 1;
        }
        let mut sizes = vec![0; plan.births.len()];
        let mut shared: BTreeMap<(usize, TopicId), usize> = BTreeMap::new();
        for (fit, label) in fitted.members.iter().zip(&plan.labels) {
            let Some(Target::Born(birth)) = label else { continue };
            sizes[*birth] += 1;
            let recorded = self.held.get(fit.sequence).and_then(|(_, standing)| standing.recorded);
            if let Some(id) = recorded.filter(taken) {
                *shared.entry((*birth, id)).or_insert(0) += 1;
            }
        }
        let mut found: BTreeMap<usize, (usize, TopicId)> = BTreeMap::new();
        for ((birth, id), shared) in shared {
            let returns =
                shared as f64 > left[&id] as f64 * MOST && shared as f64 >= sizes[birth] as f64 * SOME;
            if returns && found.get(&birth).is_none_or(|(most, _)| shared > *most) {
                found.insert(birth, (shared, id));
            }
        }
        found.into_iter().map(|(birth, (_, id))| (birth, id)).collect()
    }
}

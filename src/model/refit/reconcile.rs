//! What new clusters mean for the old topics, so that a topic keeps its id for ever.
//!
//! Judged by the members that a cluster and a topic share:
//! - a topic's *home* is the cluster with most of its clustered members;
//! - a cluster that is home to one topic continues it; to several, the one with most members there continues and the
//!   others, if most of their members are there, merge into it;
//! - a cluster that is home to none, but whose members mostly come from one topic, was split off it;
//! - any other cluster is a new topic, or a topic that had ended and comes back;
//! - a topic with a small share of its home does not continue it, nor gives it its name: the cluster is judged as one
//!   that is home to none;
//! - a topic without clustered members stays as it is.
//!
//! Whether topics merge or split at all is decided before, by what a change gains
//! by the objective. Pinned topics neither merge nor split, and what an operator merged or
//! ended stays so until an operator restores it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::refit::run::{Fit, Fitted};
use crate::model::topic::TopicId;

/// Share of a topic's clustered members that makes a cluster hold "most" of it.
const MOST: f64 = 0.5;
/// Share of a cluster's members that a topic must hold to continue it. A seed is near to about one document in a thousand by
/// chance, and with fewer its label would name them all. AMI of all, before this and the topics of copies, and with both: BBC
/// 0.580 and 0.579 (5 seeds of the random numbers), newsgroups 0.536 and 0.540, news titles 0.894 and question titles 0.679
/// as before (one each). No other share was tried.
const LEAST_SHARE: f64 = 0.1;
/// Share of its members below which the clustered ones say nothing about a topic.
const TOO_FEW: f64 = 0.1;

/// A topic after the refit: an old one, or one that this refit bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A topic that goes on.
    Old(TopicId),
    /// The birth of this index in [`Plan::births`].
    Born(usize),
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Each member's topic, in the order of the fit's members.
    pub labels: Vec<Option<Target>>,
    /// Topics that end → the topic that takes them in.
    pub merges: BTreeMap<TopicId, TopicId>,
    /// New topics, with the topic that they were split from, if any.
    pub births: Vec<Option<TopicId>>,
    /// Topics that had ended and come back.
    pub restored: Vec<TopicId>,
    /// Topics that have a cluster of their own.
    pub continued: BTreeSet<TopicId>,
}

/// What else than members decides whether a merge or a split is carried out.
pub struct Grounds<'a> {
    /// Topics that neither merge nor split.
    pub pinned: &'a BTreeSet<TopicId>,
    /// Topics that an operator merged others into: none splits.
    pub joined: &'a BTreeSet<TopicId>,
    /// Topics that an operator ended: none comes back.
    pub ended: &'a BTreeSet<TopicId>,
    /// Clusters that would be the return of a topic that had ended → that topic.
    pub returning: &'a BTreeMap<usize, TopicId>,
}

/// Members that each cluster and topic share.
struct Overlap {
    /// cluster → topic → members.
    shared: Vec<BTreeMap<TopicId, usize>>,
    /// topic → members.
    members: BTreeMap<TopicId, usize>,
    /// cluster → members.
    sizes: Vec<usize>,
    /// topic → home.
    home: BTreeMap<TopicId, usize>,
    /// cluster → topics whose home it is, by falling number of their members in it.
    at_home: Vec<Vec<TopicId>>,
}

impl Overlap {
    fn count(fitted: &Fitted) -> Self {
        let mut shared = vec![BTreeMap::new(); fitted.clusters];
        let mut sizes = vec![0; fitted.clusters];
        let mut clustered: BTreeMap<TopicId, usize> = BTreeMap::new();
        let mut members: BTreeMap<TopicId, usize> = BTreeMap::new();
        for fit in &fitted.members {
            if let Some(topic) = fit.before {
                *members.entry(topic).or_insert(0) += 1;
            }
            let Some(cluster) = fit.cluster else { continue };
            sizes[cluster as usize] += 1;
            if let Some(topic) = fit.before {
                *shared[cluster as usize].entry(topic).or_insert(0) += 1;
                *clustered.entry(topic).or_insert(0) += 1;
            }
        }
        clustered.retain(|topic, count| *count as f64 >= members[topic] as f64 * TOO_FEW);
        let mut best: BTreeMap<TopicId, (usize, usize)> = BTreeMap::new();
        for (cluster, topics) in shared.iter().enumerate() {
            for (topic, shared) in topics.iter().filter(|(topic, _)| clustered.contains_key(topic)) {
                let (most, home) = best.entry(*topic).or_insert((0, cluster));
                if shared > most {
                    (*most, *home) = (*shared, cluster);
                }
            }
        }
        let mut at_home = vec![Vec::new(); shared.len()];
        best.iter().for_each(|(topic, (_, home))| at_home[*home].push(*topic));
        for topics in &mut at_home {
            topics.sort_by_key(|topic| (Reverse(best[topic].0), *topic));
        }
        let home = best.into_iter().map(|(topic, (_, home))| (topic, home)).collect();
        Self { shared, members, sizes, home, at_home }
    }

    fn shared(&self, cluster: usize, topic: TopicId) -> usize {
        self.shared[cluster].get(&topic).copied().unwrap_or(0)
    }
}

/// Compares the clusters with the topics. O(members · log topics).
pub fn reconcile(fitted: &Fitted, grounds: &Grounds<'_>) -> Plan {
    let overlap = Overlap::count(fitted);
    let mut plan = Plan::default();
    let mut targets: Vec<Option<Target>> = vec![None; overlap.sizes.len()];
    // Topics whose members in a cluster keep their old topic for now: (cluster, topic).
    let mut loyal: BTreeSet<(usize, TopicId)> = BTreeSet::new();
    for (cluster, target) in targets.iter_mut().enumerate() {
        let at_home = &overlap.at_home[cluster];
        let Some((first, others)) = at_home.split_first() else { continue };
        if (overlap.shared(cluster, *first) as f64) < overlap.sizes[cluster] as f64 * LEAST_SHARE {
            loyal.extend(at_home.iter().filter(|id| grounds.pinned.contains(id)).map(|id| (cluster, *id)));
            continue;
        }
        *target = Some(Target::Old(*first));
        plan.continued.insert(*first);
        for other in others {
            merge(&mut plan, &mut loyal, &overlap, cluster, (*other, *first), grounds);
        }
    }
    let homeless = targets.iter_mut().enumerate().filter(|(_, target)| target.is_none());
    for (cluster, target) in homeless {
        *target = split_or_birth(&mut plan, &overlap, cluster, grounds);
    }
    plan.labels = fitted.members.iter().map(|fit| label(fit, &targets, &loyal, &overlap)).collect();
    plan
}

fn merge(
    plan: &mut Plan,
    loyal: &mut BTreeSet<(usize, TopicId)>,
    overlap: &Overlap,
    cluster: usize,
    (from, into): (TopicId, TopicId),
    grounds: &Grounds<'_>,
) {
    // A topic that mostly fell apart into noise did not become part of another.
    let most = overlap.shared(cluster, from) as f64 >= overlap.members[&from] as f64 * MOST;
    if most && !grounds.pinned.contains(&from) && !grounds.pinned.contains(&into) {
        plan.merges.insert(from, into);
    } else {
        loyal.insert((cluster, from));
    }
}

/// What becomes of a cluster that is home to no topic; `None` if its members stay what they are.
fn split_or_birth(
    plan: &mut Plan,
    overlap: &Overlap,
    cluster: usize,
    grounds: &Grounds<'_>,
) -> Option<Target> {
    let labelled: usize = overlap.shared[cluster].values().sum();
    let parent = (overlap.shared[cluster].iter())
        .max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)))
        .filter(|(_, shared)| **shared as f64 >= labelled as f64 * MOST)
        .filter(|_| labelled as f64 >= overlap.sizes[cluster] as f64 * MOST)
        .map(|(topic, _)| *topic);
    if let Some(topic) =
        parent.filter(|topic| grounds.pinned.contains(topic) || grounds.joined.contains(topic))
    {
        return Some(Target::Old(topic));
    }
    if let Some(ended) = grounds.returning.get(&cluster) {
        if grounds.ended.contains(ended) {
            return parent.map(Target::Old);
        }
        plan.restored.push(*ended);
        return Some(Target::Old(*ended));
    }
    plan.births.push(parent);
    Some(Target::Born(plan.births.len() - 1))
}

/// A member's topic: that of its cluster, unless it stays loyal to its own, or its own has no cluster to be judged by.
fn label(
    fit: &Fit,
    targets: &[Option<Target>],
    loyal: &BTreeSet<(usize, TopicId)>,
    overlap: &Overlap,
) -> Option<Target> {
    let own = fit.before.map(Target::Old);
    let Some(cluster) = fit.cluster.map(|cluster| cluster as usize) else {
        return own.filter(|_| fit.before.is_some_and(|topic| !overlap.home.contains_key(&topic)));
    };
    let loyal = fit.before.is_some_and(|topic| loyal.contains(&(cluster, topic)));
    targets[cluster].filter(|_| !loyal).or(own)
}

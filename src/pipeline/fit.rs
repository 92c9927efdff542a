//! The batch job: a whole corpus at once, the notebook's way, through the same state as the stream.
//!
//! Every document is absorbed as an outlier into a state without bounds, in the order of time, one refit runs over all
//! of them, and what the bounds don't allow leaves. The result is a state that `topicd run` goes on from.

use std::time::Instant;

use crate::checkpoint::Checkpoint;
use crate::cluster::watch::{Cancelled, Watch};
use crate::document::{Batch, Document, Rejection};
use crate::kernel::unit::UnitRows;
use crate::model::assign::Assignment;
use crate::model::evidence::{Evidence, Judged};
use crate::model::refit::run;
use crate::model::refit::select::select;
use crate::model::refit::trigger::Trigger;
use crate::model::seed::Seed;
use crate::model::state::adopt::{Adoption, Circumstances, Decision};
use crate::model::state::change::Change;
use crate::model::state::describe::Wanted;
use crate::model::state::{Bounds, State};
use crate::model::version::{BrokenEntry, Sampling, TopicModel};
use crate::pipeline::assigner::{COUNTED_BYTES, Judge};
use crate::pipeline::describer::{Chains, Words};
use crate::pipeline::modeler::Parameters;
use crate::pipeline::now_ms;

/// Documents that are embedded between two words of progress.
const SLICE: usize = 256;

/// A corpus that has been fitted.
pub struct Fitted {
    /// The state, within the configured bounds.
    pub state: State,
    /// What led to it, for the store.
    pub change: Change,
    /// The topics.
    pub model: TopicModel,
    /// What the source's position is after it.
    pub checkpoint: Checkpoint,
    /// Every document with its topic, in order.
    pub judged: Vec<Judged>,
    /// Input that was refused.
    pub rejections: Vec<Rejection>,
    /// Stage → seconds.
    pub stages: Vec<(String, f64)>,
}

/// Why a corpus cannot be fitted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The encoder is out of reach.
    #[error("the corpus cannot be embedded")]
    Embed(#[from] crate::embed::Error),
    /// The fit gave nothing.
    #[error("the fit failed")]
    Run(#[from] run::Error),
    /// A version could not be made.
    #[error(transparent)]
    Version(#[from] BrokenEntry),
    /// The policy refused the only result; it promotes every first one.
    #[error("the fit was rejected: {reason}")]
    Rejected {
        /// Why.
        reason: String,
    },
}

/// Fits `corpus`, everything that the source held. Blocks; `watch` sees each stage.
pub fn fit(
    corpus: Batch,
    judge: &Judge,
    parameters: &Parameters,
    bounds: Bounds,
    seeds: Vec<Seed>,
    watch: &dyn Watch,
) -> Result<Fitted, Error> {
    let started = Instant::now();
    let Batch { documents, mut rejections, checkpoint } = corpus;
    let mut judged = embed(documents, judge, &mut rejections, watch)?;
    let mut stages = vec![("embed".to_owned(), started.elapsed().as_secs_f64())];

    let n = judged.len();
    let unbounded = Bounds { sample: n, outliers: n, ..bounds };
    let mut state = State::new(judge.embedder.dim(), unbounded);
    let planted = state.plant(seeds, parameters.rules(), now_ms())?;
    let model = std::sync::Arc::new(state.model()?);
    zero_shot(&mut judged, &model);
    let absorbed = absorb(&mut state, &judged, rejections.len(), bounds.window);
    let started = Instant::now();
    let fitted =
        run::run(&select(&state, n, Trigger::Request), &parameters.refit, &parameters.assign, watch)?;
    stages.push(("fit".to_owned(), started.elapsed().as_secs_f64()));
    let told = Circumstances {
        trigger: Trigger::Request,
        documents: state.totals().documents,
        stages: stages.clone(),
        now_ms: now_ms(),
    };
    let started = Instant::now();
    let adoption = match state.adopt(&fitted, &told, parameters.rules())? {
        Decision::Promoted(adoption) => *adoption,
        Decision::Rejected(rejection) => return Err(Error::Rejected { reason: rejection.reason }),
    };
    let Adoption { change, revisions, model } = adoption;
    let cut = state.bound(bounds);
    stages.push(("keywords".to_owned(), started.elapsed().as_secs_f64()));
    let topics: std::collections::HashMap<_, _> =
        revisions.iter().map(|revision| (revision.id.clone(), revision.topic)).collect();
    for document in &mut judged {
        if let Some(topic) = topics.get(&document.document.id) {
            document.assignment.topic = *topic;
        }
        document.assignment.topic = document.assignment.topic.and_then(|id| state.living(id));
        let centroid =
            document.assignment.topic.and_then(|id| model.topics.get(&id)).map(|topic| &topic.centroid);
        document.assignment.similarity = match centroid {
            Some(centroid) => crate::kernel::dot::dot(centroid, &document.embedding),
            None => model.nearest_topics(&document.embedding).first().map_or(0.0, |(_, cosine)| *cosine),
        };
    }
    Ok(Fitted {
        state,
        change: Change::all(
            planted.map(|planted| planted.change).into_iter().chain(absorbed).chain([change, cut]),
        ),
        model,
        checkpoint,
        judged,
        rejections,
        stages,
    })
}

impl Fitted {
    /// Describes the topics by the local chains; labels are left to the daemon.
    pub fn describe(&mut self, chains: &Chains, wanted: &Wanted) -> Result<(), Error> {
        let Some(picture) = self.state.picture(wanted) else { return Ok(()) };
        let subjects = picture.subjects(wanted, true);
        let made = chains.describe(&subjects, &mut Words::default(), &|| false)?;
        if let Some(change) = self.state.describe(made, now_ms()) {
            self.change.ops.extend(change.ops);
            self.model = self.model.described(self.state.in_force());
        }
        Ok(())
    }
}

/// Documents near to a seed have their topic before the fit; the others are outliers.
fn zero_shot(judged: &mut [Judged], model: &TopicModel) {
    for document in judged {
        document.assignment.topic = model.seeds.near(&document.embedding);
    }
}

/// Absorbs a corpus as a stream would have brought it, window by window: so the histories tell when its documents were
/// written. A document without a time follows the one before it in the source. O(n log n).
fn absorb(state: &mut State, corpus: &[Judged], rejected: usize, window: u64) -> Vec<Change> {
    let mut written = i64::MIN;
    let mut in_time: Vec<(i64, &Judged)> = (corpus.iter())
        .map(|judged| {
            written = judged.document.timestamp_ms.unwrap_or(written);
            (written, judged)
        })
        .collect();
    in_time.sort_by_key(|(written, _)| *written);
    // All of a batch counts in the window of its end, which is the next one where it fills its own.
    let (first, others) = in_time.split_at(in_time.len().min(window as usize - 1));
    let mut rejected = rejected as u64;
    let batches = std::iter::once(first).chain(others.chunks(window as usize));
    batches
        .map(|batch| {
            let mut evidence = Evidence { rejected: std::mem::take(&mut rejected), ..Evidence::default() };
            batch.iter().for_each(|(_, judged)| judged.teach(&mut evidence, Sampling::ALL));
            state.absorb(evidence, now_ms())
        })
        .collect()
}

/// Embeds documents slice by slice; nobody has judged them yet.
pub fn embed(
    mut documents: Vec<Document>,
    judge: &Judge,
    rejections: &mut Vec<Rejection>,
    watch: &dyn Watch,
) -> Result<Vec<Judged>, Error> {
    let total = documents.len();
    let mut judged = Vec::with_capacity(total);
    while !documents.is_empty() {
        watch.progress("embed", total - documents.len(), total);
        crate::cluster::watch::check(watch)?;
        let rest = documents.split_off(documents.len().min(SLICE));
        let (slice, rows) = judge.embed(documents, rejections)?;
        documents = rest;
        judged.extend(
            slice.into_iter().enumerate().map(|(row, document)| unjudged(document, &rows, row, judge)),
        );
    }
    watch.progress("embed", total, total);
    Ok(judged)
}

fn unjudged(document: Document, rows: &UnitRows, row: usize, judge: &Judge) -> Judged {
    let text = crate::document::start_of(&document.text, COUNTED_BYTES);
    Judged {
        embedding: std::sync::Arc::from(rows.row(row)),
        words: judge.tokenizer.count(text),
        document,
        assignment: Assignment { topic: None, similarity: 0.0, weight: 0.0 },
        further: Vec::new(),
    }
}

//! A stream from memory through the same state as the daemon's, refits in turn with documents: the same input gives
//! the same answer, to the bit. For judging settings on data that is known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::checkpoint::Checkpoint;
use crate::cluster::watch::{Unwatched, Watch};
use crate::document::Document;
use crate::kernel::unit::UnitRows;
use crate::keywords::Tokenizer;
use crate::model::assign::assign;
use crate::model::evidence::{Judged, Outcome};
use crate::model::refit::report::Report;
use crate::model::refit::run;
use crate::model::refit::select::select;
use crate::model::refit::trigger::{self, Trigger};
use crate::model::state::adopt::{Circumstances, Decision};
use crate::model::state::{Bounds, State};
use crate::model::topic::TopicId;
use crate::model::version::{BrokenEntry, TopicModel};
use crate::pipeline::modeler::Parameters;

/// Documents that arrive together.
const BATCH: usize = 64;

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// Each document's topic on arrival.
    pub arrival: Vec<Option<TopicId>>,
    /// Each document's topic at the end: its newest record, redirects followed.
    pub last: Vec<Option<TopicId>>,
    /// The refits, in order.
    pub refits: Vec<Refit>,
    /// Documents whose topic changed while no record and no redirect said so.
    pub silent_moves: usize,
    /// The state at the end.
    pub state: State,
}

/// A refit, promoted or not.
#[derive(Debug)]
pub struct Refit {
    /// What it decided.
    pub report: Report,
    /// The topic, after it, of every document seen so far.
    pub topics: Vec<Option<TopicId>>,
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refit gave nothing.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// A version could not be made.
    #[error(transparent)]
    Version(#[from] BrokenEntry),
}

/// Replays `documents` whose embeddings are `rows` (`n × d`), in order.
pub fn replay(
    documents: &[Document],
    rows: &UnitRows,
    tokenizer: &Tokenizer,
    parameters: &Parameters,
    bounds: Bounds,
    watch: &dyn Watch,
) -> Result<Replayed, Error> {
    let mut player = Player::new(rows.dim(), parameters, bounds)?;
    for (batch, chunk) in documents.chunks(BATCH).enumerate() {
        watch.progress("replay", batch * BATCH, documents.len());
        let start = batch * BATCH;
        player.arrive(chunk, rows, start, tokenizer);
        if let Some(trigger) = trigger::due(&player.state.totals(), &parameters.refit) {
            player.refit(trigger)?;
        }
    }
    if let Some(trigger) = trigger::due_at_end(&player.state.totals(), &parameters.refit) {
        player.refit(trigger)?;
    }
    watch.progress("replay", documents.len(), documents.len());
    Ok(player.finish())
}

struct Player<'a> {
    parameters: &'a Parameters,
    state: State,
    model: Arc<TopicModel>,
    index: HashMap<Arc<str>, usize>,
    arrival: Vec<Option<TopicId>>,
    /// The topic of each document's newest record.
    recorded: Vec<Option<TopicId>>,
    /// All of them; the state remembers only the last.
    refits: Vec<Refit>,
}

impl<'a> Player<'a> {
    fn new(dim: usize, parameters: &'a Parameters, bounds: Bounds) -> Result<Self, BrokenEntry> {
        let state = State::new(dim, bounds);
        let model = Arc::new(state.model()?);
        let (index, arrival, recorded, refits) = Default::default();
        Ok(Self { parameters, state, model, index, arrival, recorded, refits })
    }

    fn arrive(&mut self, documents: &[Document], rows: &UnitRows, start: usize, tokenizer: &Tokenizer) {
        let picked: Vec<usize> = (start..start + documents.len()).collect();
        let rows = rows.select(&picked);
        let assignments = assign(&self.model, &rows, &self.parameters.assign);
        let judged: Vec<Judged> = (documents.iter().zip(assignments).enumerate())
            .map(|(row, (document, assignment))| Judged {
                words: tokenizer.count(&document.text),
                embedding: Arc::from(rows.row(row)),
                document: document.clone(),
                assignment,
                further: Vec::new(),
            })
            .collect();
        for judged in &judged {
            self.index.insert(judged.document.id.clone(), self.arrival.len());
            self.arrival.push(judged.assignment.topic);
            self.recorded.push(judged.assignment.topic);
        }
        let outcome = Outcome {
            model: self.model.clone(),
            judged,
            rejections: Vec::new(),
            checkpoint: Checkpoint::new(),
            received: Instant::now(),
        };
        self.state.absorb(outcome.evidence(self.state.sampling()), 0);
    }

    fn refit(&mut self, trigger: Trigger) -> Result<(), Error> {
        let started = Instant::now();
        let snapshot = select(&self.state, self.parameters.refit.sample, trigger);
        let documents = snapshot.documents;
        let fitted = run::run(&snapshot, &self.parameters.refit, &self.parameters.assign, &Unwatched)?;
        let stages = vec![("fit".to_owned(), started.elapsed().as_secs_f64())];
        let told = Circumstances { trigger, documents, stages, now_ms: 0 };
        let decision = self.state.adopt(&fitted, &told, self.parameters.rules())?;
        let revisions = match &decision {
            Decision::Promoted(adoption) => &adoption.revisions,
            Decision::Rejected(rejection) => &rejection.revisions,
        };
        for revision in revisions {
            if let Some(row) = self.index.get(&revision.id) {
                self.recorded[*row] = revision.topic;
            }
        }
        if let Decision::Promoted(adoption) = decision {
            self.model = Arc::new(adoption.model);
        }
        let topics = self.resolved();
        self.refits.extend(
            self.state.news().reports.back().map(|report| Refit { report: Report::clone(report), topics }),
        );
        Ok(())
    }

    fn resolved(&self) -> Vec<Option<TopicId>> {
        self.recorded.iter().map(|topic| topic.map(|id| self.state.resolve(id))).collect()
    }

    fn finish(self) -> Replayed {
        let last = self.resolved();
        // What the state believes of the documents that it keeps must be what it has published.
        let silent = self.state.held().iter().filter(|(_, kept, standing)| {
            self.index.get(&kept.id).is_none_or(|row| last[*row] != standing.topic)
        });
        Replayed {
            silent_moves: silent.count(),
            arrival: self.arrival,
            last,
            refits: self.refits,
            state: self.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Partition, Position};
    use crate::cluster::watch::Unwatched;
    use crate::model::refit;
    use crate::record::event::EventRecord;
    use crate::record::line;
    use crate::record::topic::TopicRecord;

    /// `n` documents around four directions, in eight dimensions.
    fn stream(n: usize) -> (Vec<Document>, UnitRows) {
        let mut random: u64 = 7;
        let mut noise = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let rows = ndarray::Array2::from_shape_fn(
            (n, 8),
            |(row, axis)| {
                if row % 4 == axis { 1.0 } else { noise() * 0.4 }
            },
        );
        let document = |row: usize| Document {
            id: format!("d{row}").into(),
            text: format!("subject{} word{}", row % 4, row % 7),
            timestamp_ms: None,
            label: None,
            embedding: None,
            fields: crate::document::Fields::default(),
            left_out: Vec::new(),
            position: Position { partition: Partition::new("p"), offset: row as u64 },
            original: crate::document::Original::default(),
        };
        ((0..n).map(document).collect(), UnitRows::normalise(rows).unwrap())
    }

    /// A replay of `n` documents with a refit after the first 200 and every `every` from then on.
    fn replayed(n: usize, every: u64) -> Replayed {
        let (documents, rows) = stream(n);
        let sample = 300;
        let refit = refit::Params {
            first_documents: 200,
            every_documents: every,
            sample,
            ..refit::Params::default()
        };
        let parameters = Parameters {
            assign: crate::model::assign::Params::default().check().unwrap(),
            refit: refit.check().unwrap(),
            keywords: crate::keywords::Params::default(),
            policy: refit::policy::Params::default().check().unwrap(),
        };
        let tokenizer = crate::keywords::Params::default().check().unwrap().tokenizer();
        let bounds = Bounds { sample, outliers: 100, window: 50, ..Bounds::default() };
        replay(&documents, &rows, &tokenizer, &parameters, bounds, &Unwatched).unwrap()
    }

    /// Everything that a replay says to the outside, byte for byte.
    fn told() -> Vec<u8> {
        let replayed = replayed(600, 150);
        assert!(replayed.refits.len() > 2 && replayed.state.topics().len() >= 4);
        let model = replayed.state.model().unwrap();
        let mut bytes: Vec<u8> = (replayed.arrival.iter().chain(&replayed.last))
            .flat_map(|topic| TopicId::to_record(*topic).to_le_bytes())
            .collect();
        for event in &replayed.state.news().events {
            bytes.extend(line(&EventRecord::new(event)));
        }
        for topic in model.topics.values() {
            bytes.extend(line(&TopicRecord::new(topic, &model)));
        }
        for archive in replayed.state.archives() {
            bytes.extend(line(archive));
        }
        bytes
    }

    #[test]
    fn each_refit_has_its_report_however_many_there_were() {
        let replayed = replayed(7000, 64);
        let numbers: Vec<u64> = replayed.refits.iter().map(|refit| refit.report.number).collect();
        assert_eq!(numbers, (1..=replayed.state.totals().refits).collect::<Vec<_>>());
        assert!(numbers.len() > replayed.state.news().reports.len());
    }

    #[test]
    fn the_same_stream_gives_the_same_bytes_on_any_number_of_threads() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert!(one.install(told) == three.install(told));
    }
}

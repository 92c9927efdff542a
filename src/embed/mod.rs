//! Texts to unit rows: any sentence-transformer in ONNX on the fastest provider and precision that the machine has, a
//! static model, or an endpoint elsewhere.
//!
//! On the way of a text: [`Embedder`] puts the model's prompt before it and cuts a long one into `window`s; `cache`
//! knows those that came before; the others go to a `Backend`. For an encoder that is `local`: `tokenize` splits texts
//! one chunk ahead, `batch` groups them by length under a budget of tokens, `feed` hands the groups to `session`s side
//! by side, each of which runs them through ONNX Runtime, `pool` makes one vector of a text's token vectors. For a
//! static model it is `table`, for an endpoint `remote`. `folder` reads what a model says of itself, `choose` compares
//! providers with fp32, `each` finds out whose fault it is that a text has no embedding, `hub` fetches a model and `export` makes it an ONNX file.
//!
//! An embedding depends on its text alone: order and company in a batch change it by less than 1e-5 in cosine at fp32
//! and 1e-3 at bf16 (a test each), because padding is masked in attention and left out of pooling.

mod batch;
mod cache;
mod choose;
mod each;
mod error;
#[cfg(feature = "hub")]
pub mod export;
mod feed;
mod folder;
#[cfg(feature = "hub")]
pub mod hub;
mod identity;
mod local;
mod locate;
mod params;
mod pool;
pub mod remote;
mod report;
mod runtime;
mod session;
mod table;
mod tokenize;
mod window;

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::{AddAssign, Range},
};

use ndarray::{Array2, Axis};

use self::{
    cache::{Cache, Made},
    local::Local,
    remote::Remote,
    table::Table,
    tokenize::{Cut, Cutter, Tokenizer},
    window::Windows,
};
pub use self::{
    choose::Note,
    each::{Each, Embedding},
    error::Error,
    folder::{Folder, Layout, Pooling, Prompts, StaticFolder},
    locate::{cache, cached_model, onnxruntime, packaged_runtime},
    params::{Checked, Choice, LongDocuments, Params, Precision},
    report::{Engine, Report},
    runtime::Provider,
};
use crate::kernel::unit::UnitRows;

/// A loaded model. `Send` and `Sync`; calls from several threads take turns at the model.
pub struct Embedder {
    backend: Box<dyn Backend>,
    prompts: Prompts,
    cutter: Option<Cutter>,
    long_documents: LongDocuments,
    cache: Cache,
    dim: usize,
    name: String,
    report: Report,
}

/// What turns pieces of text, prompts included, into rows.
trait Backend: Send + Sync {
    /// A row for each of `texts`, not normalised; blocks while it computes.
    fn run(&self, texts: &[&str]) -> Result<Run, Error>;
}

/// What a backend made.
struct Run {
    /// One row a text (`n × d`).
    rows: Array2<f32>,
    /// For each text, whether it went on beyond the last token.
    truncated: Vec<bool>,
    tokens: usize,
    padding: usize,
}

impl Run {
    fn new(texts: usize, dim: usize) -> Self {
        Self { rows: Array2::zeros((texts, dim)), truncated: vec![false; texts], tokens: 0, padding: 0 }
    }
}

/// The rows of some texts, and what was seen on the way.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// One row a text, in the texts' order.
    pub rows: UnitRows,
    /// With [`LongDocuments::MaxSim`] the rows of each text's windows.
    pub windows: Option<WindowRows>,
    /// What it took.
    pub counts: Counts,
}

/// What it took to embed some texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Texts that went on beyond the last token that counts.
    pub truncated: usize,
    /// Pieces of text: texts, or their windows.
    pub pieces: usize,
    /// Pieces that were known from before.
    pub cached: usize,
    /// Tokens of the others, special ones included.
    pub tokens: usize,
    /// Tokens that went through the model beside them, to fill batches up.
    pub padding: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.truncated += more.truncated;
        self.pieces += more.pieces;
        self.cached += more.cached;
        self.tokens += more.tokens;
        self.padding += more.padding;
    }
}

/// The windows of some texts.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowRows {
    /// One row a window.
    pub rows: UnitRows,
    /// For each text its rows, at least one.
    pub of_text: Vec<Range<usize>>,
}

/// Texts as the model reads them.
struct Pieces<'t> {
    texts: Vec<Cow<'t, str>>,
    of_text: Vec<Range<usize>>,
    /// For each text, whether something lies behind its last piece.
    truncated: Vec<bool>,
}

impl Embedder {
    /// Loads the runtime (once a process) and the model, about a second; picks provider and precision. With a remote
    /// endpoint asks it for its dimension.
    pub fn open(params: &Checked) -> Result<Self, Error> {
        let params = &params.0;
        if let Some(remote) = &params.remote {
            return Self::open_remote(remote, params);
        }
        match Layout::read(&locate::model(&params.model)?)? {
            Layout::Encoder(folder) => Self::open_encoder(&folder, params),
            Layout::Static(folder) => Self::open_static(&folder, params),
        }
    }

    /// The name and the length of a row that the model would have; loads nothing. None for an endpoint, which is not
    /// asked.
    ///
    /// # Errors
    /// The model's files or the runtime are not there, or do not belong together.
    pub fn look(params: &Checked) -> Result<Option<(String, usize)>, Error> {
        let params = &params.0;
        if params.remote.is_some() {
            return Ok(None);
        }
        match Layout::read(&locate::model(&params.model)?)? {
            Layout::Encoder(folder) => {
                max_tokens(&folder, params)?;
                locate::onnxruntime(params.onnxruntime.as_deref())?;
                Ok(Some((identity::of(&folder.path, &folder.files)?, folder.dim)))
            }
            Layout::Static(folder) => {
                let dim =
                    Table::open(&folder, Tokenizer::open(&folder.tokenizer, folder.max_tokens, false)?)?
                        .dim();
                Ok(Some((identity::of(&folder.path, &folder.files)?, dim)))
            }
        }
    }

    fn open_encoder(folder: &Folder, params: &Params) -> Result<Self, Error> {
        let max_tokens = max_tokens(folder, params)?;
        let threads = match params.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        };
        let library = locate::onnxruntime(params.onnxruntime.as_deref())?;
        let tokenizer = Tokenizer::open(&folder.tokenizer, max_tokens, true)?;
        let cutter = cutter(&tokenizer, params)?;
        let chosen = Local::open(folder, tokenizer, &library, params, threads)?;
        let engine = Engine::Encoder {
            onnxruntime: library,
            provider: chosen.provider,
            threads,
            agreement: chosen.agreement,
            pooling: folder.pooling,
        };
        Ok(Self {
            backend: Box::new(chosen.encoder),
            prompts: folder.prompts.clone(),
            cutter,
            long_documents: params.long_documents,
            cache: Cache::new(params.cache_texts),
            dim: folder.dim,
            name: identity::of(&folder.path, &folder.files)?,
            report: Report {
                model: folder.path.display().to_string(),
                engine,
                max_tokens: Some(max_tokens),
                notes: chosen.notes,
            },
        })
    }

    fn open_static(folder: &StaticFolder, params: &Params) -> Result<Self, Error> {
        let max_tokens = params.max_tokens.unwrap_or(folder.max_tokens);
        let tokenizer = Tokenizer::open(&folder.tokenizer, max_tokens, false)?;
        let cutter = cutter(&tokenizer, params)?;
        let table = Table::open(folder, tokenizer)?;
        Ok(Self {
            dim: table.dim(),
            backend: Box::new(table),
            prompts: folder.prompts.clone(),
            cutter,
            long_documents: params.long_documents,
            cache: Cache::new(params.cache_texts),
            name: identity::of(&folder.path, &folder.files)?,
            report: Report {
                model: folder.path.display().to_string(),
                engine: Engine::Table,
                max_tokens: Some(max_tokens),
                notes: Vec::new(),
            },
        })
    }

    fn open_remote(remote: &remote::Params, params: &Params) -> Result<Self, Error> {
        let model = params.model.display().to_string();
        let client = Remote::open(remote, &model)?;
        Ok(Self {
            dim: client.dim(),
            prompts: Prompts { document: remote.document_prompt.clone(), query: remote.query_prompt.clone() },
            cutter: None,
            long_documents: LongDocuments::Cut,
            cache: Cache::new(params.cache_texts),
            // The weights can't be seen from here; the model's name and its length have to do.
            name: format!("{model}@remote"),
            report: Report {
                model,
                engine: Engine::Remote { url: client.url().to_owned() },
                max_tokens: None,
                notes: Vec::new(),
            },
            backend: Box::new(client),
        })
    }

    /// Length of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Identifies the model across machines and runs, `FOLDER@HASH` with a hash of its files: rows of two hashes are
    /// not comparable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was chosen when the model was loaded.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What the model wants before its texts.
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// Embeds `texts` as documents; blocks while it computes. No texts give no rows.
    ///
    /// O(n · tokens) at some hundred documents a second; a caller who wants progress or an end gives some hundreds at
    /// a time, which already fills batches to under 5 % padding. Memory: the rows, and the texts of one chunk.
    pub fn embed(&self, texts: &[&str]) -> Result<Embedded, Error> {
        self.embed_after(&self.prompts.document, texts)
    }

    /// Embeds `texts` as questions about documents; otherwise as [`Self::embed`].
    pub fn embed_queries(&self, texts: &[&str]) -> Result<Embedded, Error> {
        self.embed_after(&self.prompts.query, texts)
    }

    fn embed_after(&self, prompt: &str, texts: &[&str]) -> Result<Embedded, Error> {
        let pieces = self.pieces(prompt, texts)?;
        let keys: Vec<u128> = pieces.texts.iter().map(|piece| cache::key(piece)).collect();
        let known = self.cache.get(&keys);
        let mut fresh: HashMap<u128, usize> = HashMap::new();
        let mut fresh_texts: Vec<&str> = Vec::new();
        for ((key, piece), _) in
            keys.iter().zip(&pieces.texts).zip(&known).filter(|(_, known)| known.is_none())
        {
            fresh.entry(*key).or_insert_with(|| {
                fresh_texts.push(piece);
                fresh_texts.len() - 1
            });
        }
        let run = self.backend.run(&fresh_texts)?;
        let rows = UnitRows::normalise(run.rows)?;
        let made = |at: usize| Made { row: rows.row(at).into(), truncated: run.truncated[at] };
        let all: Vec<Made> =
            keys.iter().zip(known).map(|(key, known)| known.unwrap_or_else(|| made(fresh[key]))).collect();
        self.cache.put(fresh.into_iter().map(|(key, at)| (key, made(at))));
        let cut = pieces.of_text.iter().zip(&pieces.truncated);
        let truncated = cut
            .filter(|(range, cut)| **cut || all[(*range).clone()].iter().any(|made| made.truncated))
            .count();
        let counts = Counts {
            truncated,
            pieces: pieces.texts.len(),
            cached: pieces.texts.len() - fresh_texts.len(),
            tokens: run.tokens,
            padding: run.padding,
        };
        let rows = UnitRows::from_rows(self.dim, all.iter().map(|made| &*made.row))?;
        let means = mean(&rows, &pieces.of_text)?;
        let windows = (self.long_documents == LongDocuments::MaxSim)
            .then_some(WindowRows { rows, of_text: pieces.of_text });
        Ok(Embedded { rows: means, windows, counts })
    }

    fn pieces<'t>(&self, prompt: &str, texts: &[&'t str]) -> Result<Pieces<'t>, Error> {
        let mut pieces = Pieces { texts: Vec::new(), of_text: Vec::new(), truncated: Vec::new() };
        for text in texts {
            let Cut { ranges, truncated } = match &self.cutter {
                Some(cutter) => cutter.cut(text, prompt)?,
                None => Cut { ranges: std::iter::once(0..text.len()).collect(), truncated: false },
            };
            let first = pieces.texts.len();
            pieces.texts.extend(ranges.into_iter().map(|range| match prompt {
                "" => Cow::Borrowed(&text[range]),
                prompt => Cow::Owned(format!("{prompt}{}", &text[range])),
            }));
            pieces.of_text.push(first..pieces.texts.len());
            pieces.truncated.push(truncated);
        }
        Ok(pieces)
    }
}

/// Tokens of a text that count.
fn max_tokens(folder: &Folder, params: &Params) -> Result<usize, Error> {
    let max_tokens = params.max_tokens.unwrap_or(folder.max_tokens);
    if max_tokens <= folder.positions {
        return Ok(max_tokens);
    }
    Err(Error::Model {
        path: folder.path.join("config.json"),
        key: "max_position_embeddings".to_owned(),
        found: folder.positions.to_string(),
        expected: format!("at least `embed.max_tokens`, {max_tokens}"),
    })
}

fn cutter(tokenizer: &Tokenizer, params: &Params) -> Result<Option<Cutter>, Error> {
    let windows = Windows { overlap: params.window_overlap, most: params.max_windows };
    match params.long_documents {
        LongDocuments::Cut => Ok(None),
        LongDocuments::Mean | LongDocuments::MaxSim => Cutter::new(tokenizer, windows).map(Some),
    }
}

/// The mean direction of the rows in each range.
fn mean(rows: &UnitRows, ranges: &[Range<usize>]) -> Result<UnitRows, Error> {
    if ranges.iter().all(|range| range.len() == 1) {
        return Ok(rows.clone());
    }
    let mut means = Array2::zeros((ranges.len(), rows.dim()));
    for (range, mut mean) in ranges.iter().zip(means.axis_iter_mut(Axis(0))) {
        range.clone().for_each(|row| mean += &ndarray::ArrayView1::from(rows.row(row)));
    }
    Ok(UnitRows::normalise(means)?)
}

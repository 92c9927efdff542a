//! A model run on this machine: the next texts are tokenised while the model computes.

use std::sync::mpsc::sync_channel;

use ndarray::Array2;

use super::{
    Backend, Error, Folder, Run,
    batch::{Batch, Packer},
    choose::{self, Chosen},
    runtime,
    session::Encoder,
    tokenize::Tokenizer,
};
use crate::embed::params::Params;
use crate::kernel::unit::UnitRows;

/// Texts that are tokenised at once: some batches of short ones, one of long ones.
const CHUNK: usize = 24;

/// An encoder with its tokenizer.
pub(super) struct Local {
    tokenizer: Tokenizer,
    encoder: Encoder,
    batch_tokens: usize,
    dim: usize,
}

/// What providers are compared on: short and long, in several scripts.
const PROBES: [&str; 4] = [
    "The central bank raised interest rates, and shares fell.",
    "topic",
    "Naïve café-goers in Zürich ate 3½ crêpes – 東京 с видом на море.",
    "Neural topic models find themes in large collections of documents: each document is embedded, the embeddings are \
     reduced and clustered, and each cluster is described by the words that set it apart from all the others.",
];

impl Local {
    /// Loads the model on the best provider that `params` allows, and says which that is.
    pub(super) fn open(
        folder: &Folder,
        tokenizer: Tokenizer,
        library: &std::path::Path,
        params: &Params,
        threads: usize,
    ) -> Result<Chosen<Self>, Error> {
        let environment = runtime::load(library)?;
        let candidates = params.candidates(runtime::has_cuda());
        let probes = tokenizer.encode(&PROBES)?;
        let width = probes.iter().map(|tokens| tokens.ids().len()).max().unwrap_or_default();
        let probes = Batch { texts: probes.into_iter().enumerate().collect(), width };
        let chosen = choose::choose(
            &candidates,
            params.is_free(),
            |provider| Encoder::open(&environment, folder, provider, threads),
            |encoder| {
                let mut rows = Array2::zeros((PROBES.len(), folder.dim));
                encoder.run(&probes, &mut rows)?;
                Ok(UnitRows::normalise(rows)?)
            },
        )?;
        let Chosen { encoder, provider, agreement, notes } = chosen;
        let local = Self { tokenizer, encoder, batch_tokens: params.batch_tokens, dim: folder.dim };
        Ok(Chosen { encoder: local, provider, agreement, notes })
    }
}

impl Backend for Local {
    /// The longest texts go first. A thread tokenises one chunk ahead and waits while that is not taken, so that
    /// memory is bounded by the rows, whatever the number of texts.
    fn run(&self, texts: &[&str]) -> Result<Run, Error> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(texts[text].len()));
        let mut run = Run::new(texts.len(), self.dim);
        let mut packer = Packer::new(self.batch_tokens);
        let (ready, chunks) = sync_channel(1);
        let mut taken = 0;
        std::thread::scope(|scope| {
            let (order, tokenizer) = (&order, &self.tokenizer);
            scope.spawn(move || {
                for chunk in order.chunks(CHUNK) {
                    let chunk_texts: Vec<&str> = chunk.iter().map(|&text| texts[text]).collect();
                    let tokens = tokenizer.encode(&chunk_texts);
                    if ready.send(tokens.map(|tokens| (chunk, tokens))).is_err() {
                        return;
                    }
                }
            });
            // Owned here, so that an error ends the thread too.
            let chunks = chunks;
            for chunk in &chunks {
                let (numbers, tokens) = chunk?;
                taken += numbers.len();
                for (&text, tokens) in numbers.iter().zip(&tokens) {
                    if tokens.ids().is_empty() {
                        return Err(Error::Tokenise { text, source: None });
                    }
                    run.tokens += tokens.ids().len();
                    run.truncated[text] = tokens.truncated();
                }
                packer.add(numbers.iter().copied().zip(tokens));
                while let Some(batch) = packer.next(taken < texts.len()) {
                    self.encoder.run(&batch, &mut run.rows)?;
                    run.padding +=
                        batch.texts.iter().map(|(_, it)| batch.width - it.ids().len()).sum::<usize>();
                }
            }
            if taken < texts.len() { Err(Error::TokeniserGone) } else { Ok(()) }
        })?;
        Ok(run)
    }
}

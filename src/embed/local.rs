//! A model run on this machine: the next texts are tokenised while the model computes, several batches side by side.

use std::sync::{Mutex, PoisonError, mpsc::sync_channel};

use super::{
    Backend, Error, Folder, Provider, Run,
    batch::{Batch, Packer},
    choose::{self, Chosen},
    feed::Feed,
    runtime,
    session::Encoder,
    tokenize::Tokenizer,
};
use crate::embed::params::Params;
use crate::kernel::unit::UnitRows;

/// Texts that are tokenised at once: some batches of short ones, one of long ones.
const CHUNK: usize = 24;

/// A model with its tokenizer.
pub(super) struct Local {
    tokenizer: Tokenizer,
    encoders: Vec<Encoder>,
    batch_tokens: usize,
    dim: usize,
}

/// Bytes of models that sessions side by side may hold together; each has its own copy.
const COPIES_BYTES: u64 = 1 << 30;

/// How many sessions share `threads`, and the threads of each. Two batches side by side on a core each are done sooner
/// than one after the other on two cores, which meet after every layer and fetch each other's results: by 1.7 times
/// with MiniLM on two.
fn sessions(model_bytes: u64, threads: usize) -> (usize, usize) {
    let most = (COPIES_BYTES / model_bytes.max(1)).clamp(1, threads.max(1) as u64) as usize;
    let each = threads.div_ceil(most).max(1);
    (threads.div_ceil(each).max(1), each)
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
        let (sessions, threads) = sessions(fs_err::metadata(&folder.onnx)?.len(), threads);
        let open = |provider| Encoder::open(&environment, folder, provider, threads);
        let probe = |encoder: &Encoder| Ok(UnitRows::normalise(encoder.run(&probes)?)?);
        let Chosen { encoder, provider, agreement, notes } =
            choose::choose(&candidates, params.is_free(), open, probe)?;
        let others = if provider == Provider::Cuda { 0 } else { sessions - 1 };
        let others = (0..others).map(|_| open(provider));
        let encoders = std::iter::once(Ok(encoder)).chain(others).collect::<Result<_, _>>()?;
        let local = Self { tokenizer, encoders, batch_tokens: params.batch_tokens, dim: folder.dim };
        Ok(Chosen { encoder: local, provider, agreement, notes })
    }
}

impl Backend for Local {
    /// The longest texts go first. A thread tokenises one chunk ahead and waits while that is not taken, so that
    /// memory is bounded by the rows, whatever the number of texts.
    fn run(&self, texts: &[&str]) -> Result<Run, Error> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(texts[text].len()));
        let encoders = &self.encoders[..self.encoders.len().min(texts.len())];
        let Some((first, others)) = encoders.split_first() else { return Ok(Run::new(0, self.dim)) };
        let packer = Packer::new(self.batch_tokens, encoders.len());
        let (ready, chunks) = sync_channel(1);
        let feed = Mutex::new(Feed::new(chunks, packer, Run::new(texts.len(), self.dim)));
        std::thread::scope(|scope| {
            let (order, tokenizer, feed) = (&order, &self.tokenizer, &feed);
            scope.spawn(move || {
                for chunk in order.chunks(CHUNK) {
                    let chunk_texts: Vec<&str> = chunk.iter().map(|&text| texts[text]).collect();
                    let tokens = tokenizer.encode(&chunk_texts);
                    if ready.send(tokens.map(|tokens| (chunk, tokens))).is_err() {
                        return;
                    }
                }
            });
            for encoder in others {
                scope.spawn(move || work(encoder, feed));
            }
            work(first, feed);
        });
        feed.into_inner().unwrap_or_else(PoisonError::into_inner).end()
    }
}

fn work(encoder: &Encoder, feed: &Mutex<Feed<'_>>) {
    let open = || feed.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(batch) = open().next() else { return };
        let rows = encoder.run(&batch);
        open().put(&batch, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_models_get_a_session_for_each_thread_and_large_ones_share_the_threads() {
        let mib = |mib: u64| mib << 20;
        assert_eq!(sessions(mib(90), 2), (2, 1));
        assert_eq!(sessions(mib(90), 16), (8, 2));
        assert_eq!(sessions(mib(440), 7), (2, 4));
        assert_eq!(sessions(mib(1300), 16), (1, 16));
        assert_eq!(sessions(0, 1), (1, 1));
    }
}

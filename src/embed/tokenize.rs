//! Texts to token ids.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tokenizers::{TruncationParams, TruncationStrategy};

use super::{Error, window::Windows};

/// A text is cut here before it is tokenised: no model sees more than some hundred tokens, and a text of 50 MB would
/// be split to the end for them. Tokens are rarely longer than ten bytes; only a text that is nearly all white space,
/// or one word without end, may lose a token of its window by this.
const BYTES_A_TOKEN: usize = 100;

/// Splits texts as the model's own tokenizer says.
pub(super) struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    special: bool,
}

/// The tokens of one text. Only [`Tokenizer::encode`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens {
    ids: Vec<u32>,
    truncated: bool,
}

impl Tokens {
    /// So many tokens, for tests of batches.
    #[cfg(test)]
    pub(super) fn of(length: usize) -> Self {
        Self { ids: vec![0; length], truncated: false }
    }

    /// The ids; at most the tokenizer's maximum.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// True if the text went on beyond the last token.
    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }
}

impl Tokenizer {
    /// Loads a `tokenizer.json`. Truncation and padding that it may hold (MiniLM's: to exactly 128 tokens) are
    /// replaced: cut after `max_tokens`, never padded. With `special`, the model's special tokens are put around.
    pub(super) fn open(path: &Path, max_tokens: usize, special: bool) -> Result<Self, Error> {
        let failed = |source| Error::Tokenizer { path: path.to_path_buf(), source };
        let mut inner = tokenizers::Tokenizer::from_file(path).map_err(failed)?;
        let truncation = TruncationParams {
            max_length: max_tokens,
            strategy: TruncationStrategy::LongestFirst,
            ..TruncationParams::default()
        };
        inner.with_padding(None).with_truncation(Some(truncation)).map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), inner, max_tokens, special })
    }

    /// The tokens of each text, in the texts' order; in parallel on rayon's threads.
    pub(super) fn encode(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        let inputs: Vec<&str> = texts.iter().map(|text| self.start(text)).collect();
        // A failing batch does not say which text it was; asking one by one does.
        let encodings = match self.inner.encode_batch_fast(inputs.clone(), self.special) {
            Ok(encodings) => encodings,
            Err(_) => {
                inputs.into_iter().enumerate().map(|it| self.encode_one(it)).collect::<Result<_, _>>()?
            }
        };
        let tokens = |encoding: tokenizers::Encoding| Tokens {
            ids: encoding.get_ids().to_vec(),
            truncated: !encoding.get_overflowing().is_empty(),
        };
        Ok(encodings.into_iter().map(tokens).collect())
    }

    fn encode_one(&self, (text, input): (usize, &str)) -> Result<tokenizers::Encoding, Error> {
        self.inner
            .encode_fast(input, self.special)
            .map_err(|source| Error::Tokenise { text, source: Some(source) })
    }

    fn start<'t>(&self, text: &'t str) -> &'t str {
        &text[..text.floor_char_boundary(self.max_tokens.saturating_mul(BYTES_A_TOKEN))]
    }

    /// The number of the token that stands for what the vocabulary lacks, if there is one.
    pub(super) fn unknown(&self) -> Option<u32> {
        use tokenizers::models::ModelWrapper;
        match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => self.inner.token_to_id(&model.unk_token),
            ModelWrapper::WordLevel(model) => self.inner.token_to_id(&model.unk_token),
            ModelWrapper::BPE(model) => {
                model.unk_token.as_ref().and_then(|token| self.inner.token_to_id(token))
            }
            ModelWrapper::Unigram(model) => {
                // The field is private; its own JSON has it.
                let json = serde_json::to_value(model).ok()?;
                json["unk_id"].as_u64().map(|id| id as u32)
            }
        }
    }

    /// How many tokens there are.
    pub(super) fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// Finds the windows of long texts: a tokenizer that cuts nothing.
pub(super) struct Cutter {
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    special: bool,
    windows: Windows,
}

/// The windows of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// Bytes of each window, in order; at least one.
    pub(super) ranges: Vec<Range<usize>>,
    /// True if the text goes on behind the last window.
    pub(super) truncated: bool,
}

impl Cutter {
    /// For texts that `tokenizer` would cut.
    pub(super) fn new(tokenizer: &Tokenizer, windows: Windows) -> Result<Self, Error> {
        let mut inner = tokenizer.inner.clone();
        let failed = |source| Error::Tokenizer { path: tokenizer.path.clone(), source };
        inner.with_truncation(None).map_err(failed)?;
        Ok(Self { inner, max_tokens: tokenizer.max_tokens, special: tokenizer.special, windows })
    }

    /// The windows of `text` when `prompt` is put before each.
    pub(super) fn cut(&self, text: &str, prompt: &str) -> Result<Cut, Error> {
        let failed = |source| Error::Tokenise { text: 0, source: Some(source) };
        let around = self.inner.encode_fast(prompt, self.special).map_err(failed)?.get_ids().len();
        let width = self.max_tokens.saturating_sub(around).max(1);
        let bytes = self.windows.reach(width).saturating_mul(BYTES_A_TOKEN);
        let start = &text[..text.floor_char_boundary(bytes)];
        let encoding = self.inner.encode(start, false).map_err(failed)?;
        let offsets = encoding.get_offsets();
        let windows = self.windows.over(offsets.len(), width);
        let reached = windows.last().map_or(0, |window| window.end);
        let truncated = reached < offsets.len() || start.len() < text.len();
        if offsets.is_empty() {
            return Ok(Cut { ranges: std::iter::once(0..start.len()).collect(), truncated });
        }
        // A window begins where its first token does and ends before the next one's.
        let begin = |token: usize| if token == 0 { 0 } else { start.floor_char_boundary(offsets[token].0) };
        let end = |token: usize| offsets.get(token).map_or(start.len(), |it| start.floor_char_boundary(it.0));
        let ranges =
            windows.iter().map(|window| begin(window.start)..end(window.end).max(begin(window.start)));
        Ok(Cut { ranges: ranges.collect(), truncated })
    }
}

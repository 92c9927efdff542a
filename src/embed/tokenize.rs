//! Texts to token ids.

use std::borrow::Cow;

use tokenizers::{TruncationParams, TruncationStrategy};

use super::{Error, Folder};

/// A text is cut here before it is tokenised: no model sees more than some hundred tokens, and a text of 50 MB would
/// be split to the end for them. Tokens are rarely longer than ten bytes; only a text that is nearly all white space,
/// or one word without end, may lose a token of its window by this.
const BYTES_A_TOKEN: usize = 100;

/// Splits texts as the model's own tokenizer says, with its special tokens and the model's prompt.
pub(super) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    prompt: String,
}

/// The tokens of one text: at least one, at most the tokenizer's maximum. Only [`Tokenizer::encode`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens {
    ids: Vec<u32>,
    truncated: bool,
}

impl Tokens {
    /// The ids, never empty.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// True if the text went on beyond the last token.
    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }
}

impl Tokenizer {
    /// Loads `folder`'s tokenizer. Truncation and padding that its file may hold (MiniLM's: to exactly 128 tokens) are
    /// replaced: cut after `max_tokens`, never padded.
    pub(super) fn open(folder: &Folder, max_tokens: usize) -> Result<Self, Error> {
        let failed = |source| Error::Tokenizer { path: folder.tokenizer.clone(), source };
        let mut inner = tokenizers::Tokenizer::from_file(&folder.tokenizer).map_err(failed)?;
        let truncation = TruncationParams {
            max_length: max_tokens,
            strategy: TruncationStrategy::LongestFirst,
            ..TruncationParams::default()
        };
        inner.with_padding(None).with_truncation(Some(truncation)).map_err(failed)?;
        Ok(Self { inner, max_tokens, prompt: folder.prompt.clone() })
    }

    /// The tokens of each text, in the texts' order; in parallel on rayon's threads.
    pub(super) fn encode(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        let inputs: Vec<Cow<'_, str>> = texts.iter().map(|text| self.input(text)).collect();
        // A failing batch does not say which text it was; asking one by one does.
        let encodings = match self.inner.encode_batch_fast(inputs.clone(), true) {
            Ok(encodings) => encodings,
            Err(_) => {
                inputs.into_iter().enumerate().map(|it| self.encode_one(it)).collect::<Result<_, _>>()?
            }
        };
        let tokens = |(text, encoding): (usize, tokenizers::Encoding)| match encoding.get_ids() {
            [] => Err(Error::Tokenise { text, source: None }),
            ids => Ok(Tokens { ids: ids.to_vec(), truncated: !encoding.get_overflowing().is_empty() }),
        };
        encodings.into_iter().enumerate().map(tokens).collect()
    }

    fn encode_one(&self, (text, input): (usize, Cow<'_, str>)) -> Result<tokenizers::Encoding, Error> {
        self.inner.encode_fast(input, true).map_err(|source| Error::Tokenise { text, source: Some(source) })
    }

    fn input<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = &text[..text.floor_char_boundary(self.max_tokens * BYTES_A_TOKEN)];
        if self.prompt.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(format!("{}{text}", self.prompt))
        }
    }
}

//! An embedding for each text, or whose fault it is that there is none.
//!
//! A text is at fault only where it fails alone while a text that is known to be good passes. One look is not enough: an
//! endpoint comes and goes, or one of the servers behind it is broken. So the two take turns, and the text is refused only
//! if each of its turns failed and each turn of the good one passed. Whose turn it is follows the sequence of Thue and
//! Morse, which nothing that fails at regular intervals keeps up with; what fails by chance keeps up with [`TURNS`] turns
//! once in 65,000 times.

use super::{Counts, Embedded, Embedder, Engine, Error};
use crate::kernel::unit::UnitRows;

/// A text that every encoder takes.
pub(super) const GOOD: &str = "a document about topic 1";

/// Turns of a text and the good one, half of them each; the first and the last are the good one's.
const TURNS: u32 = 16;

/// For each of some texts its embedding, or why it has none.
#[derive(Debug)]
pub struct Each {
    /// In the texts' order; an error is the text's own fault.
    pub of_text: Vec<Result<Embedding, Error>>,
    /// What it took.
    pub counts: Counts,
    /// Why the texts could not be embedded together, if they could not.
    pub divided: Option<Error>,
}

/// One text's embedding: numbers of length 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The text as a whole.
    pub row: Vec<f32>,
    /// Its windows, where each is judged by itself and there are several; else empty.
    pub windows: Vec<Vec<f32>>,
}

impl Embedding {
    /// What is judged: the windows, or the text as a whole where there are none.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let whole = self.windows.is_empty().then_some(&self.row);
        whole.into_iter().chain(&self.windows).map(Vec::as_slice)
    }
}

impl Embedder {
    /// Embeds `texts` as [`Self::embed`] does. What cannot be embedded together is halved, down to one text, in at most
    /// twice as many calls as there are texts; a text that is refused alone has `TURNS` more.
    ///
    /// # Errors
    /// The encoder embeds nothing now. No text is at fault, and the same call may succeed later.
    pub fn embed_each(&self, texts: &[&str]) -> Result<Each, Error> {
        match self.embed(texts) {
            Ok(made) => Ok(Each::made(&made)),
            Err(error) if error.is_passing() => Err(error),
            Err(error) => {
                self.embed_good()?;
                let divided = self.divide(texts)?;
                Ok(Each { divided: Some(error).filter(|_| texts.len() > 1), ..divided })
            }
        }
    }

    /// Embeds the good text, whatever is remembered of it.
    fn embed_good(&self) -> Result<(), Error> {
        if matches!(self.report.engine, Engine::Table) {
            // It is never ill, and need not know these words.
            return Ok(());
        }
        let good = format!("{}{GOOD}", self.prompts.document);
        UnitRows::normalise(self.backend.run(&[&good])?.rows)?;
        Ok(())
    }

    /// `texts` in two halves, which cannot be embedded together.
    fn divide(&self, texts: &[&str]) -> Result<Each, Error> {
        if let [text] = texts {
            return self.take_turns(text);
        }
        let (first, second) = texts.split_at(texts.len() / 2);
        let mut each = self.embed_or_divide(first)?;
        let second = self.embed_or_divide(second)?;
        each.of_text.extend(second.of_text);
        each.counts += second.counts;
        Ok(each)
    }

    fn embed_or_divide(&self, texts: &[&str]) -> Result<Each, Error> {
        match self.embed(texts) {
            Ok(made) => Ok(Each::made(&made)),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => self.divide(texts),
        }
    }

    /// The embedding of a text that failed alone, or its refusal.
    fn take_turns(&self, text: &str) -> Result<Each, Error> {
        let mut refusal = None;
        for turn in 0..TURNS {
            if turn.count_ones() % 2 == 0 {
                self.embed_good()?;
                continue;
            }
            match self.embed(&[text]) {
                Ok(made) => return Ok(Each::made(&made)),
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => refusal = Some(error),
            }
        }
        let of_text = refusal.map(Err).into_iter().collect();
        Ok(Each { of_text, counts: Counts::default(), divided: None })
    }
}

impl Each {
    fn made(made: &Embedded) -> Self {
        let windows = |text: usize| match &made.windows {
            Some(windows) if windows.of_text[text].len() > 1 => {
                windows.of_text[text].clone().map(|row| windows.rows.row(row).to_vec()).collect()
            }
            _ => Vec::new(),
        };
        let embedding =
            |text: usize| Ok(Embedding { row: made.rows.row(text).to_vec(), windows: windows(text) });
        Self { of_text: (0..made.rows.n()).map(embedding).collect(), counts: made.counts, divided: None }
    }
}

//! What sessions that work side by side take their batches from, and where they put what they made.

use std::sync::mpsc::Receiver;

use ndarray::Array2;

use super::{
    Error, Run,
    batch::{Batch, Packer},
    tokenize::Tokens,
};

/// Numbers of some texts and their tokens.
pub(super) type Chunk<'t> = (&'t [usize], Vec<Tokens>);

/// The batches of one call, packed as its texts are tokenised, and the rows that came of them.
pub(super) struct Feed<'t> {
    /// None once nothing more is wanted: whoever sends then ends.
    chunks: Option<Receiver<Result<Chunk<'t>, Error>>>,
    packer: Packer,
    /// Texts that are not tokenised yet.
    to_come: usize,
    run: Run,
    failed: Option<Error>,
}

impl<'t> Feed<'t> {
    /// `run` has a row for each text.
    pub(super) fn new(chunks: Receiver<Result<Chunk<'t>, Error>>, packer: Packer, run: Run) -> Self {
        Self { chunks: Some(chunks), packer, to_come: run.truncated.len(), run, failed: None }
    }

    /// The next batch; waits for the tokenizer. None at the end, and after anything has failed. What the batches are
    /// depends on the texts alone, not on who asks when.
    pub(super) fn next(&mut self) -> Option<Batch> {
        while self.failed.is_none() {
            if let Some(batch) = self.packer.next(self.to_come) {
                return Some(batch);
            }
            if self.to_come == 0 {
                return None;
            }
            if let Err(error) = self.receive() {
                self.fail(error);
            }
        }
        None
    }

    fn receive(&mut self) -> Result<(), Error> {
        let chunk = self.chunks.as_ref().and_then(|chunks| chunks.recv().ok());
        let (numbers, tokens) = chunk.ok_or(Error::TokeniserGone)??;
        for (&text, tokens) in numbers.iter().zip(&tokens) {
            if tokens.ids().is_empty() {
                return Err(Error::Tokenise { text, source: None });
            }
            self.run.tokens += tokens.ids().len();
            self.run.truncated[text] = tokens.truncated();
        }
        self.to_come -= numbers.len();
        self.packer.add(numbers.iter().copied().zip(tokens));
        Ok(())
    }

    /// Takes what became of `batch`: a row for each of its texts.
    pub(super) fn put(&mut self, batch: &Batch, rows: Result<Array2<f32>, Error>) {
        match rows {
            Ok(rows) => {
                for ((text, tokens), row) in batch.texts.iter().zip(rows.rows()) {
                    self.run.rows.row_mut(*text).assign(&row);
                    self.run.padding += batch.width - tokens.ids().len();
                }
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) {
        self.chunks = None;
        self.failed.get_or_insert(error);
    }

    /// The rows, once [`Self::next`] gave none and every batch was put; or what failed first.
    pub(super) fn end(self) -> Result<Run, Error> {
        self.failed.map_or(Ok(self.run), Err)
    }
}

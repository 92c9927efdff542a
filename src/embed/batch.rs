//! Which texts go through the model together: similar lengths, under a budget of tokens.

use super::tokenize::Tokens;

/// Texts that wait, so that the next batch finds others of its length.
const RESERVE: usize = 24;

/// Tokens of a batch that is not made smaller for the sake of an even end: a run has its own cost.
const WORTHWHILE: usize = 256;

/// Texts that are run at once, padded to the longest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// Number and tokens of each text, longest first.
    pub(super) texts: Vec<(usize, Tokens)>,
    /// Tokens of the longest.
    pub(super) width: usize,
}

/// Gathers texts as they are tokenised and gives out batches of at most a budget of tokens, padding counted, to sessions
/// side by side. Towards the end the batches get smaller, so that no session works long on the last one alone: each is
/// at most half of a session's share of the texts that are left.
///
/// The longest go first, so that the first batch shows the largest memory and time. Every text is in exactly one
/// batch; a text longer than the budget goes alone. Texts of one length keep their order. O(log n) for each.
pub(super) struct Packer {
    budget: usize,
    sessions: usize,
    /// By length, shortest first; of one length the last comer first.
    waiting: Vec<(usize, Tokens)>,
}

impl Packer {
    /// `budget` tokens a batch, at least one text, for `sessions` side by side.
    pub(super) fn new(budget: usize, sessions: usize) -> Self {
        Self { budget, sessions, waiting: Vec::new() }
    }

    /// Takes texts, numbered.
    pub(super) fn add(&mut self, texts: impl IntoIterator<Item = (usize, Tokens)>) {
        self.waiting.extend(texts);
        self.waiting.sort_by_key(|(text, tokens)| (tokens.ids().len(), std::cmp::Reverse(*text)));
    }

    /// The next batch: all the longest that fit. While `to_come` texts will come, some are held back.
    pub(super) fn next(&mut self, to_come: usize) -> Option<Batch> {
        let width = self.waiting.last()?.1.ids().len();
        let left = self.waiting.len() + to_come;
        let share = if self.sessions == 1 { left } else { left.div_ceil(2 * self.sessions) };
        let texts_of = |tokens: usize| tokens / width.max(1);
        let fit = share.max(texts_of(WORTHWHILE)).min(texts_of(self.budget)).max(1);
        if to_come > 0 && self.waiting.len() < fit + RESERVE {
            return None;
        }
        let first = self.waiting.len().saturating_sub(fit);
        let texts: Vec<(usize, Tokens)> = self.waiting.drain(first..).rev().collect();
        Some(Batch { texts, width })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(lengths: &[usize]) -> Vec<(usize, Tokens)> {
        lengths.iter().map(|&length| Tokens::of(length)).enumerate().collect()
    }

    /// The numbers of the texts in each batch.
    fn all(packer: &mut Packer) -> Vec<(Vec<usize>, usize)> {
        std::iter::from_fn(|| packer.next(0))
            .map(|batch| (batch.texts.iter().map(|(text, _)| *text).collect(), batch.width))
            .collect()
    }

    #[test]
    fn the_longest_go_first_and_together() {
        let mut packer = Packer::new(20, 1);
        packer.add(numbered(&[3, 10, 4, 10, 2]));
        assert_eq!(all(&mut packer), [(vec![1, 3], 10), (vec![2, 0, 4], 4)]);
    }

    #[test]
    fn a_text_over_the_budget_goes_alone() {
        let mut packer = Packer::new(20, 1);
        packer.add(numbered(&[50, 2]));
        assert_eq!(all(&mut packer), [(vec![0], 50), (vec![1], 2)]);
    }

    #[test]
    fn the_last_batches_are_small_where_sessions_share_them() {
        let mut packer = Packer::new(2000, 2);
        packer.add(numbered(&[200; 16]));
        let sizes: Vec<usize> = all(&mut packer).iter().map(|(texts, _)| texts.len()).collect();
        assert_eq!(sizes, [4, 3, 3, 2, 1, 1, 1, 1]);
        packer.add(numbered(&[10; 16]));
        assert_eq!(all(&mut packer).len(), 1, "short texts are not worth it");
    }

    #[test]
    fn some_texts_wait_for_others_of_their_length() {
        let mut packer = Packer::new(20, 1);
        packer.add(numbered(&[10; RESERVE + 2]));
        assert_eq!(packer.next(1).map(|batch| batch.texts.len()), Some(2));
        assert_eq!(packer.next(1), None);
        assert_eq!(Packer::new(20, 1).next(0), None);
    }

    proptest! {
        #[test]
        fn each_text_is_in_one_batch_within_the_budget(
            lengths in prop::collection::vec(1_usize..300, 0..200), budget in 1_usize..4000, sessions in 1_usize..5,
            chunk in 1_usize..50,
        ) {
            let mut packer = Packer::new(budget, sessions);
            let mut batches = Vec::new();
            for texts in numbered(&lengths).chunks(chunk) {
                packer.add(texts.to_vec());
                batches.extend(std::iter::from_fn(|| packer.next(1)));
            }
            batches.extend(std::iter::from_fn(|| packer.next(0)));
            let mut seen: Vec<usize> =
                batches.iter().flat_map(|batch| batch.texts.iter().map(|(text, _)| *text)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                let longest = batch.texts.iter().map(|(text, _)| lengths[*text]).max();
                prop_assert_eq!(longest, Some(batch.width));
                prop_assert!(batch.texts.len() == 1 || batch.texts.len() * batch.width <= budget);
            }
        }
    }
}

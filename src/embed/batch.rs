//! Which texts go through the model together: similar lengths, under a budget of tokens.

/// Texts that are run at once, padded to the longest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// Indices of the texts, longest first.
    pub(super) texts: Vec<usize>,
    /// Tokens of the longest.
    pub(super) width: usize,
}

/// Groups texts of `lengths` tokens into batches of at most `budget` tokens, padding counted.
///
/// The longest come first, so that the first batch shows the largest memory and time. Every text is in exactly one
/// batch; a text longer than `budget` goes alone. Texts of one length keep their order. O(n log n).
pub(super) fn plan(lengths: &[usize], budget: usize) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(lengths[text]));
    let mut batches: Vec<Batch> = Vec::new();
    for text in order {
        match batches.last_mut() {
            Some(batch) if (batch.texts.len() + 1) * batch.width <= budget => batch.texts.push(text),
            _ => batches.push(Batch { texts: vec![text], width: lengths[text] }),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_go_first_and_together() {
        let batches = plan(&[3, 10, 4, 10, 2], 20);
        assert_eq!(
            batches,
            [Batch { texts: vec![1, 3], width: 10 }, Batch { texts: vec![2, 0, 4], width: 4 },]
        );
    }

    #[test]
    fn a_text_over_the_budget_goes_alone() {
        let batches = plan(&[50, 2], 20);
        assert_eq!(batches[0], Batch { texts: vec![0], width: 50 });
        assert_eq!(batches[1], Batch { texts: vec![1], width: 2 });
    }

    #[test]
    fn no_texts_make_no_batches() {
        assert_eq!(plan(&[], 20), []);
    }

    proptest! {
        #[test]
        fn each_text_is_in_one_batch_within_the_budget(
            lengths in prop::collection::vec(1_usize..300, 0..200), budget in 1_usize..4000,
        ) {
            let batches = plan(&lengths, budget);
            let mut seen: Vec<usize> = batches.iter().flat_map(|batch| batch.texts.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                let longest = batch.texts.iter().map(|&text| lengths[text]).max();
                prop_assert_eq!(longest, Some(batch.width));
                prop_assert!(batch.texts.len() == 1 || batch.texts.len() * batch.width <= budget);
            }
        }
    }
}

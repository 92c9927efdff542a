//! A ranking that is brought up to date gives what weighing everything gives, whatever happened meanwhile.

use proptest::prelude::*;

use super::WORDS;
use crate::keywords::{Bag, Counts, Params, Ranking, keywords};

/// One thing that happens to counts.
#[derive(Debug, Clone)]
enum Step {
    Add(u32, Bag),
    Remove(u32, Bag),
    Merge(u32, u32),
    Forget(u32),
    Scale(f64),
}

fn step() -> impl Strategy<Value = Step> {
    let class = 0..12_u32;
    let bag = proptest::collection::vec("[a-h][a-h]", 1..20).prop_map(|words| WORDS.count(&words.join(" ")));
    prop_oneof![
        8 => (class.clone(), bag.clone()).prop_map(|(class, bag)| Step::Add(class, bag)),
        2 => (class.clone(), bag).prop_map(|(class, bag)| Step::Remove(class, bag)),
        1 => (class.clone(), class.clone()).prop_map(|(from, into)| Step::Merge(from, into)),
        1 => class.prop_map(Step::Forget),
        1 => (0.3..1.0).prop_map(Step::Scale),
    ]
}

fn params() -> impl Strategy<Value = Params> {
    let shape = (
        any::<bool>(),
        any::<bool>(),
        1..4_u32,
        prop_oneof![Just(1.0), Just(0.6)],
        prop_oneof![Just(0), Just(20_usize)],
    );
    shape.prop_map(|(bm25_weighting, reduce_frequent_words, min_df, max_df, max_features)| Params {
        bm25_weighting,
        reduce_frequent_words,
        min_df,
        max_df,
        max_features,
        top_n_words: 3,
        max_vocabulary: 40,
        ..Params::default()
    })
}

proptest! {
    #[test]
    fn an_update_is_the_whole(
        steps in proptest::collection::vec(proptest::collection::vec(step(), 0..5), 1..12),
        params in params(),
        remembered in 3..8_usize,
    ) {
        let mut counts = Counts::new(40);
        let mut ranking = Ranking::remembering(remembered);
        for steps in steps {
            for step in steps {
                match step {
                    Step::Add(class, bag) => counts.add(class, &bag, 1.0),
                    Step::Remove(class, bag) => counts.remove(class, &bag, 1.0),
                    Step::Merge(from, into) => counts.merge_classes(from, into),
                    Step::Forget(class) => counts.remove_class(class),
                    Step::Scale(factor) => counts.scale(factor),
                }
            }
            prop_assert_eq!(ranking.update(&counts, &params), keywords(&counts, &params));
        }
    }
}

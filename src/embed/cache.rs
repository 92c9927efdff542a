//! Embeddings of texts that came before, because streams repeat themselves.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

/// The embedding of one piece of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    /// `d` numbers, of length 1.
    pub(super) row: Arc<[f32]>,
    /// True if the text went on beyond the last token.
    pub(super) truncated: bool,
}

/// The last embeddings by a hash of their text, the least recently used leave first. Holds `4 d` bytes and some 100
/// for each; a text is found by 128 bits, so two texts meet once in 10¹⁸ or so.
pub(super) struct Cache {
    made: Option<Mutex<LruCache<u128, Made>>>,
}

impl Cache {
    /// A cache of at most `texts` texts; 0 remembers nothing.
    pub(super) fn new(texts: usize) -> Self {
        // Not allocated ahead: most streams never fill it.
        let made = NonZeroUsize::new(texts).map(|most| {
            let mut cache = LruCache::unbounded();
            cache.resize(most);
            Mutex::new(cache)
        });
        Self { made }
    }

    /// What is remembered under each of `keys`.
    pub(super) fn get(&self, keys: &[u128]) -> Vec<Option<Made>> {
        let Some(made) = &self.made else { return vec![None; keys.len()] };
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| made.get(key).cloned()).collect()
    }

    /// Remembers what was made.
    pub(super) fn put(&self, fresh: impl Iterator<Item = (u128, Made)>) {
        let Some(made) = &self.made else { return };
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.for_each(|(key, fresh)| {
            made.put(key, fresh);
        });
    }
}

/// The key of `text`.
pub(super) fn key(text: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(value: f32) -> Made {
        Made { row: Arc::from([value]), truncated: false }
    }

    #[test]
    fn the_least_recently_used_leave_first() {
        let cache = Cache::new(2);
        cache.put([(1, made(1.0)), (2, made(2.0))].into_iter());
        assert_eq!(cache.get(&[1]), [Some(made(1.0))]);
        cache.put([(3, made(3.0))].into_iter());
        assert_eq!(cache.get(&[1, 2, 3]), [Some(made(1.0)), None, Some(made(3.0))]);
    }

    #[test]
    fn a_cache_of_nothing_remembers_nothing() {
        let cache = Cache::new(0);
        cache.put([(1, made(1.0))].into_iter());
        assert_eq!(cache.get(&[1, 2]), [None, None]);
    }
}

//! What the store writes, as it stands in the compacted topic of the state: the store's key, the store's value, and
//! no value for a key that is gone. Whoever writes all of it in order into an empty store has the same state.

/// One key of the store and what stands under it from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The store's key.
    pub key: Vec<u8>,
    /// What stands there; nothing if the key is removed.
    pub value: Option<Vec<u8>>,
}

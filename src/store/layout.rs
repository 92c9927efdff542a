//! Keys and the format's version. A key is one letter for the kind and, where there are many, a big-endian number.

/// Version of everything below; a store with another one is refused, or migrated.
///
/// 2: topics that ended, archived versions, histories with sums, the topic that a document's record names. A store of
/// format 1 was never released; it holds no document's arrival, which the histories rest on, so it is refused.
/// 3: the vote that the version in force asks for. 4: the documents that voted for ended topics. 5: whether an operator
/// ended them. None of formats 2 to 4 was released either. 6: the seal. 7: times and fields of documents, counted.
pub const FORMAT: u32 = 7;

/// → [`FORMAT`].
pub const FORMAT_KEY: &[u8] = b"!format";
/// → the version of topicd that made this format of the state, as a text.
pub const MADE_BY: &[u8] = b"!made-by";
/// → `ledger::Seal`: what everything else adds up to.
pub const SEAL: &[u8] = b"!seal";
/// → `store::Identity`.
pub const IDENTITY_KEY: &[u8] = b"!identity";
/// → which state this is, where it is a copy of one that lives in Kafka: a random number.
pub const LINEAGE_KEY: &[u8] = b"!lineage";
/// → `Checkpoint`.
pub const CHECKPOINT: &[u8] = b"c";
/// → `Totals`.
pub const TOTALS: &[u8] = b"n";
/// Here if deleted bytes are to leave the files; see `compact`.
pub const ERASE: &[u8] = b"!erase";
/// → `Sums`, `History` and `Profile` of the outliers.
pub const OUTLIERS: &[u8] = b"o";
/// → the values of fields that are counted one by one.
pub const DICTIONARY: &[u8] = b"v";
/// → topics that ended and what they redirect to.
pub const REDIRECTS: &[u8] = b"r";

/// Kinds of key that have a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Topic id → `Record`.
    Topic = b't',
    /// Chunk number → part of the word counts.
    Counts = b'w',
    /// Journal number → `Vec<Op>` since the last fold.
    Journal = b'j',
    /// Sequence → `Kept`.
    Kept = b'h',
    /// Sequence → `Standing`.
    Standing = b'd',
    /// Journal number → ids seen.
    Seen = b'i',
    /// Event number → `Event`.
    Event = b'e',
    /// Event number → `Event` that is not taken yet.
    Outbox = b'x',
    /// Event number → `outbox::Mark` of an event in the outbox.
    Mark = b'y',
    /// Refit number → `Report`.
    Report = b'p',
    /// Topic id → `Ended`.
    Ended = b'z',
    /// Version → `Archive`.
    Archive = b'a',
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Topic,
        Self::Counts,
        Self::Journal,
        Self::Kept,
        Self::Standing,
        Self::Seen,
        Self::Event,
        Self::Outbox,
        Self::Mark,
        Self::Report,
        Self::Ended,
        Self::Archive,
    ];

    /// The key of number `number`.
    pub fn key(self, number: u64) -> [u8; 9] {
        let mut key = [self as u8; 9];
        key[1..].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// The number in `key`; 0 for a key that has none.
    pub fn number(key: &[u8]) -> u64 {
        key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
    }
}

/// `key` as a message shows it: its letter and its number.
pub(super) fn in_words(key: &[u8]) -> String {
    match key {
        [kind, _, _, _, _, _, _, _, _] if kind.is_ascii_lowercase() => {
            format!("{}{}", char::from(*kind), Kind::number(key))
        }
        other => String::from_utf8_lossy(other).into_owned(),
    }
}

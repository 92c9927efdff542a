//! How records between topicd's own processes are packed: one byte for the format's version, then postcard under
//! Zstandard.

use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of everything that is packed, but for what has one of its own.
const FORMAT: u8 = 2;
/// Fast: these bytes are written once and read a few times.
const LEVEL: i32 = 1;
/// What a record may unpack to, in bytes; far above what is ever packed.
const MOST_BYTES: u64 = 1 << 30;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It holds nothing.
    #[error("it is empty")]
    Empty,
    /// Another version wrote it.
    #[error("it has format {found}, this topicd reads {expected}; upgrade every process")]
    Format {
        /// The format found.
        found: u8,
        /// The one that is read.
        expected: u8,
    },
    /// It cannot be unpacked.
    #[error("it cannot be unpacked")]
    Unpack(#[from] std::io::Error),
    /// It holds something else.
    #[error("it holds something else")]
    Decode(#[from] postcard::Error),
    /// Its key is none of ours.
    #[error("its key `{key}` is unknown")]
    Key {
        /// The key.
        key: String,
    },
    /// A version is not whole.
    #[error("version {version} is not whole: {what}")]
    Torn {
        /// The version.
        version: u64,
        /// What is missing.
        what: String,
    },
}

/// `value`, packed.
pub(super) fn pack(value: &impl Serialize) -> Result<Vec<u8>, Broken> {
    pack_as(FORMAT, value)
}

/// The same in a format of its own.
pub(super) fn pack_as(format: u8, value: &impl Serialize) -> Result<Vec<u8>, Broken> {
    let plain = postcard::to_stdvec(value)?;
    let mut packed = vec![format];
    packed.extend(zstd::bulk::compress(&plain, LEVEL)?);
    Ok(packed)
}

/// What [`pack`] made.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Broken> {
    unpack_as(FORMAT, bytes)
}

/// What [`pack_as`] made of this format.
pub(super) fn unpack_as<T: DeserializeOwned>(expected: u8, bytes: &[u8]) -> Result<T, Broken> {
    let (format, packed) = bytes.split_first().ok_or(Broken::Empty)?;
    if *format != expected {
        return Err(Broken::Format { found: *format, expected });
    }
    let mut plain = Vec::new();
    zstd::Decoder::new(packed)?.take(MOST_BYTES).read_to_end(&mut plain)?;
    Ok(postcard::from_bytes(&plain)?)
}

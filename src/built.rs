//! What this binary was built without.

/// A part of topicd that this binary does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this topicd was built without {0}; build it with `cargo build --release`, or install a release")]
pub struct Without(pub &'static str);

//! The signature by which a receiver knows that an event comes from this daemon, unchanged.

use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The header that carries a [`signature`].
pub const HEADER: &str = "x-topicd-signature";

/// `sha256=` and the HMAC-SHA256 of `body` under `secret` in lower-case hexadecimal: the scheme of GitHub's webhooks,
/// so that a receiver can use their libraries.
///
/// The receiver computes the same over the raw body and compares in constant time. `None` for no secret.
///
/// Source: RFC 2104.
pub fn signature(secret: &str, body: &[u8]) -> Option<String> {
    if secret.is_empty() {
        return None;
    }
    // HMAC takes a key of any length; the error is for MACs that don't.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
    Some("sha256=".chars().chain(digits).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?").unwrap(),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_ne!(signature("Jefe", b"a"), signature("Jefe", b"b"));
        assert_ne!(signature("Jefe", b"a"), signature("jefe", b"a"));
        assert_eq!(signature("", b"a"), None);
    }
}

//! The signature by which a receiver knows that a request comes from this daemon, is unchanged, and is no old one that
//! somebody sends once more.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::secret::Secret;

/// The header of the event's id, which is the same in each attempt.
pub const ID: &str = "webhook-id";
/// The header of the moment of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header of the signature.
pub const SIGNATURE: &str = "webhook-signature";

/// What a secret that is written in base64 begins with.
const PREFIX: &str = "whsec_";

/// The key of a signature; never shown.
#[derive(Clone)]
pub struct Key(Vec<u8>);

/// A secret that begins with `whsec_` and goes on with no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl Key {
    /// The key that `secret` names: after `whsec_` in base64, else its bytes as they stand; none if it is empty.
    pub fn parse(secret: &Secret) -> Result<Option<Self>, Broken> {
        let text = secret.reveal();
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Ok(Some(Self(text.as_bytes().to_vec())).filter(|_| !text.is_empty()));
        };
        let key = STANDARD.decode(encoded).map_err(|_| Broken)?;
        if key.is_empty() { Err(Broken) } else { Ok(Some(Self(key))) }
    }

    /// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
    ///
    /// Source: Standard Webhooks 1.0, "Signature scheme"; RFC 2104.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        // HMAC takes a key of any length; the error is for MACs that don't.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::parse(&secret.into()).unwrap().unwrap()
    }

    #[test]
    fn signatures_are_those_of_the_specification() {
        // The test vector of the libraries that the specification publishes.
        let known = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = |id: &str, timestamp, body: &[u8]| known.sign(id, timestamp, body).unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed(id, 1_614_265_330, body), expected);
        for (id, timestamp, body) in
            [("msg", 1_614_265_330, &body[..]), (id, 1_614_265_331, body), (id, 1_614_265_330, b"{}")]
        {
            assert_ne!(signed(id, timestamp, body), expected);
        }
    }

    #[test]
    fn a_secret_is_base64_only_after_its_prefix() {
        assert_eq!(key("whsec_aHVzaA==").0, b"hush");
        assert_eq!(key("aHVzaA==").0, b"aHVzaA==");
        assert!(Key::parse(&"".into()).unwrap().is_none());
        for wrong in ["whsec_", "whsec_hush!", "whsec_aHVzaA"] {
            assert_eq!(Key::parse(&wrong.into()).unwrap_err(), Broken, "{wrong}");
        }
        assert!(!format!("{:?}", key("hush")).contains("hush"));
    }
}

//! What a user may set about the webhook, and its check.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::built::Without;
use crate::client::http::{HeaderMap, HeaderName, HeaderValue};
use crate::client::{Address, AddressError};
use crate::model::filter::{Filter, Unreadable};
use crate::notify::sign::{self, Key};
use crate::secret::Secret;

/// Settings of the webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Where events are posted, `http` or `https`; empty for nowhere.
    pub url: Secret,
    /// The key of the signature; empty for none.
    pub secret: Secret,
    /// Further headers, such as a token of the receiver.
    pub headers: BTreeMap<String, Secret>,
    /// A condition on events; empty for all of them.
    pub r#where: String,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// For how long an event is tried before it is given up, such as `24h`.
    pub max_age: String,
    /// The wait after the first failed attempt; it doubles with each further one.
    pub first_wait_ms: u64,
    /// The longest wait between two attempts, whatever the receiver asks for.
    pub max_wait_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            secret: Secret::default(),
            headers: BTreeMap::new(),
            r#where: String::new(),
            timeout_ms: 10_000,
            max_age: "24h".to_owned(),
            first_wait_ms: 1_000,
            max_wait_ms: 300_000,
        }
    }
}

/// A setting that cannot be used, or a client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address of HTTP.
    #[error(
        "`notify.url` is no address of `http` or `https` with a host; write it as `https://example.org/hook`"
    )]
    Url,
    /// A secret that cannot be read.
    #[error(
        "`notify.secret` begins with `whsec_`, but no base64 follows; copy it whole, or leave `whsec_` out for a key \
         that is to be used as it stands"
    )]
    Secret,
    /// Not a time, or none that makes sense.
    #[error(
        "`notify.max_age` is {found:?} but must be a time of at most a year, such as \"90m\", \"24h\" or \"7d\""
    )]
    MaxAge {
        /// As the user set it.
        found: String,
    },
    /// Not a header.
    #[error("`notify.headers` holds `{name}`, which is no header or has a value that is none; see RFC 9110")]
    Header {
        /// As the user wrote it; the value isn't told.
        name: String,
    },
    /// Not a condition.
    #[error("`notify.where`: {0}")]
    Where(#[from] Unreadable),
    /// A number outside what makes sense.
    #[error("`notify.{name}` is {value} but must be from {least} to {most}; leave it out for the default")]
    OutOfRange {
        /// The setting's name.
        name: &'static str,
        /// As the user set it.
        value: u64,
        /// The least value allowed.
        least: u64,
        /// The greatest value allowed.
        most: u64,
    },
    /// An address of https, and no TLS in this binary.
    #[error("`notify.url` is an address of `https`")]
    NoTls(#[from] Without),
}

/// Settings that have passed [`Params::check`].
#[derive(Debug, Clone)]
pub struct Checked {
    pub(super) url: Address,
    pub(super) key: Option<Key>,
    pub(super) headers: HeaderMap,
    pub(super) filter: Option<Filter>,
    pub(super) timeout: Duration,
    pub(super) max_age: Duration,
    pub(super) first_wait: Duration,
    pub(super) max_wait: Duration,
}

impl Params {
    /// Checks every setting; `None` if no webhook is wanted. The first mistake is returned.
    pub fn check(&self) -> Result<Option<Checked>, Error> {
        const HOUR_MS: u64 = 3_600_000;
        let ranges = [
            ("timeout_ms", self.timeout_ms, 1, HOUR_MS),
            ("first_wait_ms", self.first_wait_ms, 1, HOUR_MS),
            ("max_wait_ms", self.max_wait_ms, self.first_wait_ms, 24 * HOUR_MS),
        ];
        for (name, value, least, most) in ranges {
            if value < least || value > most {
                return Err(Error::OutOfRange { name, value, least, most });
            }
        }
        let max_age = age(&self.max_age).ok_or_else(|| Error::MaxAge { found: self.max_age.clone() })?;
        let key = Key::parse(&self.secret).map_err(|sign::Broken| Error::Secret)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || Error::Header { name: name.clone() };
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
        }
        let condition = Some(self.r#where.trim()).filter(|condition| !condition.is_empty());
        let filter = condition.map(str::parse).transpose()?;
        if self.url.reveal().is_empty() {
            return Ok(None);
        }
        let url = Address::parse(self.url.reveal()).map_err(|error| match error {
            AddressError::NoAddress => Error::Url,
            AddressError::NoTls(without) => without.into(),
        })?;
        Ok(Some(Checked {
            url,
            key,
            headers,
            filter,
            timeout: Duration::from_millis(self.timeout_ms),
            max_age,
            first_wait: Duration::from_millis(self.first_wait_ms),
            max_wait: Duration::from_millis(self.max_wait_ms),
        }))
    }
}

/// `text` as a time: `90m`, `24h`, `7d`; none for nothing, or for more than a year.
pub fn age(text: &str) -> Option<Duration> {
    const YEAR: Duration = Duration::from_hours(366 * 24);
    let span: jiff::Span = text.parse().ok()?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok().filter(|age| !age.is_zero() && *age <= YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_setting_and_tell_no_secret() {
        let hook = || Params { url: "https://example.org/token".into(), ..Params::default() };
        let header = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.into())]);
        let wrong = [
            (Params { url: "example.org/token".into(), ..hook() }, "notify.url"),
            (Params { url: "ftp://example.org/token".into(), ..hook() }, "notify.url"),
            (Params { url: "http:///token".into(), timeout_ms: 0, ..hook() }, "timeout_ms"),
            (Params { max_age: "0s".to_owned(), ..hook() }, "max_age"),
            (Params { secret: "whsec_token".into(), ..hook() }, "notify.secret"),
            (Params { max_wait_ms: 10, ..hook() }, "max_wait_ms"),
            (Params { headers: header("X Y", "token"), ..hook() }, "X Y"),
            (Params { headers: header("X-Y", "token\n"), ..hook() }, "X-Y"),
            (Params { r#where: "type is new".to_owned(), ..hook() }, "notify.where"),
        ];
        for (params, expected) in wrong {
            let text = params.check().unwrap_err().to_string();
            assert!(
                text.contains(expected) && text.contains([';', ',']) && !text.contains("token"),
                "{text}"
            );
        }
        assert!(hook().check().unwrap().is_some());
        assert!(Params::default().check().unwrap().is_none());
    }

    #[test]
    fn an_age_is_a_time_with_its_unit() {
        const HOUR: u64 = 3_600_000;
        for (text, ms) in [
            ("24h", 24 * HOUR),
            ("24 hours", 24 * HOUR),
            ("90m", 90 * 60_000),
            ("7d", 168 * HOUR),
            ("200ms", 200),
            ("PT24H", 24 * HOUR),
        ] {
            assert_eq!(age(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "24", "-1h", "0h", "2y", "1mo", "400d", "soon"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let params = Params {
            url: "https://example.org/token".into(),
            secret: "token".into(),
            headers: BTreeMap::from([("X-Y".to_owned(), "token".into())]),
            ..Params::default()
        };
        let shown = format!("{params:?} {}", serde_json::to_string(&params).unwrap());
        assert!(shown.contains("***") && !shown.contains("token"), "{shown}");
    }
}

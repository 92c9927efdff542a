//! The sections whose keys in the file differ from their room's parameters, or that belong to no room.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Table;

use crate::built::Without;
use crate::client::Address;
use crate::http::{Door, Tls, TlsError};
use crate::model::operate::MOST_LABEL_CHARACTERS;
use crate::secret::Secret;
use crate::transport::brokers::Guarantee;
use crate::transport::embedded::{self, Fields, Format, Input, OutputParams};
use crate::transport::subscription::Subscription;
use crate::{embed, notify};

/// `[source]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    r#type: SourceType,
    path: PathBuf,
    paths: Vec<PathBuf>,
    format: Format,
    follow: bool,
    speed: f64,
    batch_documents: usize,
    max_wait_ms: u64,
    max_document_bytes: u64,
    time_format: String,
    topic_fields: Table,
    fields: Fields,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SourceType {
    File,
    Stdin,
    Kafka,
}

impl Source {
    /// Whether documents come from Kafka; then `path`, `follow` and `speed` mean nothing.
    pub(super) fn is_kafka(&self) -> Result<bool, String> {
        match self.r#type {
            SourceType::Kafka if cfg!(feature = "kafka") => Ok(true),
            SourceType::Kafka => Err(format!("`type` is kafka but {}", Without("kafka"))),
            SourceType::File | SourceType::Stdin => Ok(false),
        }
    }

    /// The fields of each of `topic_fields`, over those of `fields`.
    fn topic_fields(&self) -> Result<Vec<(Subscription, Fields)>, String> {
        let mut all = Vec::new();
        for (topics, fields) in &self.topic_fields {
            let refused = |must: String| {
                format!("`topic_fields` has \"{topics}\" but must have a topic's name or pattern: {must}")
            };
            let subscription = Subscription::parse(topics).map_err(refused)?;
            let own = fields.as_table().ok_or_else(|| {
                format!("`topic_fields.{topics}` is no table but must be one such as {{ text = \"body\" }}")
            })?;
            let mut fields = Table::try_from(&self.fields).map_err(|error| error.to_string())?;
            fields.extend(own.clone());
            let fields = fields.try_into().map_err(|error: toml::de::Error| {
                format!("`topic_fields.{topics}` has a mistake: {}", error.message())
            })?;
            all.push((subscription, fields));
        }
        Ok(all)
    }

    pub(super) fn into_params(self) -> Result<embedded::Params, String> {
        Ok(embedded::Params {
            topic_fields: self.topic_fields()?,
            input: match self.r#type {
                SourceType::File if !self.paths.is_empty() => {
                    let path = Some(self.path).filter(|path| !path.as_os_str().is_empty());
                    Input::Files(path.into_iter().chain(self.paths).collect())
                }
                SourceType::File if self.path.as_os_str() == "-" => Input::Stdin,
                SourceType::File | SourceType::Kafka => Input::File(self.path),
                SourceType::Stdin => Input::Stdin,
            },
            format: self.format,
            fields: self.fields,
            time_format: self.time_format,
            follow: self.follow,
            speed: self.speed,
            max_document_bytes: self.max_document_bytes,
            batch_documents: self.batch_documents,
            max_wait_ms: self.max_wait_ms,
            ..embedded::Params::default()
        })
    }
}

/// `[embed]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Embed {
    model: PathBuf,
    onnxruntime: PathBuf,
    max_tokens: usize,
    batch_tokens: usize,
    threads: usize,
    provider: embed::Choice,
    precision: embed::Precision,
    long_documents: embed::LongDocuments,
    window_overlap: usize,
    max_windows: usize,
    cache_texts: usize,
    remote: Remote,
}

/// `[embed.remote]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remote {
    url: Secret,
    token: Secret,
    batch_texts: usize,
    concurrency: usize,
    timeout_ms: u64,
    max_attempts: u32,
    first_wait_ms: u64,
    max_wait_ms: u64,
    document_prompt: String,
    query_prompt: String,
}

impl Embed {
    pub(super) fn into_params(self) -> embed::Params {
        let given = |path: PathBuf| Some(path).filter(|path| !path.as_os_str().is_empty());
        embed::Params {
            model: given(self.model).unwrap_or_else(|| embed::Params::default().model),
            onnxruntime: given(self.onnxruntime),
            max_tokens: Some(self.max_tokens).filter(|tokens| *tokens > 0),
            batch_tokens: self.batch_tokens,
            threads: self.threads,
            provider: self.provider,
            precision: self.precision,
            long_documents: self.long_documents,
            window_overlap: self.window_overlap,
            max_windows: self.max_windows,
            cache_texts: self.cache_texts,
            remote: Some(self.remote.into_params()).filter(|remote| !remote.url.is_empty()),
        }
    }
}

impl Remote {
    fn into_params(self) -> embed::remote::Params {
        embed::remote::Params {
            url: self.url,
            token: self.token,
            batch_texts: self.batch_texts,
            concurrency: self.concurrency,
            timeout_ms: self.timeout_ms,
            max_attempts: self.max_attempts,
            first_wait_ms: self.first_wait_ms,
            max_wait_ms: self.max_wait_ms,
            document_prompt: self.document_prompt,
            query_prompt: self.query_prompt,
        }
    }
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The folder of the state; relative paths start at the working directory.
    pub directory: PathBuf,
    /// Ids that are remembered to find duplicates.
    pub remembered_ids: usize,
    /// Documents in a window of a topic's history.
    pub window_documents: u64,
    /// Versions to which one can go back.
    pub versions: usize,
}

impl State {
    pub(super) fn check(self) -> Result<Self, &'static str> {
        if self.directory.as_os_str().is_empty() {
            return Err(NO_FOLDER);
        }
        if self.window_documents == 0 {
            return Err(" but must be at least 1");
        }
        if self.versions == 0 {
            return Err(" but must be at least 1");
        }
        Ok(self)
    }
}

const NO_FOLDER: &str = " but must be the path of a folder; leave it out for the default";

/// `[output]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    directory: PathBuf,
    segment_bytes: u64,
    segment_age: String,
    keep: u64,
}

impl Output {
    pub(super) fn check(self) -> Result<OutputParams, String> {
        let Self { directory, segment_bytes, segment_age, keep } = self;
        if directory.as_os_str().is_empty() {
            return Err(NO_FOLDER.to_owned());
        }
        if (1..LEAST_SEGMENT).contains(&segment_bytes) {
            return Err(format!(
                "`segment_bytes` is {segment_bytes} but must be 0 or at least {LEAST_SEGMENT}"
            ));
        }
        let age = notify::age(&segment_age);
        if age.is_none() && !segment_age.is_empty() {
            return Err(format!(
                "`segment_age` is {segment_age:?} but must be a time of at most a year, such as \"1h\", \"24h\" or \"7d\""
            ));
        }
        if keep > 0 && segment_bytes == 0 && age.is_none() {
            return Err(format!(
                "`keep` is {keep} but no file is ever closed; set `output.segment_bytes` or `output.segment_age` too"
            ));
        }
        let segment_bytes = (segment_bytes > 0).then_some(segment_bytes);
        Ok(OutputParams { directory, segment_bytes, segment_age: age, keep: (keep > 0).then_some(keep) })
    }
}

/// Smaller segments than this would hold a commit each.
const LEAST_SEGMENT: u64 = 1024;

/// `[processing]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Processing {
    pub guarantee: Guarantee,
}

/// `[shutdown]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shutdown {
    timeout_ms: u64,
}

impl Shutdown {
    pub(super) fn check(self) -> Result<Duration, String> {
        if !(100..=3_600_000).contains(&self.timeout_ms) {
            return Err(format!("`timeout_ms` is {} but must be 100 to 3600000", self.timeout_ms));
        }
        Ok(Duration::from_millis(self.timeout_ms))
    }
}

/// `[seeds]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// Topics that are there before the stream.
    pub topic: Vec<SeedTopic>,
    bertopic: PathBuf,
}

/// `[[seeds.topic]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedTopic {
    /// Its label, by which it is known again after a restart.
    pub label: String,
    /// Texts that belong to it.
    #[serde(default)]
    pub texts: Vec<String>,
    /// Words that it is about.
    #[serde(default)]
    pub words: Vec<String>,
}

impl Seeds {
    /// True if nothing is seeded.
    pub fn is_empty(&self) -> bool {
        self.topic.is_empty() && self.saved().is_none()
    }

    /// The folder of a model that BERTopic saved, whose topics are seeded too.
    pub fn saved(&self) -> Option<&std::path::Path> {
        Some(self.bertopic.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }

    pub(super) fn check(self) -> Result<Self, String> {
        let mut labels = std::collections::BTreeSet::new();
        for topic in &self.topic {
            let label = &topic.label;
            if label.trim().is_empty() {
                return Err("a topic has no label; give it one".to_owned());
            }
            if label.chars().count() > MOST_LABEL_CHARACTERS {
                let start: String = label.chars().take(MOST_LABEL_CHARACTERS).collect();
                return Err(format!(
                    "the label `{start}…` has more than {MOST_LABEL_CHARACTERS} characters; shorten it"
                ));
            }
            if topic.texts.iter().chain(&topic.words).all(|text| text.trim().is_empty()) {
                return Err(format!("topic `{label}` has neither `texts` nor `words`; give it some"));
            }
            if !labels.insert(label) {
                return Err(format!("two topics have the label `{label}`; give each its own"));
            }
        }
        Ok(self)
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port to listen on; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    auth: Auth,
    advertise: String,
    hosts: Vec<String>,
    read_token: Secret,
    write_token: Secret,
    tls_certificate: PathBuf,
    tls_key: PathBuf,
}

/// What an address beyond the loopback needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Auth {
    Token,
    None,
}

impl Http {
    pub(super) fn check(self) -> Result<Self, String> {
        if !self.advertise.is_empty() && Address::parse(&self.advertise).is_err() {
            return Err(format!(
                "`advertise` is \"{}\" but must be an address such as http://topicd-0.topicd:9464",
                self.advertise
            ));
        }
        let is_open = self.read_token.is_empty() && self.write_token.is_empty();
        if is_open && self.auth == Auth::Token && !self.listen.ip().is_loopback() {
            return Err(format!(
                "`listen` is {} but must be on the loopback without a token, such as 127.0.0.1:{}; set \
                 `http.write_token` (TOPICD_HTTP__WRITE_TOKEN), or `http.auth = \"none\"` where the network lets in \
                 nobody else",
                self.listen,
                self.listen.port()
            ));
        }
        let missing = |path: &PathBuf| path.as_os_str().is_empty();
        match (missing(&self.tls_certificate), missing(&self.tls_key)) {
            (false, true) => {
                Err("`tls_certificate` is set but must have `http.tls_key` beside it".to_owned())
            }
            (true, false) => {
                Err("`tls_key` is set but must have `http.tls_certificate` beside it".to_owned())
            }
            (false, false) if !cfg!(feature = "https") => {
                Err(format!("`tls_certificate` is set but {}", Without("https")))
            }
            _ => Ok(self),
        }
    }

    /// Whom the door of the daemon `instance` lets in. Reads the files of TLS.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn door(&self, instance: &str) -> Result<Door, TlsError> {
        let tls = self.certificate().map(|certificate| Tls::read(certificate, &self.tls_key)).transpose()?;
        let advertised = Address::parse(&self.advertised(self.listen)).ok();
        let hosts = self.hosts.iter().cloned().chain(advertised.map(|address| address.host().to_owned()));
        Ok(Door {
            instance: instance.to_owned(),
            hosts: hosts.collect(),
            read: self.read_token.clone(),
            write: self.write_token.clone(),
            tls,
        })
    }

    /// The certificate of the daemon, if it speaks TLS.
    pub fn certificate(&self) -> Option<&Path> {
        Some(self.tls_certificate.as_path()).filter(|path| !path.as_os_str().is_empty())
    }

    /// The files of TLS, if it is wanted.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let files = self.certificate().map(|certificate| [certificate.to_owned(), self.tls_key.clone()]);
        files.into_iter().flatten()
    }

    /// Where the other nodes of a cluster reach the daemon that listens at `address`.
    pub fn advertised(&self, address: SocketAddr) -> String {
        if !self.advertise.is_empty() {
            return self.advertise.trim_end_matches('/').to_owned();
        }
        let name = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match name.trim() {
            name if address.ip().is_unspecified() && !name.is_empty() => {
                format!("{}://{name}:{}", self.scheme(), address.port())
            }
            _ => self.base_at(address),
        }
    }

    /// The token that a command shows to the daemon of this configuration.
    pub fn token(&self) -> &Secret {
        if self.write_token.is_empty() { &self.read_token } else { &self.write_token }
    }

    /// Where a command on the same machine reaches the daemon that listens at `http.listen`.
    pub fn base(&self) -> String {
        self.base_at(self.listen)
    }

    /// Likewise, where it listens at `address`: `http://HOST:PORT`, or https.
    pub fn base_at(&self, mut address: SocketAddr) -> String {
        if address.ip().is_unspecified() {
            // "Any address" is one to listen on, and a proxy would be asked for it.
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{}://{address}", self.scheme())
    }

    fn scheme(&self) -> &'static str {
        if self.certificate().is_some() { "https" } else { "http" }
    }
}

/// An address and a port, or a host's name and a port. Of several addresses the first of IPv4, which is there wherever
/// IPv6 is switched off.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let found = text.to_socket_addrs().ok().and_then(|found| found.min_by_key(SocketAddr::is_ipv6));
    found.ok_or_else(|| {
        serde::de::Error::custom(
            " but must be an address and a port, such as 127.0.0.1:9464 or localhost:9464",
        )
    })
}

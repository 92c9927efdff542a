//! Outgoing HTTP: the one client of the webhook, labels, remote encoders, the hub, the schema registry and the commands.
//!
//! It follows no redirection by itself: a redirected POST would become a GET, and a secret would go to another host.
//! A proxy is taken from the environment (`HTTPS_PROXY`, `NO_PROXY`), but never for the loopback.

use std::fmt::{self, Write as _};
use std::io::{ErrorKind, Read as _};
use std::net::IpAddr;
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

pub use ureq::Body;
pub use ureq::http;

#[cfg(feature = "https")]
mod known;

#[cfg(feature = "https")]
pub use self::known::CertificateError;
use crate::built::Without;

/// How long it may take to find a host and to connect to it.
const CONNECT: Duration = Duration::from_secs(10);

/// An exchange that failed. Holds no address: it may carry a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no answer: no connection, a broken one, or too late.
    #[error("no answer")]
    NoAnswer(#[source] ureq::Error),
    /// The answer broke off, or came too slowly.
    #[error("the answer broke off")]
    BrokeOff(#[source] std::io::Error),
    /// The answer is longer than the caller takes.
    #[error("the answer is longer than {0} bytes")]
    TooLong(u64),
    /// The answer was no success.
    #[error("the answer was {0}")]
    Status(StatusCode),
    /// The answer is not the JSON that it should be.
    #[error("the answer is not the expected JSON")]
    NoJson(#[source] serde_json::Error),
    /// The thread that made the exchange is gone.
    #[error("the exchange was ended from inside")]
    Ended,
}

/// What went wrong in an exchange, as far as somebody can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody is there.
    Away,
    /// Somebody is there, and takes too long.
    Late,
    /// The other side speaks no TLS, or cannot show who it is.
    Tls,
    /// Anything else.
    Other,
}

impl Error {
    /// What went wrong.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::NoAnswer(ureq::Error::HostNotFound | ureq::Error::ConnectionFailed) => Trouble::Away,
            Self::NoAnswer(ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve)) => {
                Trouble::Away
            }
            Self::NoAnswer(ureq::Error::Timeout(_)) => Trouble::Late,
            #[cfg(feature = "https")]
            Self::NoAnswer(ureq::Error::Rustls(_)) => Trouble::Tls,
            Self::NoAnswer(ureq::Error::Io(error)) | Self::BrokeOff(error) => of_io(error),
            _ => Trouble::Other,
        }
    }
}

fn of_io(error: &std::io::Error) -> Trouble {
    #[cfg(feature = "https")]
    if error.get_ref().and_then(|inner| inner.downcast_ref::<tokio_rustls::rustls::Error>()).is_some() {
        return Trouble::Tls;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Trouble::Away
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Trouble::Late,
        _ => Trouble::Other,
    }
}

/// An address that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not an address of HTTP.
    #[error("it is no address of `http` or `https` with a host")]
    NoAddress,
    /// An address of https, and no TLS in this binary.
    #[error(transparent)]
    NoTls(#[from] Without),
}

/// Where a request may go.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(http::Uri);

impl Address {
    /// `text` as an address: `http` or `https`, with a host.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let uri: http::Uri = text.parse().map_err(|_| AddressError::NoAddress)?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(AddressError::NoAddress);
        }
        match uri.scheme_str() {
            Some("http") => Ok(Self(uri)),
            Some("https") if cfg!(feature = "https") => Ok(Self(uri)),
            Some("https") => Err(Without("https").into()),
            _ => Err(AddressError::NoAddress),
        }
    }

    /// The host's name, without the port.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// The same host and path with these pairs as the query.
    pub fn with_query(&self, pairs: &[(&str, &str)]) -> Result<Self, AddressError> {
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{}={}", percent(key), percent(value))).collect();
        let base = self.0.to_string();
        Self::parse(&if pairs.is_empty() { base } else { format!("{base}?{}", pairs.join("&")) })
    }

    /// Scheme, host and port, as a redirection may change them.
    pub fn origin(&self) -> String {
        let authority = self.0.authority().map_or("", http::uri::Authority::as_str);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{}://{host}", self.0.scheme_str().unwrap_or("http"))
    }

    fn is_loopback(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Address {
    /// Without what may be a secret: user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.0.path())
    }
}

impl fmt::Debug for Address {
    /// The path of a webhook is a secret too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

/// `text` as part of a path or a query: any byte that has a meaning there as `%XX`.
pub fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut written, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _never_fails = write!(written, "%{byte:02X}");
        }
        written
    })
}

/// `Authorization: Bearer …`, which no log shows; `None` if no header can carry the token.
pub fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A POST of JSON.
pub fn post_json(body: &serde_json::Value) -> Request<Vec<u8>> {
    let mut request = Request::new(body.to_string().into_bytes());
    *request.method_mut() = http::Method::POST;
    request.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// For the whole exchange.
    Whole(Duration),
    /// For each step, and for each read of a long answer.
    Step(Duration),
}

/// Makes requests. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client(ureq::Agent);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; of an answer that is no success only the start, if it is long.
    pub body: Vec<u8>,
}

impl Client {
    /// A client; opens no connection.
    pub fn new(patience: Patience) -> Self {
        Self(config(patience).new_agent())
    }

    /// Likewise; also trusts whoever shows the first certificate in `pem`.
    ///
    /// # Errors
    /// There is none in it.
    #[cfg(feature = "https")]
    pub fn trusting(patience: Patience, pem: &[u8]) -> Result<Self, CertificateError> {
        use ureq::unversioned::resolver::DefaultResolver;
        use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
        let connector = ConnectProxyConnector::default().chain(TcpConnector::default());
        let connector = connector.chain(known::TlsConnector::trusting(pem)?);
        Ok(Self(ureq::Agent::with_parts(config(patience), connector, DefaultResolver::default())))
    }

    /// Sends `request` to `address` and returns with the answer's head. Blocks.
    pub fn open(&self, address: &Address, request: Request<Vec<u8>>) -> Result<Response<Body>, Error> {
        let (mut parts, body) = request.into_parts();
        parts.uri = address.0.clone();
        let sent = if body.is_empty() && parts.method == http::Method::GET {
            self.run(address, Request::from_parts(parts, ()))
        } else {
            self.run(address, Request::from_parts(parts, body))
        };
        sent.map_err(Error::NoAnswer)
    }

    fn run(
        &self,
        address: &Address,
        request: Request<impl ureq::AsSendBody>,
    ) -> Result<Response<Body>, ureq::Error> {
        if address.is_loopback() {
            let request = self.0.configure_request(request).proxy(None).build();
            return self.0.run(request);
        }
        self.0.run(request)
    }

    /// Sends `request` and takes the whole answer, of `most` bytes at most. Blocks.
    pub fn exchange(&self, address: &Address, request: Request<Vec<u8>>, most: u64) -> Result<Answer, Error> {
        let (head, mut body) = self.open(address, request)?.into_parts();
        let mut bytes = Vec::new();
        body.as_reader().take(most + 1).read_to_end(&mut bytes).map_err(Error::BrokeOff)?;
        if bytes.len() as u64 > most {
            if head.status.is_success() {
                return Err(Error::TooLong(most));
            }
            bytes.truncate(most as usize);
        }
        Ok(Answer { status: head.status, headers: head.headers, body: bytes })
    }

    /// The same on a thread that may block. When the future is dropped, the exchange ends by itself, in its time.
    pub async fn exchange_aside(
        &self,
        address: &Address,
        request: Request<Vec<u8>>,
        most: u64,
    ) -> Result<Answer, Error> {
        let (client, address) = (self.clone(), address.clone());
        let exchange = move || client.exchange(&address, request, most);
        tokio::task::spawn_blocking(exchange).await.unwrap_or(Err(Error::Ended))
    }
}

fn config(patience: Patience) -> ureq::config::Config {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("topicd/", env!("CARGO_PKG_VERSION")));
    let config = match patience {
        Patience::Whole(time) => config.timeout_global(Some(time)),
        Patience::Step(time) => config
            .timeout_resolve(Some(time.min(CONNECT)))
            .timeout_connect(Some(time.min(CONNECT)))
            .timeout_recv_response(Some(time))
            .timeout_per_read(Some(time)),
    };
    #[cfg(feature = "https")]
    let config = config.tls_config(
        // The system's certificates, so that a company's own authority counts.
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build(),
    );
    config.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for wrong in ["", "example.org/hook", "ftp://example.org", "http:///hook", "file:///etc", "http://"] {
            assert!(matches!(Address::parse(wrong), Err(AddressError::NoAddress)), "{wrong}");
        }
        let address = Address::parse("http://[::1]:9464/api/find").unwrap();
        assert!(address.is_loopback() && address.origin() == "http://[::1]:9464");
        let asked = address.with_query(&[("q", "a b&c=ü")]).unwrap();
        assert_eq!(asked.0.to_string(), "http://[::1]:9464/api/find?q=a%20b%26c%3D%C3%BC");
        assert!(!Address::parse("http://127.0.0.1.example.org/").unwrap().is_loopback());
        assert_eq!(Address::parse("https://example.org").is_ok(), cfg!(feature = "https"));
    }

    #[test]
    fn a_token_is_not_shown() {
        let address = Address::parse("http://user:hush@host:80/v1?key=hush").unwrap();
        assert_eq!(address.to_string(), "http://host:80/v1");
        assert_eq!(format!("{address:?}"), "http://host:80");
        assert!(!format!("{:?}", bearer("hush").unwrap()).contains("hush"));
        assert!(bearer("two\nlines").is_none());
    }
}

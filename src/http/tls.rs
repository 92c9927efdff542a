//! TLS: how the daemon shows who it is, and keeps others from listening.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use super::problem;
use crate::client::{Client, Patience};

/// The first byte of each connection with TLS.
const HANDSHAKE: u8 = 22;

/// A certificate with its key, ready for connections.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    /// The chain, in PEM.
    chain: Arc<[u8]>,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read; the cause names it.
    #[error("the file of `http.{key}` cannot be read; let topicd read it, or name another")]
    Read {
        /// The key that names it.
        key: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file is no PEM, or holds something else.
    #[error("the file of `http.{key}` holds no {what} in PEM; name one that does")]
    Pem {
        /// The key that names it.
        key: &'static str,
        /// What it must hold.
        what: &'static str,
        /// What the parser says.
        source: PemError,
    },
    /// The two don't fit, or are of a kind that is not known.
    #[error(
        "`http.tls_certificate` and `http.tls_key` cannot be used together; name the two files of one pair"
    )]
    Pair(#[source] tokio_rustls::rustls::Error),
}

impl Tls {
    /// Reads the chain in `certificate` and its key in `key`.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path, key| fs_err::read(path).map_err(|source| TlsError::Read { key, source });
        let pem = |key, what| move |source| TlsError::Pem { key, what, source };
        let pem_chain = read(certificate, "tls_certificate")?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem_chain).collect();
        let chain =
            chain.and_then(|chain| if chain.is_empty() { Err(PemError::NoItemsFound) } else { Ok(chain) });
        let chain = chain.map_err(pem("tls_certificate", "certificate"))?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(key, "tls_key")?).map_err(pem("tls_key", "private key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let acceptor = TlsAcceptor::from(Arc::new(config.map_err(TlsError::Pair)?));
        Ok(Self { acceptor, chain: pem_chain.into() })
    }

    /// `stream` once both sides have shaken hands. Who speaks no TLS is told so.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let mut first = [HANDSHAKE];
        stream.peek(&mut first).await?;
        if first != [HANDSHAKE] {
            let why = "this daemon speaks TLS here; write https:// in place of http://";
            stream.write_all(&problem::on_the_wire(StatusCode::BAD_REQUEST, why)).await?;
            stream.shutdown().await?;
        }
        self.acceptor.accept(stream).await
    }

    /// A client that trusts this certificate: that of another node with the same one.
    pub(super) fn client(&self, patience: Patience) -> Client {
        Client::trusting(patience, &self.chain).unwrap_or_else(|_| Client::new(patience))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

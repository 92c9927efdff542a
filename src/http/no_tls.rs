//! What stands in the place of TLS in a binary without it.
#![expect(clippy::unused_async, reason = "the signatures are those of the room that this one stands for")]

use std::path::Path;

use tokio::net::TcpStream;

use crate::built::Without;
use crate::client::{Client, Patience};

/// There is none.
#[derive(Debug, Clone)]
pub enum Tls {}

/// Why certificate and key cannot be used.
pub type TlsError = Without;

impl Tls {
    /// Refuses.
    pub fn read(_certificate: &Path, _key: &Path) -> Result<Self, TlsError> {
        Err(Without("https"))
    }

    pub(super) async fn accept(&self, _stream: TcpStream) -> std::io::Result<TcpStream> {
        match *self {}
    }

    pub(super) fn client(&self, _patience: Patience) -> Client {
        match *self {}
    }
}

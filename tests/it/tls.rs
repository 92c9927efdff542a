//! TLS: the daemon shows its certificate, commands trust it, and a new pair of files comes into force while it runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

use crate::stopping::asked;
use crate::topicd::{Daemon, Home, documents, wait_for};

fn fixture(name: &str) -> Vec<u8> {
    fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http").join(name)).unwrap()
}

/// The pair `name` becomes the daemon's.
fn install(home: &Home, certificate: &str, key: &str) {
    fs_err::write(home.path("tls.crt"), fixture(certificate)).unwrap();
    fs_err::write(home.path("tls.key"), fixture(key)).unwrap();
}

fn home() -> Home {
    let home = Home::new(&documents(20)).set("http.tls_certificate=tls.crt").set("http.tls_key=tls.key");
    install(&home, "one.crt", "one.key");
    home
}

/// Lets everybody pass, and remembers who it was.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<u8>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the daemon, and the certificate that it showed.
fn connect(daemon: &Daemon) -> (Connection, Vec<u8>) {
    let address = daemon.base.trim_start_matches("https://");
    let seen = Arc::new(Seen::default());
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "topicd.test".try_into().unwrap()).unwrap();
    let mut connection = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    alive(&mut connection);
    let certificate = seen.0.lock().unwrap().clone();
    (connection, certificate)
}

/// Asks over a connection that stays open.
fn alive(connection: &mut Connection) {
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

fn der(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(&fixture(name)).unwrap().to_vec()
}

#[test]
fn commands_trust_the_daemons_own_certificate() {
    let home = home();
    let daemon = home.start();
    assert!(daemon.base.starts_with("https://127.0.0.1:"), "{}", daemon.base);
    // By what the daemon left beside its state, and by its address.
    wait_for("the documents", || {
        let topics: serde_json::Value = serde_json::from_str(&home.good(&["topics", "--json"])).unwrap();
        (topics["documents"] == 20).then_some(())
    });
    home.good(&["topics", "--url", &daemon.base]);
    let port = daemon.base.rsplit_once(':').unwrap().1;
    let mut check = home.command(&["check", "--ready"]);
    assert!(check.args(["--set", &format!("http.listen=127.0.0.1:{port}")]).status().unwrap().success());
    // Whoever shows another one is not trusted.
    fs_err::write(home.path("other.crt"), fixture("two.crt")).unwrap();
    let mut stranger = home.command(&["topics", "--url", &daemon.base]);
    let output = stranger.args(["--set", "http.tls_certificate=other.crt"]).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && why.contains("http.tls_certificate"), "{why}");
    // Whoever speaks no TLS hears so.
    let address = daemon.base.trim_start_matches("https://");
    let (status, body) = asked(address, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(status == "400" && body.contains("https://"), "{status} {body}");
    let output = home.run(&["topics", "--url", &format!("http://{address}")]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.contains("write https://"), "{why}");
}

#[test]
fn a_new_pair_of_files_comes_into_force_and_no_connection_breaks() {
    let home = home();
    let daemon = home.start();
    let (mut old, certificate) = connect(&daemon);
    assert_eq!(certificate, der("one.crt"));
    // A pair that is no pair changes nothing.
    install(&home, "two.crt", "one.key");
    let (mut order, _) = connect(&daemon);
    order
        .write_all(
            b"POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
              Content-Length: 2\r\nConnection: close\r\n\r\n{}",
        )
        .unwrap();
    let mut refused = String::new();
    order.read_to_string(&mut refused).unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 422 ") && refused.contains("name the two files of one pair"),
        "{refused}"
    );
    assert_eq!(connect(&daemon).1, der("one.crt"));
    alive(&mut old);
    install(&home, "two.crt", "two.key");
    wait_for("the new certificate", || (connect(&daemon).1 == der("two.crt")).then_some(()));
    alive(&mut old);
}

#[test]
fn a_broken_pair_is_refused_at_the_start() {
    let home = home();
    for (certificate, key, expected) in [
        ("two.crt", "one.key", "name the two files of one pair"),
        ("one.key", "one.key", "`http.tls_certificate` holds no certificate"),
        ("one.crt", "one.crt", "`http.tls_key` holds no private key"),
    ] {
        install(&home, certificate, key);
        let run = home.run(&["run", "--exit-at-end"]);
        let why = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && why.contains(expected), "{why}");
        let check = home.run(&["check"]);
        let why = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(!check.status.success() && why.contains(expected), "{why}");
    }
    fs_err::remove_file(home.path("tls.key")).unwrap();
    let run = home.run(&["run", "--exit-at-end"]);
    let why = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(why.contains("`http.tls_key` cannot be read") && why.contains("tls.key"), "{why}");
}

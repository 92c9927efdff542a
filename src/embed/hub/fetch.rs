//! One file of a model from the hub: resumed where it broke off, and checked.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Session, Watch, file_name};
use crate::client::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use crate::client::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use crate::client::{self, Address, Body, percent};
use crate::embed::{Error, identity::feed};

/// Redirections of one request: from the hub to where it stores.
const MOST_REDIRECTIONS: usize = 5;
/// The checksum of a large file, which is stored elsewhere.
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");

impl Session {
    /// The answer to a GET from byte `from` on, after redirections, and the headers of the hub's own answer.
    pub(super) fn get(
        &self,
        address: &Address,
        from: Option<u64>,
    ) -> Result<(HeaderMap, Response<Body>), client::Error> {
        let mut address = address.clone();
        let mut told = None;
        for _ in 0..=MOST_REDIRECTIONS {
            let mut request = Request::new(Vec::new());
            let range = from.and_then(|from| HeaderValue::from_str(&format!("bytes={from}-")).ok());
            request.headers_mut().extend(range.map(|range| (RANGE, range)));
            // The token is the hub's; a store that the hub redirects to has its own in the address.
            let token = self.token.clone().filter(|_| address.origin() == origin(&self.hub));
            request.headers_mut().extend(token.map(|token| (AUTHORIZATION, token)));
            let response = self.client.open(&address, request)?;
            let told = told.get_or_insert_with(|| response.headers().clone());
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.filter(|_| response.status().is_redirection()).map(|location| {
                let absolute =
                    if location.starts_with('/') { address.origin() + location } else { location.to_owned() };
                Address::parse(&absolute)
            });
            match next {
                Some(Ok(next)) => address = next,
                Some(Err(_)) => return Err(client::Error::Status(response.status())),
                None => return Ok((told.clone(), response)),
            }
        }
        Err(client::Error::Status(StatusCode::LOOP_DETECTED))
    }

    /// Fetches `file` into `staged`; true if its checksum was told and is right.
    pub(super) fn fetch(&self, file: &str, staged: &Path, watch: &dyn Watch) -> Result<bool, Error> {
        let kept = self.kept.join(file);
        let checked = beside(&kept, "checked");
        if !kept.is_file() {
            let part = beside(&kept, "part");
            if let Some(folder) = kept.parent() {
                fs_err::create_dir_all(folder)?;
            }
            let expected = self.download(file, &part, watch)?;
            if let Some(expected) = &expected {
                self.verify(file, &part, expected)?;
                fs_err::write(&checked, expected)?;
            }
            fs_err::rename(&part, &kept)?;
        }
        let target = staged.join(file);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        // A copy, so that a later failure does not cost this file again.
        if fs_err::hard_link(&kept, &target).is_err() {
            fs_err::copy(&kept, &target)?;
        }
        Ok(checked.is_file())
    }

    /// Throws `part` away if it does not have the checksum `expected`.
    fn verify(&self, file: &str, part: &Path, expected: &str) -> Result<(), Error> {
        let found = if expected.len() == 64 { sha256(part)? } else { git_blob(part)? };
        if found == expected {
            return Ok(());
        }
        fs_err::remove_file(part)?;
        let (name, file, expected) = (self.name.clone(), file.to_owned(), expected.to_owned());
        Err(Error::Checksum { name, file, found, expected })
    }

    /// Fetches what `part` lacks of `file`; the checksum, if the hub tells it.
    fn download(&self, file: &str, part: &Path, watch: &dyn Watch) -> Result<Option<String>, Error> {
        let path: Vec<String> = file.split('/').map(percent).collect();
        let address = self.address(&format!("{}/resolve/{}/{}", self.name, self.commit, path.join("/")))?;
        let failed = self.failed(format!("fetch `{file}`"));
        let mut failures = 0;
        loop {
            match self.attempt(&address, file, part, watch) {
                Ok(told) => return Ok(told),
                Err(Failure::File(error)) => return Err(error.into()),
                // A part that is as long as the file or longer, and not the file.
                Err(Failure::Hub(client::Error::Status(StatusCode::RANGE_NOT_SATISFIABLE)))
                    if length(part) > 0 =>
                {
                    fs_err::remove_file(part)?;
                }
                Err(Failure::Hub(error)) => {
                    failures += 1;
                    if failures > self.retries || !may_pass(&error) {
                        return Err(failed(error));
                    }
                }
            }
        }
    }

    /// One request for what `part` lacks.
    fn attempt(
        &self,
        address: &Address,
        file: &str,
        part: &Path,
        watch: &dyn Watch,
    ) -> Result<Option<String>, Failure> {
        let have = length(part);
        let (told, response) = self.get(address, Some(have))?;
        let status = response.status();
        let resumed = status == StatusCode::PARTIAL_CONTENT;
        if !status.is_success() {
            return Err(client::Error::Status(status).into());
        }
        let have = if resumed { have } else { 0 };
        let whole = size(response.headers(), have);
        let mut out = fs_err::OpenOptions::new().create(true).append(true).open(part)?;
        out.set_len(have)?;
        watch.started(file, whole.unwrap_or_default());
        let (mut body, mut buffer, mut arrived) = (response.into_body(), vec![0; 1 << 16], have);
        let mut reader = body.as_reader();
        loop {
            let read = reader.read(&mut buffer).map_err(client::Error::BrokeOff)?;
            if read == 0 {
                break;
            }
            out.write_all(&buffer[..read])?;
            arrived += read as u64;
            watch.arrived(arrived);
        }
        if whole.is_some_and(|whole| arrived < whole) {
            return Err(client::Error::BrokeOff(io::ErrorKind::UnexpectedEof.into()).into());
        }
        watch.finished();
        Ok(checksum(&told))
    }
}

/// Why an attempt failed.
#[derive(Debug)]
enum Failure {
    /// The hub or the way to it.
    Hub(client::Error),
    /// The disk.
    File(io::Error),
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Hub(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// True if the same request may be answered later.
fn may_pass(error: &client::Error) -> bool {
    match error {
        client::Error::Status(status) => status.is_server_error() || matches!(status.as_u16(), 408 | 429),
        _ => true,
    }
}

fn origin(hub: &str) -> String {
    Address::parse(hub).map(|address| address.origin()).unwrap_or_default()
}

fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |file| file.len())
}

/// `FILE.end`, beside `FILE`.
fn beside(file: &Path, end: &str) -> PathBuf {
    file.with_file_name(format!("{}.{end}", file_name(file)))
}

/// Bytes of the whole file, of whose answer from byte `from` on these are the headers.
fn size(headers: &HeaderMap, from: u64) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let ranged = text(CONTENT_RANGE).and_then(|range| range.rsplit('/').next()?.parse().ok());
    ranged.or_else(|| Some(from + text(CONTENT_LENGTH)?.parse::<u64>().ok()?))
}

/// The file's SHA-256, or SHA-1 as git's, if these headers of the hub's tell one.
fn checksum(told: &HeaderMap) -> Option<String> {
    let etag = told.get(LINKED_ETAG).or_else(|| told.get(ETAG))?.to_str().ok()?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let is_checksum = matches!(etag.len(), 40 | 64) && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_checksum.then(|| etag.to_ascii_lowercase())
}

fn sha256(file: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    feed(&mut hash, file)?;
    Ok(hexadecimal(&hash.finalize()))
}

/// What git calls a file's contents: SHA-1 over `blob LENGTH\0` and the contents.
fn git_blob(file: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    fs_err::File::open(file)?.read_to_end(&mut bytes)?;
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(&bytes);
    Ok(hexadecimal(&hash.finalize()))
}

pub(in crate::embed) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

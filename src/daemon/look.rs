//! What would keep the daemon from starting, seen from outside: nothing is made, changed or held.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::bertopic;
use crate::config::Config;
use crate::daemon::assemble::Error;
use crate::daemon::seeds;
use crate::embed::Embedder;
use crate::store::{self, Identity};
use crate::transport::embedded::{self, OutputFile, Outputs, Source};

/// Each reason for which the daemon would not start with `config` now.
pub fn look(config: &Config) -> Vec<Error> {
    let model = Embedder::look(&config.embed).map_err(Error::from);
    let identity = model.as_ref().ok().and_then(Clone::clone).map(|(encoder, dim)| Identity { encoder, dim });
    let mut refused: Vec<Error> = model.err().into_iter().collect();
    let source = if config.kafka.is_some() { Ok(()) } else { Source::look(&config.source) };
    let seeds = config.seeds.saved().map_or(Ok(()), |folder| bertopic::read::read(folder).map(drop));
    for found in [
        source.map_err(Error::from),
        seeds.map_err(|error| seeds::Error::from(error).into()),
        state(&config.state.directory, identity.as_ref()).map_err(Error::from),
        if config.kafka.is_some() { Ok(()) } else { outputs(config).map_err(Error::from) },
        config.http.door("").map(drop).map_err(Error::from),
        address(config),
    ] {
        refused.extend(found.err());
    }
    refused
}

fn state(directory: &Path, wanted: Option<&Identity>) -> Result<(), store::Error> {
    may_write(directory)
        .map_err(|source| store::Error::Access { directory: directory.to_owned(), source })?;
    store::look::look(directory, wanted)
}

fn outputs(config: &Config) -> Result<(), embedded::Error> {
    let cannot_write = |path: &Path| {
        let path = path.to_owned();
        move |source| embedded::Error::Write { path, source }
    };
    let folder = &config.output.directory;
    may_write(folder).map_err(cannot_write(folder))?;
    Outputs::look(folder)?;
    let is_new = !config.state.directory.join("db").exists();
    let mut names = Vec::new();
    for output in OutputFile::ALL {
        names.extend(output.segments_in(folder)?.into_iter().map(|number| output.segment(number)));
    }
    for path in names.into_iter().map(|name| folder.join(name)) {
        let Ok(metadata) = path.metadata() else { continue };
        if metadata.is_dir() {
            return Err(cannot_write(&path)(ErrorKind::IsADirectory.into()));
        }
        access(&path, Access::WRITE_OK).map_err(|error| cannot_write(&path)(error.into()))?;
        if is_new && metadata.len() > 0 {
            return Err(embedded::Error::OutputUnknown { path, found: metadata.len() });
        }
    }
    Ok(())
}

/// Whether the folder can be written, or made if it is not there.
fn may_write(directory: &Path) -> std::io::Result<()> {
    let whole = std::path::absolute(directory)?;
    let there = whole.ancestors().find(|path| path.exists()).unwrap_or(&whole);
    if !there.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    Ok(access(there, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn address(config: &Config) -> Result<(), Error> {
    let address = config.http.listen;
    TcpListener::bind(address).map(drop).map_err(|source| Error::Listen { address, source })
}

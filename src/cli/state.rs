//! `topicd state`: back up, restore, check.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::cli::running::Running;
use crate::cli::{Settings, print, print_json};
use crate::config::Config;
use crate::store::backup::{self, Contents, Writing};
use crate::store::{self, Store};
use crate::transport::embedded::{OutputFile, Place};

/// Back up the state, restore it, check it.
///
/// Example: topicd state backup /backups/monday
#[derive(Debug, Args)]
pub(super) struct StateCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a backup into a folder, also while the daemon runs
    ///
    /// The stream goes on. The backup is the state after one commit, with the source's position and the lengths of the outputs.
    ///
    /// Example: topicd state backup /backups/monday
    Backup {
        /// The folder; it is made, or is empty
        dir: PathBuf,
    },
    /// Make the state of a backup anew in `state.directory`, which must be empty
    ///
    /// `topicd run` then goes on from there: it cuts the outputs back to what the backup knows of, and reads the source from there on.
    ///
    /// Example: topicd state restore /backups/monday
    Restore {
        /// The folder of the backup
        dir: PathBuf,
    },
    /// Read all of a state or a backup, and say what is wrong with it
    ///
    /// Example: topicd state check /backups/monday
    Check {
        /// The folder of a backup or a state; without it, `state.directory`, also compared with the outputs
        dir: Option<PathBuf>,
    },
}

impl StateCommand {
    /// True if a daemon may answer.
    pub(super) fn asks(&self) -> bool {
        matches!(self.command, Command::Backup { .. })
    }

    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        match self.command {
            Command::Backup { dir } => {
                let contents = back_up(settings, &config, &dir)?;
                report("backed up", &contents, &dir, settings)?;
            }
            Command::Restore { dir } => {
                let contents = backup::restore(&dir, &config.state.directory)?;
                report("restored", &contents, &config.state.directory, settings)?;
            }
            Command::Check { dir } => return check(&config, dir, settings),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn back_up(settings: &Settings, config: &Config, dir: &Path) -> anyhow::Result<Contents> {
    if let Some(url) = &settings.url {
        return back_up_from(&Running::at(url, config)?, dir);
    }
    let failed = || format!("the backup in `{}` cannot be written", dir.display());
    match Store::open_existing(&config.state.directory, config.bounds.seen) {
        Ok((store, _)) => {
            let mut writing = Writing::begin(dir)?;
            for piece in store.backup()? {
                writing.write_all(&piece?).with_context(failed)?;
            }
            Ok(writing.end()?)
        }
        Err(store::Error::Locked { .. }) => back_up_from(&Running::of(config)?, dir),
        Err(error) => Err(error.into()),
    }
}

fn back_up_from(running: &Running, dir: &Path) -> anyhow::Result<Contents> {
    let mut writing = Writing::begin(dir)?;
    running.save("v1/state/backup", &mut writing)?;
    Ok(writing.end()?)
}

fn report(done: &str, contents: &Contents, place: &Path, settings: &Settings) -> anyhow::Result<()> {
    let Contents { identity, documents, version, bytes, .. } = contents;
    if settings.json {
        return print_json(&json!({
            "folder": place, "encoder": identity.encoder, "documents": documents, "version": version, "bytes": bytes,
        }));
    }
    print(&format!("{done}: {documents} documents, version {version}, in `{}`\n", place.display()))
}

/// What a check came to.
struct Findings {
    documents: u64,
    version: u64,
    faults: Vec<String>,
    /// What is no fault, but good to know.
    notes: Vec<String>,
}

fn check(config: &Config, dir: Option<PathBuf>, settings: &Settings) -> anyhow::Result<ExitCode> {
    let place = dir.clone().unwrap_or_else(|| config.state.directory.clone());
    let findings = match dir {
        Some(dir) if backup::is_in(&dir) => {
            let trial = Trial::new();
            backup::restore(&dir, &trial.0)?;
            look(config, &trial.0)?.0
        }
        Some(dir) => look(config, &dir)?.0,
        None => {
            let (mut findings, checkpoint) = look(config, &config.state.directory)?;
            if config.kafka.is_none() {
                compare(&config.output.directory, &checkpoint, &mut findings);
            }
            findings
        }
    };
    let Findings { documents, version, faults, notes } = &findings;
    if settings.json {
        print_json(&json!({
            "folder": place, "documents": documents, "version": version, "faults": faults, "notes": notes,
        }))?;
    } else {
        let mut lines: Vec<String> = faults.iter().chain(notes).cloned().collect();
        lines.push(if faults.is_empty() {
            format!("all is well: {documents} documents, version {version}, in `{}`", place.display())
        } else {
            "restore a backup with `topicd state restore`, or move the folders of state and outputs away to start \
             afresh"
                .to_owned()
        });
        print(&(lines.join("\n") + "\n"))?;
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads all of the state in `directory`.
fn look(config: &Config, directory: &Path) -> anyhow::Result<(Findings, Checkpoint)> {
    let (store, identity) = match Store::open_existing(directory, config.bounds.seen) {
        Err(store::Error::Locked { .. }) => bail!(
            "state `{}` is in use by a running daemon; make a backup with `topicd state backup DIR`, and check that with \
             `topicd state check DIR`",
            directory.display()
        ),
        opened => opened?,
    };
    let (state, checkpoint) = store.load(identity.dim, config.bounds)?;
    state.model()?;
    let totals = state.totals();
    let faults = store.faults(&state)?;
    let findings =
        Findings { documents: totals.documents, version: totals.version, faults, notes: Vec::new() };
    Ok((findings, checkpoint))
}

/// Whether the outputs are those of the state.
fn compare(directory: &Path, recorded: &Checkpoint, findings: &mut Findings) {
    for output in OutputFile::ALL {
        let Place { segment, length: recorded } = output.place(recorded).unwrap_or_default();
        let path = directory.join(output.segment(segment));
        let found = std::fs::metadata(&path).map_or(0, |file| file.len());
        let path = path.display();
        if found < recorded {
            findings.notes.push(format!(
                "`{path}` is {found} bytes long, but {recorded} are recorded: it was moved, removed or cut; the next \
                 start goes on in a new file"
            ));
        } else if found > recorded {
            let more = found - recorded;
            findings.notes.push(format!(
                "`{path}` is {more} bytes longer than recorded; the next start cuts them off and writes them again"
            ));
        }
    }
}

/// A folder in which a backup is tried out.
struct Trial(PathBuf);

impl Trial {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("topicd-check-{:016x}", rand::random::<u64>())))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Not made yet, if the backup is damaged.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

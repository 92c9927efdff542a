//! What a user may set: the embedded `config/topicd.toml`, a file, the environment and `--set`, one over the other.
//!
//! - `schema` is `config/topicd.toml` itself: it says which keys there are and of which type;
//! - `layers` reads what was given, each value with the place it came from;
//! - `secrets` puts what a file holds in the place of the key that names it;
//! - `sections` gives every section a type, `check` judges it by its room's own `check()`;
//! - [`Mistake`] is what is wrong with one key; all are found before any is reported.
//!
//! A new key is one line in `config/topicd.toml` and one field in its section's type.

mod check;
mod layers;
mod mistake;
mod reload;
mod schema;
mod secrets;
mod sections;

use std::path::{Path, PathBuf};

pub use check::Config;
pub use mistake::{Mistake, Mistakes, Origin};
pub use reload::is_reloaded;
pub use sections::{Http, SeedTopic, Seeds, State};

/// `config/topicd.toml`: every key with its default, its unit and what it does.
pub const DEFAULTS: &str = include_str!("../../config/topicd.toml");

/// What was given beside the defaults; of two values for one key the later layer's counts.
#[derive(Debug, Clone, Default)]
pub struct Layers<'a> {
    /// The user's TOML file.
    pub file: Option<&'a Path>,
    /// Variables of the environment; those that don't start with `TOPICD_` are none of ours.
    pub environment: Vec<(String, String)>,
    /// `section.key=value`, as after `--set`.
    pub overrides: &'a [String],
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`; name another with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Some keys are wrong; all of them.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// Lays `file`, the environment of this process and `overrides` (`section.key=value`) over the defaults.
///
/// # Errors
/// As [`load_layers`].
pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Config, Error> {
    load_layers(&Layers { file, environment: environment(), overrides })
}

/// The variables of this process's environment; what is not UTF-8 in them is replaced.
fn environment() -> Vec<(String, String)> {
    let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Lays `layers` over the defaults and checks every key.
///
/// # Errors
/// [`Error::Mistakes`] with every mistake in every layer; [`Error::Read`] if the file is not there.
pub fn load_layers(layers: &Layers<'_>) -> Result<Config, Error> {
    let schema = schema::Schema::embedded()?;
    let mut mistakes = Vec::new();
    let mut given = Vec::new();
    let mut files = Vec::new();
    if let Some(path) = layers.file {
        let text =
            fs_err::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        given.extend(layers::from_file(path, &text, &schema, &mut mistakes));
        files.push(path.to_owned());
    }
    given.extend(layers::from_environment(&layers.environment, &schema, &mut mistakes));
    given.extend(layers::from_overrides(layers.overrides, &schema, &mut mistakes));
    secrets::resolve(&schema, &mut given, &mut files, &mut mistakes);
    let config = check::check(&schema, &given, files, &mut mistakes);
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes(mistakes).into()),
    }
}

#[cfg(test)]
mod tests;

//! The log: one line an event, to standard error.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How much is logged and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A level, or levels by module: `info,topicd::pipeline=debug`.
    pub level: String,
    /// How a line is written.
    pub format: Format,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Params {
    fn default() -> Self {
        Self { level: "info,ort=warn".into(), format: Format::Text }
    }
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is none.
    #[error(
        "`level` is \"{level}\" but must be error, warn, info, debug or trace, or one for each module; \
         for example \"info,topicd::pipeline=debug\""
    )]
    Level {
        /// As given.
        level: String,
    },
    /// Another log has been set up in this process.
    #[error("the log is set up already; set it up once, at the door")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Parameters that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked(Params);

impl Params {
    /// These parameters, if the level can be read.
    ///
    /// # Errors
    /// [`Error::Level`].
    pub fn check(self) -> Result<Checked, Error> {
        let unknown = |directive: &str| {
            let level = directive.rsplit('=').next().unwrap_or_default();
            level.trim().is_empty() || level.trim().parse::<LevelFilter>().is_err()
        };
        if self.level.split(',').any(unknown) || self.level.parse::<EnvFilter>().is_err() {
            return Err(Error::Level { level: self.level });
        }
        Ok(Checked(self))
    }
}

/// Sends every event of this process to standard error from now on.
///
/// # Errors
/// [`Error::Twice`], and [`Error::Level`] never for what has been checked.
pub fn init(Checked(params): &Checked) -> Result<(), Error> {
    let level = &params.level;
    let filter = level.parse::<EnvFilter>().map_err(|_| Error::Level { level: level.clone() })?;
    // A line that cannot be written is lost; telling so on the same standard error would end the process.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match params.format {
        Format::Text => lines.with_target(false).finish().try_init()?,
        Format::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked_before_they_are_used() {
        let check = |level: &str| Params { level: level.into(), ..Params::default() }.check();
        for level in ["info", "WARN", "off", "info,topicd::pipeline=debug", "topicd=trace"] {
            assert!(check(level).is_ok(), "{level}");
        }
        for level in ["", "loud", "info,topicd=loud", "info,,"] {
            assert!(check(level).unwrap_err().to_string().contains(level), "{level}");
        }
    }
}

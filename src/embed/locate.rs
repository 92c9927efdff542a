//! Where set-up puts the runtime and the models, and where else a user may keep them.

use std::{
    env,
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use super::Error;

/// `$TOPICD_CACHE`, else `~/.cache/topicd`: the folder that `topicd setup` fills. `None` without a home.
pub fn cache() -> Option<PathBuf> {
    let given = env::var_os("TOPICD_CACHE").filter(|path| !path.is_empty()).map(PathBuf::from);
    given.or_else(|| env::home_dir().map(|home| home.join(".cache/topicd")))
}

/// Where the cache has the model `name`, `NAME` or `OWNER/NAME`; `None` for anything else, or without a home.
pub fn cached_model(name: &Path) -> Option<PathBuf> {
    let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    let is_name = plain && (1..=2).contains(&name.components().count());
    cache().map(|cache| cache.join("models").join(name)).filter(|_| is_name)
}

/// The model's folder: `model` as it stands, or, for a name that is no folder here, `models/NAME` in the cache.
pub(super) fn model(model: &Path) -> Result<PathBuf, Error> {
    if model.is_dir() {
        return Ok(model.to_path_buf());
    }
    let cached = cached_model(model);
    match cached {
        Some(path) if path.is_dir() => Ok(path),
        other => Err(Error::NoModel { model: model.to_path_buf(), cached: other }),
    }
}

/// The folder of ONNX Runtime that came in one package with this executable; `None` without such a package.
pub fn packaged_runtime() -> Option<PathBuf> {
    beside(&env::current_exe().ok()?)
}

/// `PREFIX/lib/topicd/onnxruntime` for the executable `PREFIX/bin/topicd`, if it is there.
fn beside(executable: &Path) -> Option<PathBuf> {
    let folder = executable.parent()?.parent()?.join("lib/topicd/onnxruntime");
    Some(folder).filter(|folder| folder.is_dir())
}

/// ONNX Runtime's library: `given` (the library or its folder), else `$ORT_DYLIB_PATH`, else the package's, else the
/// cache's.
///
/// # Errors
/// [`Error::NoRuntime`] if there is none.
pub fn onnxruntime(given: Option<&Path>) -> Result<PathBuf, Error> {
    let asked = given.map(Path::to_path_buf);
    let asked =
        asked.or_else(|| env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from));
    let place = asked
        .or_else(packaged_runtime)
        .or_else(|| cache().map(|cache| cache.join("onnxruntime")))
        .unwrap_or_default();
    let found =
        if place.is_dir() { library_in(&place)? } else { Some(place.clone()).filter(|file| file.is_file()) };
    // An absolute path, because the loader tries a relative one next to the executable first.
    found.map(fs_err::canonicalize).transpose()?.ok_or(Error::NoRuntime { place })
}

/// The first of `libonnxruntime.so*` (by name) in `folder`.
fn library_in(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with("libonnxruntime.so") || name == "libonnxruntime.dylib"
    };
    let files =
        fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Error>>()?;
    Ok(files.into_iter().filter(named).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_the_runtime_beside_its_binaries() {
        let prefix = tempfile::tempdir().unwrap();
        let executable = prefix.path().join("bin/topicd");
        assert_eq!(beside(&executable), None);
        let folder = prefix.path().join("lib/topicd/onnxruntime");
        fs_err::create_dir_all(&folder).unwrap();
        assert_eq!(beside(&executable), Some(folder));
    }
}

//! Where set-up puts the runtime and the models, and where else a user may keep them.

use std::{
    env,
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use super::Error;

/// `$TOPICD_CACHE`, else `~/.cache/topicd`: the folder that `deploy/setup` fills. `None` without a home.
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

/// ONNX Runtime's library: `given` (the library or its folder), else `$ORT_DYLIB_PATH`, else the cache's.
pub(super) fn library(given: Option<&Path>) -> Result<PathBuf, Error> {
    let asked = given.map(Path::to_path_buf);
    let asked =
        asked.or_else(|| env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from));
    let place = asked.or_else(|| cache().map(|cache| cache.join("onnxruntime"))).unwrap_or_default();
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

//! ONNX Runtime, loaded once a process, and which of its providers a model runs on.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch},
};

use super::{Error, Precision};

/// The loaded library and its environment. Kept for the life of the process: ONNX Runtime allows one environment, and
/// does not come back once it was given up.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads `library`, or returns the environment if it is loaded already.
///
/// OpenVINO's provider and its libraries must lie in the same folder: each carries `$ORIGIN` as its search path, so
/// nothing has to be set for the loader.
pub(super) fn load(library: &Path) -> Result<Environment, Error> {
    let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &*loaded {
        Some((path, environment)) if path == library => Ok(environment.clone()),
        Some((path, _)) => Err(Error::OtherRuntime { loaded: path.clone(), asked: library.to_path_buf() }),
        None => {
            let builder = ort::init_from(library)
                .map_err(|source| Error::Load { path: library.to_path_buf(), source })?;
            let environment = builder
                .with_name("topicd")
                .with_telemetry(false)
                .build()
                .map_err(|source| Error::Session { path: library.to_path_buf(), source })?;
            *loaded = Some((library.to_path_buf(), environment.clone()));
            Ok(environment)
        }
    }
}

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// OpenVINO's CPU plug-in with bf16 arithmetic.
    OpenVinoBf16,
    /// OpenVINO's CPU plug-in with fp32 arithmetic.
    OpenVinoFp32,
    /// ONNX Runtime's own kernels, fp32.
    Cpu,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenVinoBf16 => "OpenVINO bf16",
            Self::OpenVinoFp32 => "OpenVINO fp32",
            Self::Cpu => "ONNX Runtime fp32",
        })
    }
}

impl Provider {
    /// Those to try for `precision`, the best first; the last one always works.
    pub(super) fn candidates(precision: Precision) -> &'static [Self] {
        match precision {
            Precision::Auto if !multiplies_bf16() => &[Self::OpenVinoFp32, Self::Cpu],
            Precision::Fp32 => &[Self::OpenVinoFp32, Self::Cpu],
            Precision::Auto | Precision::Bf16 => &[Self::OpenVinoBf16, Self::OpenVinoFp32, Self::Cpu],
        }
    }

    /// The provider for `ort`, with `threads` threads; `None` for ONNX Runtime's own.
    pub(super) fn dispatch(self, threads: usize) -> Option<ExecutionProviderDispatch> {
        let hint = match self {
            Self::OpenVinoBf16 => "bf16",
            Self::OpenVinoFp32 => "f32",
            Self::Cpu => return None,
        };
        // The JSON itself: a path to a file, as its documentation says, is refused.
        let config = serde_json::json!({ "CPU": {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads.to_string(),
            "NUM_STREAMS": "1",
        }});
        let provider = ep::OpenVINO::default()
            .with_device_type("CPU")
            .with_dynamic_shapes(true)
            .with_arbitrary_config("load_config", config);
        Some(provider.build().error_on_failure())
    }
}

/// True where bf16 is faster than fp32: AMX, or at least AVX-512's bf16 dot products (every CPU with AMX has both).
fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

//! ONNX Runtime, loaded once a process, and its providers.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, ExecutionProviderDispatch},
};

use super::Error;

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

/// True if the loaded library was built with CUDA; whether the machine has a GPU shows when a model is loaded.
pub(super) fn has_cuda() -> bool {
    ep::CUDA::is_available().unwrap_or(false)
}

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// NVIDIA's CUDA, fp32.
    Cuda,
    /// OpenVINO's CPU plug-in with bf16 arithmetic.
    OpenVinoBf16,
    /// OpenVINO's CPU plug-in with fp32 arithmetic.
    OpenVinoFp32,
    /// ONNX Runtime's own kernels, fp32: what the others are compared with.
    Cpu,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cuda => "CUDA fp32",
            Self::OpenVinoBf16 => "OpenVINO bf16",
            Self::OpenVinoFp32 => "OpenVINO fp32",
            Self::Cpu => "ONNX Runtime fp32",
        })
    }
}

impl Provider {
    /// The provider for `ort`, with `threads` threads; `None` for ONNX Runtime's own.
    pub(super) fn dispatch(self, threads: usize) -> Option<ExecutionProviderDispatch> {
        let hint = match self {
            Self::Cuda => return Some(ep::CUDA::default().build().error_on_failure()),
            Self::OpenVinoBf16 => "bf16",
            Self::OpenVinoFp32 => "f32",
            Self::Cpu => return None,
        };
        // The JSON itself: a path to a file, as its documentation says, is refused.
        let config = serde_json::json!({ "CPU": {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads.to_string(),
            "NUM_STREAMS": "1",
            // Each session counts cores from the first: pinned, two of them would share it.
            "ENABLE_CPU_PINNING": "NO",
        }});
        let provider = ep::OpenVINO::default()
            .with_device_type("CPU")
            .with_dynamic_shapes(true)
            .with_arbitrary_config("load_config", config);
        Some(provider.build().error_on_failure())
    }
}

//! Which model, and how it is run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Error, remote, runtime::Provider};

/// Which model, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// A folder in the Hugging Face layout, the name of one under `models/` in the cache, or with `remote` the name
    /// that the endpoint knows.
    pub model: PathBuf,
    /// ONNX Runtime's library or its folder; by default `$ORT_DYLIB_PATH`, else the cache's.
    pub onnxruntime: Option<PathBuf>,
    /// Tokens of a text that count, special ones included; by default what the model was made for. At least 8.
    pub max_tokens: Option<usize>,
    /// Tokens that a session takes at once, padding counted. At least 1. More is not faster: five texts already fill
    /// the multiplications, larger batches are padded more and end less evenly. Memory grows with it.
    pub batch_tokens: usize,
    /// Threads of inference, shared by sessions that run batches side by side; 0 for all cores.
    pub threads: usize,
    /// What computes.
    pub provider: Choice,
    /// Arithmetic to run in.
    pub precision: Precision,
    /// What becomes of a text that is longer than the model reads.
    pub long_documents: LongDocuments,
    /// Tokens that two neighbouring windows share, at least.
    pub window_overlap: usize,
    /// Windows of one text, at most; what lies behind them is cut. At least 1.
    pub max_windows: usize,
    /// Texts whose embedding is remembered, 4 bytes a dimension each; 0 for none.
    pub cache_texts: usize,
    /// Where embeddings are made in place of this machine.
    pub remote: Option<remote::Params>,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The fastest that the library and the machine have.
    #[default]
    Auto,
    /// OpenVINO's CPU plug-in.
    OpenVino,
    /// ONNX Runtime's own kernels.
    OnnxRuntime,
    /// NVIDIA's CUDA.
    Cuda,
}

/// Arithmetic of inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where the CPU multiplies it in hardware and the runtime knows how, else fp32.
    #[default]
    Auto,
    /// fp32.
    Fp32,
    /// bf16 where the runtime offers it, hardware or not, else fp32.
    Bf16,
}

/// What becomes of a text that is longer than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongDocuments {
    /// Its start is embedded.
    #[default]
    Cut,
    /// Overlapping windows are embedded; the text is the mean of their directions.
    Mean,
    /// Overlapping windows are embedded, and each finds a topic: the text has the best one's, and all the others too.
    MaxSim,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            model: PathBuf::from("all-MiniLM-L6-v2"),
            onnxruntime: None,
            max_tokens: None,
            batch_tokens: 1024,
            threads: 0,
            provider: Choice::Auto,
            precision: Precision::Auto,
            long_documents: LongDocuments::Cut,
            window_overlap: 32,
            max_windows: 16,
            cache_texts: 10_000,
            remote: None,
        }
    }
}

/// [`Params`] whose numbers are in range; only [`Params::check`] makes it.
#[derive(Debug, Clone)]
pub struct Checked(pub(super) Params);

impl Params {
    /// Checks the numbers. Files are looked at by [`Embedder::open`](super::Embedder::open).
    pub fn check(self) -> Result<Checked, Error> {
        let wrong =
            |key, value: usize, expected| Err(Error::Setting { key, value: value.to_string(), expected });
        match self.max_tokens {
            Some(value @ 0..8) => return wrong("max_tokens", value, "at least 8"),
            _ if self.batch_tokens == 0 => return wrong("batch_tokens", 0, "at least 1"),
            _ if self.threads > 1024 => return wrong("threads", self.threads, "at most 1024"),
            _ if self.max_windows == 0 => return wrong("max_windows", 0, "at least 1"),
            _ if self.cache_texts > 100_000_000 => {
                return wrong("cache_texts", self.cache_texts, "at most 100000000");
            }
            _ => {}
        }
        if let Some(remote) = &self.remote {
            remote.check()?;
            if self.long_documents != LongDocuments::Cut {
                return Err(Error::Setting {
                    key: "long_documents",
                    value: "not \"cut\"".to_owned(),
                    expected: "\"cut\" with `embed.remote.url`: only the endpoint knows where its tokens end",
                });
            }
        }
        Ok(Checked(self))
    }
}

impl Params {
    /// Providers to try, the best first; `cuda` says whether the library has it. Where nothing is asked for, the last
    /// one always works.
    pub(super) fn candidates(&self, cuda: bool) -> Vec<Provider> {
        let bf16 = match self.precision {
            Precision::Auto => multiplies_bf16(),
            Precision::Fp32 => false,
            Precision::Bf16 => true,
        };
        let openvino = bf16.then_some(Provider::OpenVinoBf16).into_iter().chain([Provider::OpenVinoFp32]);
        match self.provider {
            Choice::Auto => {
                cuda.then_some(Provider::Cuda).into_iter().chain(openvino).chain([Provider::Cpu]).collect()
            }
            Choice::OpenVino => openvino.collect(),
            Choice::OnnxRuntime => vec![Provider::Cpu],
            Choice::Cuda => vec![Provider::Cuda],
        }
    }

    /// True if provider and precision are left to this room, which then takes another one where the first computes
    /// something else.
    pub(super) fn is_free(&self) -> bool {
        self.provider == Choice::Auto && self.precision == Precision::Auto
    }
}

/// True where bf16 is faster than fp32: AMX, or at least AVX-512's bf16 dot products (every CPU with AMX has both).
fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_provider_is_tried_first_and_a_choice_is_kept() {
        let candidates =
            |provider, precision, cuda| Params { provider, precision, ..Params::default() }.candidates(cuda);
        let [cuda, bf16, fp32, own] =
            [Provider::Cuda, Provider::OpenVinoBf16, Provider::OpenVinoFp32, Provider::Cpu];
        assert_eq!(candidates(Choice::Auto, Precision::Bf16, true), [cuda, bf16, fp32, own]);
        assert_eq!(candidates(Choice::Auto, Precision::Fp32, false), [fp32, own]);
        assert_eq!(candidates(Choice::OpenVino, Precision::Bf16, true), [bf16, fp32]);
        assert_eq!(candidates(Choice::OnnxRuntime, Precision::Auto, true), [own]);
        assert_eq!(candidates(Choice::Cuda, Precision::Auto, false), [cuda]);
        let auto = candidates(Choice::Auto, Precision::Auto, false);
        assert_eq!(auto.contains(&bf16), multiplies_bf16());
    }
}

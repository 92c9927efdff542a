//! A model's folder in the layout of Hugging Face and sentence-transformers: what the model wants is read, not asked for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::Error;

/// What a model folder says about its model.
///
/// Whether the model ends in a `Normalize` module is not kept: rows always leave this room with length 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// `onnx/model.onnx` or `model.onnx` in it.
    pub onnx: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// How token vectors become one vector.
    pub pooling: Pooling,
    /// Length of an embedding.
    pub dim: usize,
    /// Tokens that the model was made for; the default where nothing else is configured.
    pub max_tokens: usize,
    /// Tokens that the model has positions for: more can't be asked.
    pub positions: usize,
    /// Put before each text: the default prompt, empty for most models.
    pub prompt: String,
}

/// How a sentence-transformer makes one vector of its token vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token's vector.
    Cls,
    /// The largest value in each dimension.
    Max,
    /// The last token's vector.
    Last,
}

#[derive(Deserialize)]
struct Config {
    hidden_size: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    model_type: String,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    r#type: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize, Default)]
struct PoolingConfig {
    word_embedding_dimension: Option<usize>,
    include_prompt: Option<bool>,
    /// `pooling_mode_…`, true or false each.
    #[serde(flatten)]
    modes: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptConfig {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

impl Folder {
    /// Reads the configuration files of `path`; the weights and the tokenizer are only looked for.
    ///
    /// A missing `config.json`, `tokenizer.json` or ONNX file is an error that names it; the sentence-transformers'
    /// own files may be absent and then mean what they mean there (mean pooling, no prompt, all positions).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let config: Config = required(&path.join("config.json"))?;
        let onnx = [path.join("onnx/model.onnx"), path.join("model.onnx")];
        let onnx = onnx.iter().find(|file| file.is_file()).unwrap_or(&onnx[0]).clone();
        let tokenizer = path.join("tokenizer.json");
        fs_err::metadata(&onnx)?;
        fs_err::metadata(&tokenizer)?;

        let prompt = default_prompt(path)?;
        let (pooling, pooled) = pooling(path, &prompt)?;
        // RoBERTa's kin count positions from the padding id + 1.
        let reserved = if config.model_type.contains("roberta") { 2 } else { 0 };
        let positions = config.max_position_embeddings.saturating_sub(reserved);
        let sentence: Option<SentenceConfig> = optional(&path.join("sentence_bert_config.json"))?;
        let max_tokens = sentence.and_then(|it| it.max_seq_length).unwrap_or(positions).min(positions);
        Ok(Self {
            dim: pooled.unwrap_or(config.hidden_size),
            path: path.to_path_buf(),
            onnx,
            tokenizer,
            pooling,
            max_tokens,
            positions,
            prompt,
        })
    }
}

/// The pooling that `modules.json` leads to, and the dimension that its file names.
fn pooling(path: &Path, prompt: &str) -> Result<(Pooling, Option<usize>), Error> {
    let modules_file = path.join("modules.json");
    let modules: Vec<Module> = optional(&modules_file)?.unwrap_or_default();
    let mut found = None;
    let mut file = modules_file.clone();
    for module in modules {
        match module.r#type.rsplit('.').next().unwrap_or_default() {
            "Transformer" | "Normalize" => {}
            "Pooling" => {
                file = path.join(module.path).join("config.json");
                found = Some(required(&file)?);
            }
            _ => {
                return Err(Error::Model {
                    path: modules_file,
                    key: "type".to_owned(),
                    found: format!("`{}`", module.r#type),
                    expected: "Transformer, Pooling or Normalize".to_owned(),
                });
            }
        }
    }
    // What sentence-transformers does with a folder that is a plain transformer.
    let Some(found): Option<PoolingConfig> = found else { return Ok((Pooling::Mean, None)) };
    if !prompt.is_empty() && found.include_prompt == Some(false) {
        return Err(Error::Model {
            path: file,
            key: "include_prompt".to_owned(),
            found: "false".to_owned(),
            expected: "true for a model with a prompt".to_owned(),
        });
    }
    Ok((found.mode(&file)?, found.word_embedding_dimension))
}

impl PoolingConfig {
    fn mode(&self, file: &Path) -> Result<Pooling, Error> {
        let chosen = self.modes.iter().filter(|(_, value)| **value == true);
        let chosen: Vec<&str> = chosen.filter_map(|(key, _)| key.strip_prefix("pooling_mode_")).collect();
        match chosen[..] {
            ["cls_token"] => Ok(Pooling::Cls),
            ["max_tokens"] => Ok(Pooling::Max),
            ["lasttoken"] => Ok(Pooling::Last),
            // Dividing by √n instead of n changes a vector's length only, and every row gets length 1.
            ["mean_tokens" | "mean_sqrt_len_tokens"] => Ok(Pooling::Mean),
            _ => Err(Error::Model {
                path: file.to_path_buf(),
                key: "pooling_mode".to_owned(),
                found: if chosen.is_empty() { "not set".to_owned() } else { chosen.join(" and ") },
                expected: "exactly one of cls_token, mean_tokens, max_tokens or lasttoken".to_owned(),
            }),
        }
    }
}

fn default_prompt(path: &Path) -> Result<String, Error> {
    let file = path.join("config_sentence_transformers.json");
    let config: PromptConfig = optional(&file)?.unwrap_or_default();
    let Some(name) = config.default_prompt_name else { return Ok(String::new()) };
    match config.prompts.get(&name) {
        Some(prompt) => Ok(prompt.clone().unwrap_or_default()),
        None => Err(Error::Model {
            path: file,
            key: "default_prompt_name".to_owned(),
            found: format!("`{name}`"),
            expected: format!("one of the prompts {:?}", config.prompts.keys().collect::<Vec<_>>()),
        }),
    }
}

fn required<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs_err::read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_path_buf(), source })
}

fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    if path.exists() { required(path).map(Some) } else { Ok(None) }
}

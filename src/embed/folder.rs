//! A model's folder in the layout of Hugging Face and sentence-transformers: what the model wants is read, not asked for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::Error;

/// A model's folder by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// An encoder in ONNX.
    Encoder(Folder),
    /// A table of token vectors.
    Static(StaticFolder),
}

/// What a folder says about its encoder.
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
    /// What is put before texts.
    pub prompts: Prompts,
    /// Every file that an embedding depends on.
    pub files: Vec<PathBuf>,
}

/// What a folder says about its table of token vectors: model2vec's layout, or sentence-transformers'
/// `StaticEmbedding`.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticFolder {
    /// The folder.
    pub path: PathBuf,
    /// `model.safetensors`.
    pub weights: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// Tokens of a text that count; the package's default is 512.
    pub max_tokens: usize,
    /// What is put before texts.
    pub prompts: Prompts,
    /// Every file that an embedding depends on.
    pub files: Vec<PathBuf>,
}

/// What is put before texts, as the model was trained; empty for most models.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompts {
    /// Before a document: `passage: ` for e5.
    pub document: String,
    /// Before a question about documents: `query: ` for e5.
    pub query: String,
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
    #[serde(alias = "dim")]
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

#[derive(Deserialize, Default)]
#[serde(default)]
struct StaticConfig {
    model_type: String,
    max_length: Option<usize>,
}

/// Names of the prompt for documents, the first that a model has counts, as in sentence-transformers.
const DOCUMENT_PROMPTS: [&str; 3] = ["document", "passage", "corpus"];
/// Tokens that count for a static model whose configuration is silent.
const STATIC_TOKENS: usize = 512;

impl Layout {
    /// Reads the configuration files of `path`; weights and tokenizer are only looked for.
    ///
    /// A missing `config.json`, `tokenizer.json` or file of weights is an error that names it; the
    /// sentence-transformers' own files may be absent and then mean what they mean there (mean pooling, no prompt, all
    /// positions).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let modules: Vec<Module> = optional(&path.join("modules.json"))?.unwrap_or_default();
        let table = modules.iter().find(|module| module.kind() == "StaticEmbedding");
        let config: StaticConfig = optional(&path.join("config.json"))?.unwrap_or_default();
        match table {
            Some(module) => StaticFolder::read(path, &path.join(&module.path), &config).map(Self::Static),
            None if config.model_type == "model2vec" => {
                StaticFolder::read(path, path, &config).map(Self::Static)
            }
            None => Folder::read(path, modules).map(Self::Encoder),
        }
    }
}

impl StaticFolder {
    fn read(path: &Path, inner: &Path, config: &StaticConfig) -> Result<Self, Error> {
        let (weights, tokenizer) = (inner.join("model.safetensors"), inner.join("tokenizer.json"));
        fs_err::metadata(&weights)?;
        fs_err::metadata(&tokenizer)?;
        let max_tokens = config.max_length.filter(|most| *most > 0).unwrap_or(STATIC_TOKENS);
        let (prompts, prompt_file) = prompts(path)?;
        let settings = ["config.json", "modules.json"].map(|name| path.join(name));
        let files = settings.into_iter().chain(prompt_file).filter(|file| file.is_file());
        let files = files.chain([weights.clone(), tokenizer.clone()]).collect();
        Ok(Self { path: path.to_path_buf(), weights, tokenizer, max_tokens, prompts, files })
    }
}

impl Folder {
    fn read(path: &Path, modules: Vec<Module>) -> Result<Self, Error> {
        let config: Config = required(&path.join("config.json"))?;
        let onnx = onnx_file(path)?;
        let tokenizer = path.join("tokenizer.json");
        fs_err::metadata(&tokenizer)?;

        let (prompts, prompt_file) = prompts(path)?;
        let (pooling, pooled, pooling_file) = pooling(path, modules, &prompts)?;
        // RoBERTa's and MPNet's kin count positions from the padding id + 1.
        let after_padding =
            ["roberta", "camembert", "mpnet"].iter().any(|kin| config.model_type.contains(kin));
        let reserved = if after_padding { 2 } else { 0 };
        let positions = config.max_position_embeddings.saturating_sub(reserved);
        let sentence_file = path.join("sentence_bert_config.json");
        let sentence: Option<SentenceConfig> = optional(&sentence_file)?;
        let max_tokens = sentence.and_then(|it| it.max_seq_length).unwrap_or(positions).min(positions);
        let settings = ["config.json", "modules.json"].map(|name| path.join(name));
        let external = onnx.with_file_name("model.onnx_data");
        let files =
            settings.into_iter().chain([sentence_file, external]).chain(prompt_file).chain(pooling_file);
        let files = files.filter(|file| file.is_file()).chain([onnx.clone(), tokenizer.clone()]).collect();
        Ok(Self {
            dim: pooled.unwrap_or(config.hidden_size),
            path: path.to_path_buf(),
            onnx,
            tokenizer,
            pooling,
            max_tokens,
            positions,
            prompts,
            files,
        })
    }
}

impl Module {
    /// The class without its package.
    fn kind(&self) -> &str {
        self.r#type.rsplit('.').next().unwrap_or_default()
    }
}

/// `onnx/model.onnx` or `model.onnx`.
fn onnx_file(path: &Path) -> Result<PathBuf, Error> {
    let places = [path.join("onnx/model.onnx"), path.join("model.onnx")];
    if let Some(onnx) = places.iter().find(|file| file.is_file()) {
        return Ok(onnx.clone());
    }
    let [onnx, _] = places;
    let weights = path.join("model.safetensors");
    if weights.is_file() {
        return Err(Error::NoOnnx { folder: path.to_path_buf(), onnx, weights });
    }
    fs_err::metadata(&onnx)?;
    Ok(onnx)
}

/// The pooling that `modules.json` leads to, the dimension that its file names, and the file.
fn pooling(
    path: &Path,
    modules: Vec<Module>,
    prompts: &Prompts,
) -> Result<(Pooling, Option<usize>, Option<PathBuf>), Error> {
    let mut found = None;
    for module in modules {
        match module.kind() {
            "Transformer" | "Normalize" => {}
            "Pooling" => {
                let file = path.join(&module.path).join("config.json");
                found = Some((required::<PoolingConfig>(&file)?, file));
            }
            _ => {
                return Err(Error::Model {
                    path: path.join("modules.json"),
                    key: "type".to_owned(),
                    found: format!("`{}`", module.r#type),
                    expected: "Transformer, Pooling, Normalize or StaticEmbedding".to_owned(),
                });
            }
        }
    }
    // What sentence-transformers does with a folder that is a plain transformer.
    let Some((found, file)) = found else { return Ok((Pooling::Mean, None, None)) };
    if *prompts != Prompts::default() && found.include_prompt == Some(false) {
        return Err(Error::Model {
            path: file,
            key: "include_prompt".to_owned(),
            found: "false".to_owned(),
            expected: "true for a model with a prompt".to_owned(),
        });
    }
    Ok((found.mode(&file)?, found.word_embedding_dimension, Some(file)))
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

/// What `config_sentence_transformers.json` says of prompts, and the file if it is there.
fn prompts(path: &Path) -> Result<(Prompts, Option<PathBuf>), Error> {
    let file = path.join("config_sentence_transformers.json");
    let Some(config) = optional::<PromptConfig>(&file)? else { return Ok((Prompts::default(), None)) };
    let named = |name: &str| config.prompts.get(name).map(|prompt| prompt.clone().unwrap_or_default());
    let default = match &config.default_prompt_name {
        None => String::new(),
        Some(name) => named(name).ok_or_else(|| Error::Model {
            path: file.clone(),
            key: "default_prompt_name".to_owned(),
            found: format!("`{name}`"),
            expected: format!("one of the prompts {:?}", config.prompts.keys().collect::<Vec<_>>()),
        })?,
    };
    let given = |prompt: Option<String>| prompt.filter(|prompt| !prompt.is_empty());
    let document = given(DOCUMENT_PROMPTS.into_iter().find_map(named)).unwrap_or_else(|| default.clone());
    let query = given(named("query")).unwrap_or(default);
    Ok((Prompts { document, query }, Some(file)))
}

fn required<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs_err::read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_path_buf(), source })
}

fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    if path.exists() { required(path).map(Some) } else { Ok(None) }
}

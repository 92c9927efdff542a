//! The families of encoders: they differ in the names of their tensors, in where positions start, and in MPNet's
//! relative positions.

use std::path::Path;

use serde::Deserialize;

use crate::embed::Error;

/// What has to be written down of a model.
pub(super) struct Plan {
    /// Before the tensors' names, if the file was made from a model with a head.
    pub(super) prefix: &'static str,
    /// Length of a token's vector.
    pub(super) hidden: usize,
    /// Heads of attention.
    pub(super) heads: usize,
    /// Layers.
    pub(super) layers: usize,
    /// Added to a variance before its root is taken.
    pub(super) epsilon: f32,
    /// Row of the table of positions that belongs to the first token.
    pub(super) first_position: usize,
    /// Rows of the table of positions.
    pub(super) positions: usize,
    /// Whether there is a table of token types.
    pub(super) types: bool,
    /// The function between the two layers of the feed-forward part.
    pub(super) activation: Activation,
    /// Buckets of relative positions, where attention has a bias for each.
    pub(super) buckets: Option<usize>,
    /// What a layer's tensors are called.
    pub(super) names: fn(usize) -> Names,
}

/// The function between the two layers of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x/2 · (1 + erf(x / √2)).
    Gelu,
    /// max(x, 0).
    Relu,
}

/// The names of a layer's tensors, without `.weight` and `.bias`.
pub(super) struct Names {
    pub(super) layer: String,
    pub(super) query: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) joined: String,
    pub(super) attention_norm: String,
    pub(super) wide: String,
    pub(super) narrow: String,
    pub(super) output_norm: String,
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f32,
    #[serde(alias = "activation", default = "default_activation")]
    hidden_act: String,
    #[serde(default = "default_positions")]
    position_embedding_type: String,
    pad_token_id: Option<usize>,
    #[serde(default = "default_buckets")]
    relative_attention_num_buckets: usize,
}

fn default_epsilon() -> f32 {
    1e-12
}

fn default_activation() -> String {
    "gelu".to_owned()
}

fn default_positions() -> String {
    "absolute".to_owned()
}

fn default_buckets() -> usize {
    32
}

impl Plan {
    /// Reads the plan out of `config.json`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs_err::read(path)?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Json { path: path.to_path_buf(), source })?;
        let misfit = |key: &str, found: &str, expected: &str| Error::Model {
            path: path.to_path_buf(),
            key: key.to_owned(),
            found: format!("`{found}`"),
            expected: expected.to_owned(),
        };
        let activation = match config.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "relu" => Activation::Relu,
            other => return Err(misfit("hidden_act", other, "`gelu` or `relu`")),
        };
        if config.position_embedding_type != "absolute" {
            return Err(misfit("position_embedding_type", &config.position_embedding_type, "`absolute`"));
        }
        if config.num_attention_heads == 0 || !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let heads = config.num_attention_heads.to_string();
            return Err(misfit("num_attention_heads", &heads, "a divisor of `hidden_size`"));
        }
        // RoBERTa's kin count positions from the padding id + 1.
        let after_padding = config.pad_token_id.unwrap_or(1) + 1;
        let (prefix, names, first_position, types): (_, fn(usize) -> Names, _, _) =
            match config.model_type.as_str() {
                "bert" => ("bert.", Names::bert, 0, true),
                "roberta" | "xlm-roberta" | "camembert" => ("roberta.", Names::bert, after_padding, true),
                "distilbert" => ("distilbert.", Names::distilbert, 0, false),
                "mpnet" => ("mpnet.", Names::mpnet, after_padding, false),
                other => {
                    let known = "`bert`, `roberta`, `xlm-roberta`, `camembert`, `distilbert` or `mpnet`";
                    return Err(misfit("model_type", other, known));
                }
            };
        Ok(Self {
            prefix,
            hidden: config.hidden_size,
            heads: config.num_attention_heads,
            layers: config.num_hidden_layers,
            epsilon: config.layer_norm_eps,
            first_position,
            positions: config.max_position_embeddings,
            types,
            activation,
            buckets: (config.model_type == "mpnet").then_some(config.relative_attention_num_buckets),
            names,
        })
    }
}

impl Names {
    fn bert(layer: usize) -> Self {
        let layer = format!("encoder.layer.{layer}");
        Self {
            query: format!("{layer}.attention.self.query"),
            key: format!("{layer}.attention.self.key"),
            value: format!("{layer}.attention.self.value"),
            joined: format!("{layer}.attention.output.dense"),
            attention_norm: format!("{layer}.attention.output.LayerNorm"),
            wide: format!("{layer}.intermediate.dense"),
            narrow: format!("{layer}.output.dense"),
            output_norm: format!("{layer}.output.LayerNorm"),
            layer,
        }
    }

    fn mpnet(layer: usize) -> Self {
        let bert = Self::bert(layer);
        let attention = format!("{}.attention", bert.layer);
        Self {
            query: format!("{attention}.attn.q"),
            key: format!("{attention}.attn.k"),
            value: format!("{attention}.attn.v"),
            joined: format!("{attention}.attn.o"),
            attention_norm: format!("{attention}.LayerNorm"),
            ..bert
        }
    }

    fn distilbert(layer: usize) -> Self {
        let layer = format!("transformer.layer.{layer}");
        Self {
            query: format!("{layer}.attention.q_lin"),
            key: format!("{layer}.attention.k_lin"),
            value: format!("{layer}.attention.v_lin"),
            joined: format!("{layer}.attention.out_lin"),
            attention_norm: format!("{layer}.sa_layer_norm"),
            wide: format!("{layer}.ffn.lin1"),
            narrow: format!("{layer}.ffn.lin2"),
            output_norm: format!("{layer}.output_layer_norm"),
            layer,
        }
    }
}

//! An encoder written down node by node.
//!
//! Source: `BertModel` and its kin in the package `transformers`; for BERT the very file that `deploy/export_onnx.py`
//! writes, byte for byte.

use super::{
    family::{Activation, Names, Plan},
    onnx::{AttributeProto, FLOAT, Graph, INT64, ModelProto, ValueInfoProto},
    weights::{Raw, Weights},
};
use crate::embed::Error;

/// Distance beyond which MPNet's relative positions share a bucket.
const FARTHEST: f32 = 128.0;

/// What is being written down.
pub(super) struct Encoder<'a> {
    plan: &'a Plan,
    weights: Weights<'a>,
    graph: Graph,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(plan: &'a Plan, weights: Weights<'a>) -> Self {
        Self { plan, weights, graph: Graph::default() }
    }

    /// The whole model.
    pub(super) fn model(mut self) -> Result<ModelProto, Error> {
        let Plan { hidden, heads, layers, names, .. } = *self.plan;
        let mut x = self.embeddings()?;
        let mask = self.mask()?;
        self.graph.ints("heads", &[0, 0, heads as i64, (hidden / heads) as i64]);
        self.graph.ints("hidden", &[0, 0, hidden as i64]);
        self.graph.scalar("root_two", std::f64::consts::SQRT_2 as f32);
        self.graph.scalar("half", 0.5);
        for layer in 0..layers {
            x = self.layer(&x, &mask, &names(layer))?;
        }
        self.graph.node("Identity", &[&x], "last_hidden_state", Vec::new());
        let types = self.plan.types.then_some("token_type_ids");
        let inputs = ["input_ids", "attention_mask"].into_iter().chain(types);
        let inputs = inputs.map(|name| ValueInfoProto::tensor(name, INT64, None)).collect();
        let output = ValueInfoProto::tensor("last_hidden_state", FLOAT, Some(hidden));
        Ok(self.graph.model(inputs, vec![output]))
    }

    fn table(&mut self, name: &str) -> Result<String, Error> {
        let Raw { dims, bytes } = self.weights.get(name)?;
        Ok(self.graph.floats(name, &dims, bytes))
    }

    fn node(&mut self, op: &str, inputs: &[&str], name: &str) -> String {
        self.graph.node(op, inputs, name, Vec::new())
    }

    fn linear(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let weight = format!("{name}.weight");
        let Raw { dims, bytes } = self.weights.transposed(&weight)?;
        let weight = self.graph.floats(&weight, &dims, bytes);
        let product = self.node("MatMul", &[x, &weight], &format!("{name}.product"));
        let bias = self.table(&format!("{name}.bias"))?;
        Ok(self.node("Add", &[&product, &bias], name))
    }

    fn norm(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let (scale, bias) = (self.table(&format!("{name}.weight"))?, self.table(&format!("{name}.bias"))?);
        let attributes =
            vec![AttributeProto::int("axis", -1), AttributeProto::float("epsilon", self.plan.epsilon)];
        Ok(self.graph.node("LayerNormalization", &[x, &scale, &bias], name, attributes))
    }

    fn embeddings(&mut self) -> Result<String, Error> {
        let words = self.table("embeddings.word_embeddings.weight")?;
        let words = self.node("Gather", &[&words, "input_ids"], "words");
        let types = if self.plan.types {
            let types = self.table("embeddings.token_type_embeddings.weight")?;
            Some(self.node("Gather", &[&types, "token_type_ids"], "types"))
        } else {
            None
        };
        // The first rows of the table, not Gather(table, Range(sequence)): ONNX Runtime's embedding fusion turns that
        // into a Slice which it then refuses ("Starts must be a 1-D array").
        let span = vec![AttributeProto::int("start", 1), AttributeProto::int("end", 2)];
        let length = self.graph.node("Shape", &["input_ids"], "length", span);
        let table = self.table("embeddings.position_embeddings.weight")?;
        let first = self.graph.ints("zero", &[self.plan.first_position as i64]);
        let last = match self.plan.first_position {
            0 => length,
            _ => self.node("Add", &[&length, &first], "last"),
        };
        let positions = self.node("Slice", &[&table, &first, &last], "positions");
        let x = match types {
            Some(types) => self.node("Add", &[&words, &types], "words_types"),
            None => words,
        };
        let x = self.node("Add", &[&x, &positions], "embedded");
        self.norm(&x, "embeddings.LayerNorm")
    }

    /// 0 where there is a token, -10000 where there is padding: e^-10000 is 0, and no infinity meets bf16.
    fn mask(&mut self) -> Result<String, Error> {
        let to_float = vec![AttributeProto::int("to", i64::from(FLOAT))];
        let kept = self.graph.node("Cast", &["attention_mask"], "mask.kept", to_float);
        let one = self.graph.scalar("one", 1.0);
        let padded = self.node("Sub", &[&one, &kept], "mask.padded");
        let far = self.graph.scalar("far", -10_000.0);
        let scores = self.node("Mul", &[&padded, &far], "mask.scores");
        let axes = self.graph.ints("mask.axes", &[1, 2]);
        let mask = self.node("Unsqueeze", &[&scores, &axes], "mask");
        match self.plan.buckets {
            None => Ok(mask),
            Some(buckets) => self.relative(&mask, buckets),
        }
    }

    /// `mask` and MPNet's bias for each head and distance between two tokens.
    ///
    /// The bias depends on weights and distances only, so it is written down for all positions and cut to the length
    /// when the model runs.
    fn relative(&mut self, mask: &str, buckets: usize) -> Result<String, Error> {
        let heads = self.plan.heads;
        let length = self.plan.positions.saturating_sub(self.plan.first_position);
        let name = "encoder.relative_attention_bias.weight";
        let (rows, columns, values) = self.weights.matrix(name)?;
        if (rows, columns) != (buckets, heads) {
            return Err(self.weights.misfit(name, &[rows, columns], &[buckets, heads]));
        }
        let mut bytes = Vec::with_capacity(4 * heads * length * length);
        for head in 0..heads {
            for from in 0..length as i64 {
                for to in 0..length as i64 {
                    let value = values[bucket(to - from, buckets) * heads + head];
                    bytes.extend(value.to_le_bytes());
                }
            }
        }
        let bias = self.graph.floats("relative", &[1, heads, length, length], bytes);
        let starts = self.graph.ints("relative.starts", &[0, 0]);
        let axes = self.graph.ints("relative.axes", &[2, 3]);
        let axis = vec![AttributeProto::int("axis", 0)];
        let ends = self.graph.node("Concat", &["length", "length"], "relative.ends", axis);
        let bias = self.node("Slice", &[&bias, &starts, &ends, &axes], "relative.bias");
        Ok(self.node("Add", &[mask, &bias], "relative.mask"))
    }

    /// One part of attention, by heads: `order` is the permutation of batch, token, head and width.
    fn split(&mut self, x: &str, linear: &str, part: &str, order: &[i64]) -> Result<String, Error> {
        let projected = self.linear(x, linear)?;
        let shaped = self.node("Reshape", &[&projected, "heads"], &format!("{part}.split"));
        let order = vec![AttributeProto::ints("perm", order)];
        Ok(self.graph.node("Transpose", &[&shaped], &format!("{part}.heads"), order))
    }

    fn attention(&mut self, x: &str, mask: &str, names: &Names) -> Result<String, Error> {
        let name = format!("{}.attention", names.layer);
        let query = self.split(x, &names.query, &format!("{name}.query"), &[0, 2, 1, 3])?;
        let key = self.split(x, &names.key, &format!("{name}.key"), &[0, 2, 3, 1])?;
        let value = self.split(x, &names.value, &format!("{name}.value"), &[0, 2, 1, 3])?;
        let dots = self.node("MatMul", &[&query, &key], &format!("{name}.dots"));
        let width = self.plan.hidden / self.plan.heads;
        let root = self.graph.scalar(&format!("{name}.root"), (width as f64).sqrt() as f32);
        let scaled = self.node("Div", &[&dots, &root], &format!("{name}.scaled"));
        let masked = self.node("Add", &[&scaled, mask], &format!("{name}.masked"));
        let last = vec![AttributeProto::int("axis", -1)];
        let shares = self.graph.node("Softmax", &[&masked], &format!("{name}.shares"), last);
        let mixed = self.node("MatMul", &[&shares, &value], &format!("{name}.mixed"));
        let back = vec![AttributeProto::ints("perm", &[0, 2, 1, 3])];
        let joined = self.graph.node("Transpose", &[&mixed], &format!("{name}.joined"), back);
        let flat = self.node("Reshape", &[&joined, "hidden"], &format!("{name}.flat"));
        let out = self.linear(&flat, &names.joined)?;
        let sum = self.node("Add", &[&out, x], &format!("{name}.residual"));
        self.norm(&sum, &names.attention_norm)
    }

    /// x/2 · (1 + erf(x / √2)) in the order that runtimes recognise and fuse.
    fn activation(&mut self, x: &str, name: &str) -> String {
        if self.plan.activation == Activation::Relu {
            return self.node("Relu", &[x], &format!("{name}.relu"));
        }
        let scaled = self.node("Div", &[x, "root_two"], &format!("{name}.scaled"));
        let erf = self.node("Erf", &[&scaled], &format!("{name}.erf"));
        let gate = self.node("Add", &[&erf, "one"], &format!("{name}.gate"));
        let gated = self.node("Mul", &[x, &gate], &format!("{name}.gated"));
        self.node("Mul", &[&gated, "half"], &format!("{name}.gelu"))
    }

    fn layer(&mut self, x: &str, mask: &str, names: &Names) -> Result<String, Error> {
        let x = self.attention(x, mask, names)?;
        let wide = self.linear(&x, &names.wide)?;
        let wide = self.activation(&wide, &format!("{}.intermediate", names.layer));
        let out = self.linear(&wide, &names.narrow)?;
        let sum = self.node("Add", &[&out, &x], &format!("{}.residual", names.layer));
        self.norm(&sum, &names.output_norm)
    }
}

/// The bucket of a distance, as `MPNetEncoder.relative_position_bucket` has it: half of the buckets for each
/// direction, half of those for single distances and the rest on a logarithmic scale.
fn bucket(distance: i64, buckets: usize) -> usize {
    let half = buckets / 2;
    let exact = half / 2;
    let far = distance.unsigned_abs() as usize;
    let within = if far < exact {
        far
    } else {
        // In f32, as there: at some distances f64 would come to the next bucket.
        let scale = (far as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln();
        (exact + (scale * (half - exact) as f32) as usize).min(half - 1)
    };
    if distance > 0 { half + within } else { within }
}

"""Writes the fp32 ONNX graph of a BERT encoder from its safetensors weights.

    python3 export_onnx.py MODEL_DIR

Reads MODEL_DIR/config.json and MODEL_DIR/model.safetensors, writes MODEL_DIR/onnx/model.onnx with the inputs
`input_ids`, `attention_mask`, `token_type_ids` (batch x sequence, int64) and the output `last_hidden_state`
(batch x sequence x hidden, float32). Opset 17, both leading dimensions dynamic.

Standard library only, and the same bytes on every machine: set-up pins the checksum of what it writes. ONNX is a
protobuf message and safetensors a JSON header before raw numbers, so both fit on this page and nothing is installed.
"""

import array
import json
import math
import pathlib
import struct
import sys

FLOAT, INT64 = 1, 7  # TensorProto.DataType


# Protobuf, the three wire types that ONNX needs.

def varint(value):
    value &= (1 << 64) - 1  # negative int64s are written as ten bytes
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(field, value):
    return varint(field << 3) + varint(value)


def block(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def number(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


# ONNX messages; the field numbers are those of onnx.proto.

def attribute(name, value):
    if isinstance(value, int):
        return block(1, name) + integer(3, value) + integer(20, 2)
    if isinstance(value, float):
        return block(1, name) + number(2, value) + integer(20, 1)
    return block(1, name) + b"".join(integer(8, each) for each in value) + integer(20, 7)


def tensor(name, kind, dims, raw):
    return b"".join(integer(1, dim) for dim in dims) + integer(2, kind) + block(8, name) + block(9, raw)


def value_info(name, kind, dims):
    shape = b"".join(block(1, integer(1, dim) if isinstance(dim, int) else block(2, dim)) for dim in dims)
    return block(1, name) + block(2, block(1, integer(1, kind) + block(2, shape)))


class Graph:
    """Collects nodes and initializers; every method returns the name of the value that it made."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def floats(self, name, dims, raw):
        self.initializers.append(tensor(name, FLOAT, dims, raw))
        return name

    def ints(self, name, values):
        self.initializers.append(tensor(name, INT64, [len(values)], struct.pack(f"<{len(values)}q", *values)))
        return name

    def scalar(self, name, value):
        return self.floats(name, [], struct.pack("<f", value))

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(
            b"".join(block(1, each) for each in inputs)
            + block(2, output)
            + block(3, output)
            + block(4, op)
            + b"".join(block(5, attribute(*each)) for each in attributes.items())
        )
        return output

    def model(self, inputs, outputs):
        graph = (
            b"".join(block(1, each) for each in self.nodes)
            + block(2, "bert")
            + b"".join(block(5, each) for each in self.initializers)
            + b"".join(block(11, value_info(*each)) for each in inputs)
            + b"".join(block(12, value_info(*each)) for each in outputs)
        )
        return integer(1, 8) + block(2, "topicd") + block(7, graph) + block(8, block(1, "") + integer(2, 17))


class Weights:
    """A safetensors file: u64 length, JSON header, then the numbers."""

    def __init__(self, path):
        self.bytes = path.read_bytes()
        (length,) = struct.unpack_from("<Q", self.bytes)
        self.start = 8 + length
        header = json.loads(self.bytes[8 : self.start])
        header.pop("__metadata__", None)
        self.header = {name.removeprefix("bert."): entry for name, entry in header.items()}

    def get(self, name):
        entry = self.header[name]
        if entry["dtype"] != "F32":
            sys.exit(f"{name} is {entry['dtype']} but must be F32")
        begin, end = entry["data_offsets"]
        return entry["shape"], self.bytes[self.start + begin : self.start + end]

    def transposed(self, name):
        """A linear layer is kept as output x input; MatMul wants input x output."""
        (rows, columns), raw = self.get(name)
        values = array.array("f")
        values.frombytes(raw)
        turned = array.array("f")
        for column in range(columns):
            turned.extend(values[column::columns])
        return [columns, rows], turned.tobytes()


class Bert:
    """The encoder, written down layer by layer as in `transformers`' BertModel."""

    def __init__(self, config, weights):
        for key, wanted in (("model_type", "bert"), ("hidden_act", "gelu")):
            if config.get(key) != wanted:
                sys.exit(f"config.json: {key} is {config.get(key)!r} but only {wanted!r} can be exported")
        if config.get("position_embedding_type", "absolute") != "absolute":
            sys.exit("config.json: position_embedding_type must be 'absolute'")
        self.config, self.weights, self.graph = config, weights, Graph()

    def table(self, name):
        return self.graph.floats(name, *self.weights.get(name))

    def linear(self, x, name):
        weight = self.graph.floats(f"{name}.weight", *self.weights.transposed(f"{name}.weight"))
        product = self.graph.node("MatMul", [x, weight], f"{name}.product")
        return self.graph.node("Add", [product, self.table(f"{name}.bias")], name)

    def norm(self, x, name):
        scale, bias = self.table(f"{name}.weight"), self.table(f"{name}.bias")
        return self.graph.node(
            "LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=float(self.config["layer_norm_eps"])
        )

    def embeddings(self):
        graph = self.graph
        words = graph.node("Gather", [self.table("embeddings.word_embeddings.weight"), "input_ids"], "words")
        types = graph.node("Gather", [self.table("embeddings.token_type_embeddings.weight"), "token_type_ids"], "types")
        # The first rows of the table, not Gather(table, Range(sequence)): ONNX Runtime's embedding fusion turns that
        # into a Slice which it then refuses ("Starts must be a 1-D array").
        length = graph.node("Shape", ["input_ids"], "length", start=1, end=2)
        table = self.table("embeddings.position_embeddings.weight")
        positions = graph.node("Slice", [table, graph.ints("zero", [0]), length], "positions")
        x = graph.node("Add", [graph.node("Add", [words, types], "words_types"), positions], "embedded")
        return self.norm(x, "embeddings.LayerNorm")

    def mask(self):
        """0 where there is a token, -10000 where there is padding: e^-10000 is 0, and no infinity meets bf16."""
        graph = self.graph
        kept = graph.node("Cast", ["attention_mask"], "mask.kept", to=FLOAT)
        padded = graph.node("Sub", [graph.scalar("one", 1.0), kept], "mask.padded")
        scores = graph.node("Mul", [padded, graph.scalar("far", -10000.0)], "mask.scores")
        return graph.node("Unsqueeze", [scores, graph.ints("mask.axes", [1, 2])], "mask")

    def attention(self, x, mask, name):
        graph, heads = self.graph, self.config["num_attention_heads"]
        width = self.config["hidden_size"] // heads

        def split(part, order):
            projected = self.linear(x, f"{name}.self.{part}")
            shaped = graph.node("Reshape", [projected, "heads"], f"{name}.{part}.split")
            return graph.node("Transpose", [shaped], f"{name}.{part}.heads", perm=order)

        query, key = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])
        value = split("value", [0, 2, 1, 3])
        dots = graph.node("MatMul", [query, key], f"{name}.dots")
        root = graph.scalar(f"{name}.root", math.sqrt(width))
        scaled = graph.node("Div", [dots, root], f"{name}.scaled")
        masked = graph.node("Add", [scaled, mask], f"{name}.masked")
        shares = graph.node("Softmax", [masked], f"{name}.shares", axis=-1)
        mixed = graph.node("MatMul", [shares, value], f"{name}.mixed")
        joined = graph.node("Transpose", [mixed], f"{name}.joined", perm=[0, 2, 1, 3])
        flat = graph.node("Reshape", [joined, "hidden"], f"{name}.flat")
        out = self.linear(flat, f"{name}.output.dense")
        return self.norm(graph.node("Add", [out, x], f"{name}.residual"), f"{name}.output.LayerNorm")

    def gelu(self, x, name):
        """x/2 * (1 + erf(x / sqrt 2)), in the order that runtimes recognise and fuse."""
        graph = self.graph
        erf = graph.node("Erf", [graph.node("Div", [x, "root_two"], f"{name}.scaled")], f"{name}.erf")
        gate = graph.node("Add", [erf, "one"], f"{name}.gate")
        return graph.node("Mul", [graph.node("Mul", [x, gate], f"{name}.gated"), "half"], f"{name}.gelu")

    def layer(self, x, mask, name):
        x = self.attention(x, mask, f"{name}.attention")
        wide = self.gelu(self.linear(x, f"{name}.intermediate.dense"), f"{name}.intermediate")
        out = self.linear(wide, f"{name}.output.dense")
        return self.norm(self.graph.node("Add", [out, x], f"{name}.residual"), f"{name}.output.LayerNorm")

    def export(self):
        graph, hidden = self.graph, self.config["hidden_size"]
        heads = self.config["num_attention_heads"]
        x, mask = self.embeddings(), self.mask()
        graph.ints("heads", [0, 0, heads, hidden // heads])
        graph.ints("hidden", [0, 0, hidden])
        graph.scalar("root_two", math.sqrt(2.0))
        graph.scalar("half", 0.5)
        for index in range(self.config["num_hidden_layers"]):
            x = self.layer(x, mask, f"encoder.layer.{index}")
        graph.node("Identity", [x], "last_hidden_state")
        ids = ["batch", "sequence"]
        inputs = [(name, INT64, ids) for name in ("input_ids", "attention_mask", "token_type_ids")]
        return graph.model(inputs, [("last_hidden_state", FLOAT, [*ids, hidden])])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Bert(config, Weights(folder / "model.safetensors")).export()
    target = folder / "onnx" / "model.onnx"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(model)


if __name__ == "__main__":
    main()

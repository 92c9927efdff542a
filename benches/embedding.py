"""Times topicd and its peers in turn on the same texts; `benches/embedding` starts it. One JSON object a line.

throughput: the programs take turns, `--rounds` times; medians. latency: documents that arrive at random at 10, 50 and
90 % of what the daemon does. burst: the peak memory of the daemon on 10,000 and on 100,000 documents.
"""

import argparse
import gzip
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).parent.parent
PLACES = [parent / "shared/data/acl-abstracts.jsonl.gz" for parent in ROOT.resolve().parents]


class Python:
    """The sentence-transformers pipeline: ONNX Runtime fp32, batches of 32 sorted by length, mean pooling."""

    def __init__(self, folder):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(str(folder / "onnx/model.onnx"), options, ["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    def embed(self, texts):
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda at: -len(encoded[at]))
        rows = numpy.zeros((len(texts), 384), "f4")
        for first in range(0, len(texts), 32):
            batch = order[first : first + 32]
            width = len(encoded[batch[0]])
            ids, mask = numpy.zeros((len(batch), width), "i8"), numpy.zeros((len(batch), width), "i8")
            for row, at in enumerate(batch):
                ids[row, : len(encoded[at])] = encoded[at]
                mask[row, : len(encoded[at])] = 1
            fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
            (vectors,) = self.session.run(None, fed)
            pooled = (vectors * mask[..., None]).sum(1) / mask.sum(1)[:, None]
            rows[batch] = pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)
        return rows


def texts(count):
    data = next((place for place in PLACES if place.exists()), None)
    if data is None:
        sys.exit("there is no ../shared/data; nothing to measure with")
    with gzip.open(data, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for at, line in zip(range(20_000 + count), file) if at >= 20_000]
    return [line["text"] for line in lines]


def write(folder, name, documents):
    path = folder / name
    with path.open("w", encoding="utf-8") as file:
        for at, text in enumerate(documents):
            file.write(json.dumps({"id": str(at), "text": text}) + "\n")
    return path


def topicd(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def say(**facts):
    print(json.dumps(facts), flush=True)


def throughput(program, folder, count, rounds):
    documents = texts(count)
    file, rows_file = write(folder, "texts.jsonl", documents), folder / "rows.f4"
    python = Python(pathlib.Path.home() / ".cache/topicd/models/all-MiniLM-L6-v2")
    python.embed(documents[:32])
    seconds, answers, rows = {}, {}, None
    for _ in range(rounds):
        start = time.perf_counter()
        rows = python.embed(documents)
        seconds.setdefault("python onnxruntime, batches of 32 sorted", []).append(time.perf_counter() - start)
        for name, job in (
            ("ort, defaults, batches of 32 sorted", ["ort", file]),
            ("topicd, all at once", ["bare", file, rows_file]),
            ("topicd, 64 at a time", ["calls", file]),
            ("topicd, the whole daemon", ["daemon", file]),
        ):
            answers[name] = topicd(program, *job)
            seconds.setdefault(name, []).append(answers[name]["seconds"])
    base = statistics.median(seconds["ort, defaults, batches of 32 sorted"])
    best = statistics.median(seconds["topicd, all at once"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        more = {key: value for key, value in answers.get(name, {}).items() if key != "seconds"}
        say(
            case="throughput", program=name, texts=count, rounds=rounds, documents_per_second=round(count / median, 1),
            to_ort=round(base / median, 3), to_best=round(best / median, 3), **more,
        )
    ours = numpy.fromfile(rows_file, "f4").reshape(rows.shape)
    say(case="equality", least_cosine_to_python=round(float((ours * rows).sum(1).min()), 7))
    return count / statistics.median(seconds["topicd, the whole daemon"])


def latency(program, folder, rate):
    documents = texts(1000)
    file = write(folder, "arrivals.jsonl", documents)
    for share in (0.1, 0.5, 0.9):
        say(case="latency", load=share, **topicd(program, "latency", file, rate * share, 40 if share < 0.2 else 25))


def burst(program, folder):
    for count in (10_000, 100_000):
        file = write(folder, f"burst-{count}.jsonl", (f"document {at} of a burst" for at in range(count)))
        say(case="burst", documents=count, **topicd(program, "daemon", file))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=["throughput", "latency", "burst"])
    parser.add_argument("--topicd", required=True)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, help="documents a second of the daemon, if throughput is not measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder, rate = pathlib.Path(folder), asked.rate
        if "throughput" in asked.cases:
            rate = throughput(asked.topicd, folder, asked.texts, asked.rounds)
        if "latency" in asked.cases:
            if rate is None:
                sys.exit("latency needs throughput or --rate")
            latency(asked.topicd, folder, rate)
        if "burst" in asked.cases:
            burst(asked.topicd, folder)


main()

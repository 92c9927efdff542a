#!/usr/bin/env python3
"""What kept fields cost: a stream of synthetic documents with 5 fields, with and without `source.fields.keep`, in pairs.

    benches/fields.py TOPICD [DOCUMENTS [PAIRS]]

Prints for each run documents per second, and per second of processor time, which other programs disturb less; the largest
memory and the state's size in MB. Topics are fitted before, on the first 3,000 documents, and no refit disturbs: it is the
assigner and the counts that are measured, until the stream ends. Then the ratios of the pairs' rates (with / without) and their means. The fields: a product of 20, a country of 60, a rating from 1 to 5, a price, and a
customer of many, of whom the first 1,000 are counted one by one. The order in a pair takes turns.
"""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

MODEL = pathlib.Path(__file__).parent.parent / "tests/fixtures/embed/tiny/static-plain"
# What that model knows.
WORDS = [["bank", "rates", "rose", "fell", "shares"], ["football", "final", "striker", "goal"], ["science", "study", "planet"]]
KEEP = ["product", "user.country", "rating", "price", "user.id"]


def make(path, count):
    draw = random.Random(1)
    with open(path, "w") as file:
        for number in range(count):
            document = {
                "id": f"d{number}", "text": " ".join(draw.choices(WORDS[number % 3], k=4)), "timestamp": 1_600_000_000 + 60 * number,
                "product": f"product {draw.randrange(20)}", "rating": draw.randint(1, 5), "price": round(draw.lognormvariate(3, 1), 2),
                "user": {"country": f"C{draw.randrange(60)}", "id": f"customer {draw.randrange(100_000)}"},
            }
            file.write(json.dumps(document) + "\n")


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


FITTED = 3000


def run(topicd, documents, count, keep):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        settings = [
            f"source.path={documents}", f"embed.model={MODEL}", "source.batch_documents=256", "http.listen=127.0.0.1:0",
            f"state.directory={folder}/state", f"output.directory={folder}/output", f"refit.every_documents={10 * count}",
            f"refit.first_documents={10 * count}",
            f"source.fields.keep={json.dumps(KEEP if keep else [])}",
        ]
        flags = [flag for setting in settings for flag in ("--set", setting)]
        with open(documents) as lines, open(folder / "first.jsonl", "w") as first:
            first.writelines(line.replace('"id": "d', '"id": "first', 1) for line, _ in zip(lines, range(FITTED)))
        subprocess.run([topicd, "fit", folder / "first.jsonl", *flags], check=True, capture_output=True)
        started = time.monotonic()
        with open(folder / "log", "w") as log:
            daemon = subprocess.Popen([topicd, "run", *flags], stdout=subprocess.DEVNULL, stderr=log)
            while "stream ended" not in (folder / "log").read_text():
                if daemon.poll() is not None:
                    sys.exit((folder / "log").read_text()[-2000:])
                time.sleep(0.1)
            daemon.kill()
            _, _, used = os.wait4(daemon.pid, 0)
        rates = [count / (time.monotonic() - started), count / (used.ru_utime + used.ru_stime)]
        print(f"{'with' if keep else 'without'}: {rates[0]:,.0f} documents/s, {rates[1]:,.0f} per second of processor time, "
              f"{used.ru_maxrss / 1e3:,.0f} MB of memory, state {size(folder / 'state'):,.0f} MB", flush=True)
        return rates


def main():
    topicd = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with tempfile.TemporaryDirectory() as folder:
        documents = pathlib.Path(folder) / "documents.jsonl"
        make(documents, count)
        ratios = []
        for pair in range(pairs):
            rates = {keep: run(topicd, documents, count, keep) for keep in ([False, True] if pair % 2 else [True, False])}
            ratios.append([kept / plain for kept, plain in zip(rates[True], rates[False])])
            print(f"pair {pair + 1}: {ratios[-1][0]:.3f}, by processor time {ratios[-1][1]:.3f}", flush=True)
        wall, processor = map(statistics.mean, zip(*ratios))
        print(f"with / without: {wall:.3f}, by processor time {processor:.3f}")


main()

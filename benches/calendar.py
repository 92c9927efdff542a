#!/usr/bin/env python3
"""Whether `topicd over-time --by year` counts the ACL abstracts as one who counts them from the assignments.

    benches/calendar.py TOPICD [EVERY]

Fits every EVERY-th abstract of ../shared/data, merges, restores and forgets, and compares all counts per topic and year, and
per year, after each. Ends with status 1 where they differ.
"""
import collections
import gzip
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

DATA = pathlib.Path(__file__).parent.parent.parent / "shared/data"


class Rows:
    """The rows of an array of half floats, as numpy saves it."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.file.seek(8)
        length = struct.unpack("<H", self.file.read(2))[0]
        self.numbers = int(self.file.read(length).decode().split("(")[1].split(")")[0].split(",")[1])
        self.start = 10 + length

    def __getitem__(self, row):
        self.file.seek(self.start + 2 * self.numbers * row)
        return struct.unpack(f"<{self.numbers}e", self.file.read(2 * self.numbers))


def main(work):
    topicd, every = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rows = Rows(DATA / "acl-abstracts.minilm.f16.npy")
    years = {}
    with gzip.open(DATA / "acl-abstracts.jsonl.gz", "rt") as lines, open(work / "documents.jsonl", "w") as out:
        for number, line in enumerate(lines):
            if number % every == 0:
                document = json.loads(line)
                years[document["id"]] = document["timestamp"][:4]
                document["embedding"] = [round(value, 5) for value in rows[number]]
                out.write(json.dumps(document) + "\n")

    def run(*arguments):
        settings = ["state.directory=state", "output.directory=output"]
        flags = [flag for setting in settings for flag in ("--set", setting)]
        done = subprocess.run([topicd, *arguments, *flags], cwd=work, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{arguments}: {done.stderr}")
        return done.stdout

    def told():
        found = json.loads(run("over-time", "--by", "year", "-n", "0", "--json"))
        outliers = {"id": -1, **found["outliers"]}
        counts = collections.Counter()
        for topic in [*found["topics"], outliers]:
            assert topic["earlier"] == topic["undated"] == 0, topic
            for year, documents in zip(found["bins"], topic["documents"], strict=True):
                counts[topic["id"], year] += documents
        return +counts

    def counted(leads):
        topics = {}
        with open(work / "output/assignments.jsonl") as lines:
            for record in map(json.loads, lines):
                topics[record["id"]] = record["topic"]
        return collections.Counter(
            (leads.get(topic, topic), years[id]) for id, topic in topics.items() if topic is not None)

    def compare(what, leads={}):
        ours, theirs = told(), counted(leads)
        by_year = [collections.Counter(), collections.Counter()]
        for total, counts in zip(by_year, (ours, theirs)):
            for (_, year), documents in counts.items():
                total[year] += documents
        print(f"{what}: {sum(ours.values())} documents, {len(ours)} counts per topic and year, {len(by_year[0])} years")
        if ours != theirs or by_year[0] != by_year[1]:
            sys.exit(f"{what}: over-time and the assignments differ: {(ours - theirs) + (theirs - ours)}")

    print(run("fit", "documents.jsonl").strip().splitlines()[-1])
    compare("fit")
    largest = [str(topic["id"]) for topic in json.loads(run("topics", "--json"))["topics"][:3]]
    run("merge", largest[1], largest[2], "--into", largest[0])
    compare("merge", {int(id): int(largest[0]) for id in largest[1:]})
    run("restore", largest[1])
    compare("restore", {int(largest[2]): int(largest[0])})
    run("forget", next(iter(years)))
    compare("forget", {int(largest[2]): int(largest[0])})


with tempfile.TemporaryDirectory() as folder:
    main(pathlib.Path(folder))

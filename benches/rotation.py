#!/usr/bin/env python3
"""How much disk a long stream of small documents takes while its outputs rotate, and whether every record is there.

    benches/rotation.py TOPICD [DOCUMENTS [OUTPUTS]]

OUTPUTS may be a folder on a small disk. Prints the largest sizes of outputs and state, in MB, for every tenth of the stream.
Each closed segment of assignments is read and taken away, as a program that packs them would do; at the end each document
was told once.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

MODEL = pathlib.Path(__file__).parent.parent / "tests/fixtures/embed/tiny/static-plain"
# What that model knows.
WORDS = [["bank", "rates", "rose", "fell", "shares"], ["football", "final", "striker", "goal"], ["science", "study", "planet"]]
SEGMENT_BYTES, KEEP, OUTPUTS = 1_000_000, 4, 4


def documents(count):
    draw = random.Random(1)
    for number in range(count):
        yield json.dumps({"id": f"d{number}", "text": " ".join(draw.choices(WORDS[number % 3], k=4))}) + "\n"


def size(folder):
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass
    return total / 1e6


class Packer:
    """Takes closed segments of assignments away and counts the first records of each document."""

    def __init__(self, folder, count):
        self.folder, self.told, self.segments = folder, bytearray(count), 0

    def take(self, all_of_them=False):
        found = sorted(self.folder.glob("assignments-*.jsonl"))
        for path in found if all_of_them else found[:-1]:
            for line in path.read_bytes().splitlines():
                record = json.loads(line)
                if record["revision"] == 1:
                    self.told[int(record["id"][1:])] += 1
            path.unlink()
            self.segments += 1


def feed(stream, count):
    for document in documents(count):
        stream.write(document.encode())
    stream.close()


def main():
    topicd = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    folder = pathlib.Path(tempfile.mkdtemp())
    outputs = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else folder / "output"
    arguments = [topicd, "run", "--exit-at-end"]
    for setting in [
        f"embed.model={MODEL}", "source.type=stdin", "source.batch_documents=256", "http.listen=127.0.0.1:0",
        f"state.directory={folder}/state", f"output.directory={outputs}",
        f"output.segment_bytes={SEGMENT_BYTES}", f"output.keep={KEEP}", "refit.every_documents=100000",
    ]:
        arguments += ["--set", setting]
    started = time.monotonic()
    daemon = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=open(folder / "log", "w"))
    feeder = threading.Thread(target=feed, args=(daemon.stdin, count), daemon=True)
    feeder.start()
    packer, largest, tenth = Packer(outputs, count), [0.0, 0.0], 1
    while daemon.poll() is None:
        time.sleep(.1)
        packer.take()
        largest = [max(most, size(place)) for most, place in zip(largest, (outputs, folder / "state"))]
        if sum(packer.told) >= count * tenth / 10:
            print(f"{tenth * 10:3} %  output {largest[0]:6.1f}  state {largest[1]:6.1f}  {time.monotonic() - started:6.0f} s")
            largest, tenth = [0.0, 0.0], tenth + 1
    packer.take(True)
    once, seconds = sum(1 for told in packer.told if told == 1), time.monotonic() - started
    print(f"exit {daemon.returncode}; {once} of {count} documents told once, {sum(packer.told) - once} doubles")
    print(f"{packer.segments} segments of assignments; at most {OUTPUTS * KEEP * SEGMENT_BYTES / 1e6:.0f} MB of outputs; "
          f"{count / seconds:.0f} documents a second; {folder}")


main()

#!/usr/bin/env python3
"""How long people wait for answers while documents with given embeddings flow at full speed and refits run.

    benches/questions.py TOPICD [DOCUMENTS]

Runs the same stream twice, without and with clients that ask all the time, and prints the stream's speed of both and the
quantiles of each question. The limit for /api/events is a p99 of 50 ms.
"""
import http.client
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

CLIENTS = 4
QUESTIONS = ["/api/events?after=0", "/api/topics", "/api/refits", "/api/versions", "/api/over-time", "/api/hierarchy",
             "/api/find?keyword=w3", "/api/explain?id=d10"]
DIMENSIONS = 384
GROUPS = 60


def write(path, documents):
    """A stream of GROUPS subjects, each with its words, that begin one after the other."""
    draw = random.Random(1)
    centres = [[draw.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(GROUPS)]
    noise = [draw.gauss(0, 1) for _ in range(100_000)]
    with open(path, "w") as out:
        for number in range(documents):
            begun = 1 + (GROUPS - 1) * number // documents
            group = draw.randrange(begun)
            at = draw.randrange(len(noise) - DIMENSIONS)
            embedding = [round(c + n, 3) for c, n in zip(centres[group], noise[at:at + DIMENSIONS])]
            text = " ".join(f"w{group * 5 + draw.randrange(5)}" for _ in range(8))
            out.write(json.dumps({"id": f"d{number}", "text": text, "embedding": embedding}) + "\n")


def ask(address, stop, took):
    connection = http.client.HTTPConnection(address, timeout=60)
    turn = 0
    while not stop.is_set():
        path = QUESTIONS[turn // 2 % len(QUESTIONS)] if turn % 2 else QUESTIONS[0]
        turn += 1
        start = time.perf_counter()
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
            if stop.is_set():
                return
        took.setdefault(path, []).append(time.perf_counter() - start)


def run(topicd, source, folder, clients):
    command = [topicd, "run", "--events", "--exit-at-end", "--set", f"source.path={source}", "--set", "http.listen=127.0.0.1:0",
               "--set", f"state.directory={folder}/state", "--set", f"output.directory={folder}/output", "--set", "refit.rest=0"]
    start = time.perf_counter()
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = daemon.stdout.readline().split("http://")[1].strip().rstrip("/")
    threading.Thread(target=lambda: [None for _ in daemon.stdout], daemon=True).start()
    stop, answers = threading.Event(), [{} for _ in range(clients)]
    threads = [threading.Thread(target=ask, args=(address, stop, took)) for took in answers]
    for thread in threads:
        thread.start()
    lag = 1
    while lag:
        time.sleep(.05)
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", "/api/topics")
        lag = json.loads(connection.getresponse().read())["unread_bytes"]
    seconds = time.perf_counter() - start
    stop.set()
    for thread in threads:
        thread.join()
    daemon.wait()
    return seconds, answers


def main():
    topicd, documents = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30_000
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "documents.jsonl"
        write(source, documents)
        alone, _ = run(topicd, source, f"{folder}/alone", 0)
        asked, answers = run(topicd, source, f"{folder}/asked", CLIENTS)
    print(f"documents/s: {documents / alone:.0f} alone, {documents / asked:.0f} with {CLIENTS} clients")
    print(f"{'question':28} {'asked':>6} {'p50 ms':>8} {'p99 ms':>8} {'most ms':>8}")
    for path in QUESTIONS:
        took = sorted(second for answer in answers for second in answer.get(path, []))
        if took:
            at = lambda share: 1000 * took[min(len(took) - 1, int(share * len(took)))]
            print(f"{path:28} {len(took):6} {at(.5):8.1f} {at(.99):8.1f} {at(1):8.1f}")


if __name__ == "__main__":
    main()

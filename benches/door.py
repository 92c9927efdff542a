#!/usr/bin/env python3
"""How much 10,000 open connections and 1,000 that send a byte a second slow the stream.

    benches/door.py TOPICD [DOCUMENTS] [PAIRS]

Runs the same stream of documents with given embeddings in pairs, without and with the crowd, and prints the speed of each
run, the share that the crowd costs (limit: 10 %), and whether each document was assigned once. All runs have as many
refits, one each 20,000 documents: were they as many as fit, a slower run would have more of them and become slower still.
The crowd is a process of its own on the same cores: its CPU time is printed, because the daemon pays for that too.
"""
import collections
import json
import pathlib
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from questions import write

IDLE, SLOW = 10_000, 1_000


def crowd(host, port):
    """Keeps the connections open; opens again what the daemon closes."""
    poll, sockets, slow = select.epoll(), {}, set()

    def enter(drips):
        stream = socket.socket()
        stream.setblocking(False)
        # Many addresses, since one has only 28,000 ports.
        stream.bind((f"127.0.0.{2 + len(sockets) % 8}", 0))
        stream.connect_ex((host, port))
        sockets[stream.fileno()] = stream
        poll.register(stream.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
        if drips:
            slow.add(stream.fileno())

    drip = 0
    for number in range(IDLE + SLOW):
        enter(number % 11 == 0)
    while True:
        for number, _ in poll.poll(.1):
            poll.unregister(number)
            sockets.pop(number).close()
            drips = number in slow
            slow.discard(number)
            enter(drips)
        if time.monotonic() > drip:
            drip = time.monotonic() + 1
            for number in list(slow):
                try:
                    sockets[number].send(b"G")
                except OSError:
                    pass


def health(host, port):
    """Seconds until /healthz has answered over a connection of its own; None if it does not."""
    start = time.perf_counter()
    try:
        with socket.create_connection((host, port), timeout=10) as stream:
            stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if stream.recv(1000).startswith(b"HTTP/1.1 200"):
                return time.perf_counter() - start
    except OSError:
        pass
    return None


def run(topicd, source, folder, besieged):
    command = [topicd, "run", "--events", "--exit-at-end", "--set", f"source.path={source}", "--set", "http.listen=127.0.0.1:0",
               "--set", f"state.directory={folder}/state", "--set", f"output.directory={folder}/output",
               "--set", "source.follow=false", "--set", "refit.rest=0", "--set", "refit.every_documents=20000"]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    host, port = daemon.stdout.readline().split("http://")[1].strip().rstrip("/").split(":")
    process = None
    if besieged:
        process = subprocess.Popen([sys.executable, __file__, "--crowd", host, port])
    start, took = time.perf_counter(), []
    threading.Thread(target=lambda: [None for _ in daemon.stdout], daemon=True).start()
    while daemon.poll() is None:
        seconds = health(host, int(port))
        # While the daemon ends, it listens no longer.
        if daemon.poll() is None:
            took.append(seconds)
        time.sleep(.1)
    seconds = time.perf_counter() - start
    counts = collections.Counter()
    with open(f"{folder}/output/assignments.jsonl") as lines:
        for record in map(json.loads, lines):
            counts[record["id"]] += record.get("revision", 1) == 1
    assert daemon.returncode == 0, daemon.returncode
    if process:
        # user and system time, in hundredths of a second
        busy = sum(map(int, pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ")[1].split()[11:13])) / 100
        process.kill()
        process.wait()
        answers = [second for second in took if second is not None]
        print(f"the crowd's own CPU time: {busy:.1f} s of {seconds:.1f} s; /healthz answers {len(answers)} of {len(took)} times, "
              f"p50 {1000 * statistics.median(answers or [0]):.0f} ms, most {1000 * max(answers, default=0):.0f} ms")
    return seconds, counts


def main():
    topicd, documents = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40_000
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "documents.jsonl"
        write(source, documents)
        for pair in range(pairs):
            took = {}
            for besieged in (False, True) if pair % 2 == 0 else (True, False):
                seconds, counts = run(topicd, source, f"{folder}/{pair}-{besieged}", besieged)
                wrong = sum(count != 1 for count in counts.values()) + documents - len(counts)
                print(f"{'with the crowd' if besieged else 'alone':15} {documents / seconds:6.0f} documents/s, {wrong} wrong")
                took[besieged] = seconds
            ratios.append(took[True] / took[False])
    print(f"time with the crowd: {statistics.median(ratios):.3f} × of alone (of {pairs} pairs)")


if __name__ == "__main__":
    if sys.argv[1] == "--crowd":
        crowd(sys.argv[2], int(sys.argv[3]))
    else:
        main()

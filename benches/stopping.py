#!/usr/bin/env python3
"""How long the daemon takes from SIGTERM to its end, and with which exit status, whatever hangs.

    benches/stopping.py TOPICD [HANG…]

Needs what `deploy/setup --tests` installs; the full disk also needs root.
"""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

CACHE = pathlib.Path(os.environ.get("TOPICD_CACHE", pathlib.Path.home() / ".cache/topicd"))


class Silent:
    """A server that takes connections and never answers, after so many good answers of an encoder."""

    def __init__(self, good=0):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.hangs, self.good = threading.Event(), good
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        kept = []
        while True:
            stream, _ = self.socket.accept()
            if self.good > 0:
                self.good -= 1
                stream.recv(1 << 16)
                body = b'{"data": [{"index": 0, "embedding": [1, 2]}]}'
                stream.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                stream.close()
            else:
                kept.append(stream)
                self.hangs.set()


def documents(path, count, texts=False):
    draw = random.Random(1)
    centres = [[draw.gauss(0, 1) for _ in range(384)] for _ in range(12)]
    noise = [draw.gauss(0, .5) for _ in range(10_000)]
    with open(path, "w") as out:
        for number in range(count):
            group = number % 12
            text = " ".join(f"w{group * 5 + draw.randrange(5)}" for _ in range(8))
            at = draw.randrange(9_000)
            document = {"id": f"d{number}", "text": text}
            if not texts:
                document["embedding"] = [round(c + n, 3) for c, n in zip(centres[group], noise[at:at + 384])]
            out.write(json.dumps(document) + "\n")
    return str(path)


class Daemon:
    def __init__(self, topicd, folder, *settings, command=("run",), wait=True):
        self.address = f"127.0.0.1:{free_port()}"
        arguments = [topicd, *command]
        given = [f"state.directory={folder}/state", f"output.directory={folder}/output", f"http.listen={self.address}"]
        for setting in given + list(settings):
            arguments += ["--set", setting]
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=self.log)
        if wait:
            until(lambda: self.got("/healthz"))

    def got(self, path):
        try:
            return urllib.request.urlopen(f"http://{self.address}{path}", timeout=5).read().decode()
        except urllib.error.HTTPError as refused:
            return refused.read().decode()
        except OSError:
            return None

    def metric(self, name):
        lines = (self.got("/metrics") or "").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def stop(self):
        start = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        return time.perf_counter() - start, status


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(.05)


def encoder_at_the_start(topicd, folder):
    far = Silent()
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 20, True)}", f"embed.remote.url={far.url}", "embed.model=m")
    far.hangs.wait(60)
    return daemon.stop()


def encoder_in_the_stream(topicd, folder):
    far = Silent(good=1)
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 20, True)}", f"embed.remote.url={far.url}", "embed.model=m")
    far.hangs.wait(60)
    return daemon.stop()


def label_endpoint(topicd, folder):
    far = Silent()
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 600)}", "refit.first_documents=300", f"label.url={far.url}", "label.model=m")
    far.hangs.wait(60)
    return daemon.stop()


def webhook(topicd, folder):
    far = Silent()
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 600)}", "refit.first_documents=300", f"notify.url={far.url}/hook")
    far.hangs.wait(60)
    return daemon.stop()


def half_request(topicd, folder):
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 60)}")
    stream = socket.create_connection(daemon.address.split(":"))
    stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
    until(lambda: daemon.metric("topicd_documents_total") >= 60)
    return daemon.stop()


def open_body(topicd, folder):
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 60)}")
    stream = socket.create_connection(daemon.address.split(":"))
    stream.sendall(b"POST /api/assign HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    until(lambda: daemon.metric("topicd_documents_total") >= 60)
    return daemon.stop()


def pipe_without_writer(topicd, folder):
    os.mkfifo(folder / "pipe")
    daemon = Daemon(topicd, folder, f"source.path={folder / 'pipe'}")
    until(lambda: '"ready":true' in (daemon.got("/readyz") or ""))
    return daemon.stop()


def refit_of_50000(topicd, folder):
    daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 50_000)}", "refit.first_documents=50000")
    until(lambda: daemon.metric("topicd_refit_running") == 1)
    time.sleep(2)
    return daemon.stop()


def fit(topicd, folder):
    daemon = Daemon(topicd, folder, command=("fit", documents(folder / "d", 20_000)), wait=False)
    time.sleep(4)
    return daemon.stop()


def full_disk(topicd, folder):
    mount = folder / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", mount], check=True)
    try:
        daemon = Daemon(topicd, folder, f"source.path={documents(folder / 'd', 9_000)}", "source.speed=300", f"output.directory={mount}")
        until(lambda: daemon.metric("topicd_documents_total") >= 60)
        subprocess.run(["dd", "if=/dev/zero", f"of={mount}/fill", "bs=64k"], stderr=subprocess.DEVNULL)
        ended = time.monotonic() + 5
        until(lambda: daemon.process.poll() is not None or time.monotonic() > ended)
        return daemon.stop()
    finally:
        subprocess.run(["umount", mount])


class Broker:
    def __init__(self, folder):
        libraries = next(CACHE.glob("kafka*/**/kafka-clients*.jar")).parent
        self.java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*"]
        port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        (folder / "broker").mkdir()
        properties = folder / "server.properties"
        properties.write_text(f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/broker
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
""")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(self.java + ["kafka.tools.StorageTool", "format", "--standalone", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", properties], check=True, **quiet)
        self.process = subprocess.Popen(self.java + ["kafka.Kafka", properties], **quiet)
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 60)

    def produce(self, lines):
        command = ["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", self.address, "--topic", "documents"]
        subprocess.run(self.java + command, input=lines, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def settings(self):
        return ["source.type=kafka", f"kafka.brokers={self.address}"]


def broker_dead_under_load(topicd, folder):
    broker = Broker(folder)
    try:
        source = pathlib.Path(documents(folder / "d", 6_000))
        broker.produce(source.read_bytes())
        daemon = Daemon(topicd, folder, *broker.settings())
        until(lambda: daemon.metric("topicd_documents_total") >= 60)
        broker.process.kill()
        time.sleep(3)
        return daemon.stop()
    finally:
        broker.process.kill()


def registry(topicd, folder):
    broker, far = Broker(folder), Silent()
    try:
        broker.produce(b"\0\0\0\0\1text\n")
        daemon = Daemon(topicd, folder, *broker.settings(), f"kafka.registry.url={far.url}")
        far.hangs.wait(60)
        return daemon.stop()
    finally:
        broker.process.kill()


HANGS = [encoder_at_the_start, encoder_in_the_stream, broker_dead_under_load, registry, label_endpoint, webhook, half_request,
         open_body, pipe_without_writer, refit_of_50000, fit, full_disk]


def main():
    topicd, wanted = sys.argv[1], sys.argv[2:]
    print(f"{'hang':26} {'seconds':>8} {'exit status':>12}")
    for hang in HANGS:
        if wanted and hang.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                seconds, status = hang(topicd, pathlib.Path(folder))
                print(f"{hang.__name__:26} {seconds:8.2f} {status:12}", flush=True)
            except Exception as error:  # noqa: BLE001: one hang that cannot be made must not hide the others
                print(f"{hang.__name__:26} not measured: {error!r}", flush=True)


if __name__ == "__main__":
    main()

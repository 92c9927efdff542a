"""Runs the demo's set-up and build at the same time, and says how far they are.

    python3 build.py --profile demo --no-default-features    (the arguments are cargo's)

One waits for the network while the other computes. On a terminal the last line tells what is done and about how long
the rest takes; elsewhere a line does so every ten seconds. Whatever set-up and compiler have to say is printed above it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

DEPLOY = pathlib.Path(__file__).resolve().parent
# topicd itself is built last and alone: 70 of 181 s, measured on two cores.
OWN_SHARE = 0.39
# What cargo says of its progress; the counted crates say it better.
PROGRESS = re.compile(r"\s*(Compiling|Finished|Fresh|Downloaded|Downloading|Updating|Locking) ")
TERMINAL = sys.stdout.isatty()
PAUSE = 1 if TERMINAL else 10


def crates(arguments):
    """The crates that this build compiles, topicd among them."""
    features = [argument for argument in arguments if "features" in argument]
    tree = ["cargo", "tree", "--locked", "--edges=normal,build", "--prefix=none", "--format={p}", *features]
    lines = subprocess.run(tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return {" ".join(line.split()[:2]) for line in lines.splitlines() if line}


def spell(seconds):
    """`40 s`, `3 min`."""
    return f"{round(seconds / 10) * 10} s" if seconds < 95 else f"{round(seconds / 60)} min"


class Progress:
    """What is known of the build. Two threads write it and one reads it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.shown = False
        self.started = time.monotonic()
        self.total = 0
        self.built = set()
        self.compiled = False  # whether any crate had to be compiled
        self.first = self.last = self.started  # when a crate was done first, and last

    def say(self, text):
        """Prints a line above the progress line."""
        with self.lock:
            self.wipe()
            print(text, flush=True)

    def wipe(self):
        if self.shown:
            print("\r\033[K", end="", flush=True)
            self.shown = False

    def crate(self, message):
        with self.lock:
            self.last = time.monotonic()
            if not message["fresh"] and not self.compiled:
                self.compiled, self.first = True, self.last
            self.built.add(message["package_id"])

    def show(self):
        with self.lock:
            text = self.line()
            if TERMINAL:
                text = text[: os.get_terminal_size().columns - 1]
                print(f"\r\033[K{text}", end="", flush=True)
                self.shown = True
            else:
                print(text, flush=True)

    def line(self):
        now = time.monotonic()
        passed = f"{now - self.started:.0f} s"
        built, others = len(self.built), self.total - 1
        if not built:
            return f"building topicd: fetching crates, {passed}"
        text = f"building topicd: {built} of {self.total} crates, {passed}"
        if built >= others:
            text = f"building topicd: {others} of {self.total} crates, now topicd itself, {passed}"
        # Early guesses are worth nothing.
        if not self.compiled or built < 20:
            return text
        before = (self.last if built >= others else now) - self.first
        before *= others / min(built, others)
        left = before / (1 - OWN_SHARE) - (now - self.first)
        return f"{text}, about {spell(left)} to go" if left > 10 else f"{text}, soon done"


def follow_setup(process, progress):
    for line in process.stdout:
        progress.say(line.rstrip())


def follow_cargo(process, progress):
    for line in process.stdout:
        message = json.loads(line)
        if message["reason"] == "compiler-artifact":
            progress.crate(message)


def follow_compiler(process, progress):
    for line in process.stderr:
        if not PROGRESS.match(re.sub(r"\033\[[0-9;]*m", "", line)):
            progress.say(line.rstrip())


def follow(how, process, progress):
    thread = threading.Thread(target=how, args=(process, progress))
    thread.start()
    return thread


def start(command, **streams):
    return subprocess.Popen(command, text=True, errors="replace", stdin=subprocess.DEVNULL, **streams)


def main(arguments):
    progress = Progress()
    setup = start([DEPLOY / "setup"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    threads = [follow(follow_setup, setup, progress)]
    progress.show()
    progress.total = max(len(crates(arguments)), 1)  # fetches them
    colour = {"CARGO_TERM_COLOR": "always"} if TERMINAL else {}
    build = start(
        ["cargo", "build", "--locked", "--message-format=json-render-diagnostics", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**colour, **os.environ},
    )
    threads += [follow(follow_cargo, build, progress), follow(follow_compiler, build, progress)]
    told, status = time.monotonic(), 0
    while any(thread.is_alive() for thread in threads):
        next((thread for thread in threads if thread.is_alive()), threads[0]).join(0.2)
        status = status or setup.poll() or build.poll() or 0
        if status:
            # What was made stays made: the next run goes on from there.
            for process in (setup, build):
                if process.poll() is None:
                    process.terminate()
        elif build.poll() is None and time.monotonic() - told >= PAUSE:
            progress.show()
            told = time.monotonic()
    status = status or setup.wait() or build.wait()
    progress.wipe()
    if status:
        return abs(status)
    print(f"topicd is built, {time.monotonic() - progress.started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

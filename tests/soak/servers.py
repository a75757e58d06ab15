"""Servers of a soak: started on fixed ports, restarted, and measured every second from /proc."""
import json
import pathlib
import signal
import socket
import subprocess
import threading
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server program. `samples`: (seconds since the epoch of the monotonic clock, pid, RSS in KiB, threads, fds)."""

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, [str(word) for word in command], pathlib.Path(folder)
        self.port_file = self.folder / f"{name}.json"
        self.process, self.samples, self.restarts, self.lock = None, [], 0, threading.Lock()

    def start(self):
        self.port_file.unlink(missing_ok=True)
        log = open(self.folder / f"{self.name}.log", "ab")
        with self.lock:
            self.process = subprocess.Popen(self.command + ["--port-file", str(self.port_file)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        log.close()

    def wait_ready(self, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            if self.port_file.is_file():
                return json.loads(self.port_file.read_text())
            time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready after {seconds} s:\n{self.tail()}")

    def stop(self, number, seconds=60):
        """Ends it by a signal, and returns how long that took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} does not end within {seconds} s of signal {number}:\n{self.tail()}")
        if number == signal.SIGTERM and self.process.returncode != 0:
            raise AssertionError(f"{self.name} ended with {self.process.returncode} on SIGTERM:\n{self.tail()}")
        return time.monotonic() - begin

    def restart(self, number):
        took = self.stop(number)
        self.restarts += 1
        self.start()
        self.wait_ready()
        return took

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def tail(self):
        path = self.folder / f"{self.name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def measure(self):
        """RSS in KiB, threads and open files now; None while it is down."""
        with self.lock:
            pid = self.process.pid if self.process else None
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            fds = len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
            words = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            return pid, int(words["VmRSS"].split()[0]), int(words["Threads"]), fds
        except (OSError, KeyError):
            return None

    def sample(self):
        now = self.measure()
        if now:
            self.samples.append((time.monotonic(), *now))

    def since(self, begin, end=float("inf")):
        """Samples of the current process, between two times."""
        return [sample for sample in self.samples if begin <= sample[0] <= end and sample[1] == self.process.pid]


class Sampler:
    """Measures servers every second until it is closed."""

    def __init__(self, servers):
        self.servers, self.done = servers, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.done.wait(1):
            for server in self.servers:
                server.sample()

    def close(self):
        self.done.set()
        self.thread.join()


def slope(samples):
    """MiB per minute and its standard error, by least squares over means of ten seconds (single seconds are not
    independent of each other)."""
    if len(samples) < 40:
        return None, None
    begin, blocks = samples[0][0], {}
    for when, _, rss, *_ in samples:
        blocks.setdefault(int((when - begin) // 10), []).append((when, rss))
    blocks = [block for block in blocks.values() if len(block) >= 5]
    times = [sum(when for when, _ in block) / len(block) / 60 for block in blocks]
    sizes = [sum(rss for _, rss in block) / len(block) / 1024 for block in blocks]
    count, mean = len(times), sum(times) / len(times)
    spread = sum((t - mean) ** 2 for t in times)
    rise = sum((t - mean) * s for t, s in zip(times, sizes)) / spread
    base = sum(sizes) / count - rise * mean
    residual = sum((s - base - rise * t) ** 2 for t, s in zip(times, sizes))
    return rise, (residual / max(1, count - 2) / spread) ** 0.5

#!/usr/bin/env python3
"""Many clients (submit, list, watch, cancel, logs) while servers are restarted at random, by SIGTERM and by SIGKILL.

usage: tests/long/soak_test.py [SECONDS [CLIENTS [SEED]]]     600 s, 200 clients; MUSTER_BIN names the programs' folder

A real data server and coordinator with mTLS, one certificate per client, one worker whose ranks are muster-fake-rank.
The time is cut into: warm-up, restarts, calm with submissions, calm without. Fails on an error that
docs/reference/errors.md does not list for its RPC, on a lost acknowledgment, on a job that does not end, on memory that
grows while nothing is submitted (LIMIT; from 300 s on, below the time is too short for a slope), and on open files or
threads that stay after the clients have gone.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/soak"), str(ROOT / "tests/e2e")]
import documented  # noqa: E402
import servers as soak  # noqa: E402
from cluster import wait_until, write_topics, write_vocabulary  # noqa: E402

BIN = pathlib.Path(os.environ.get("MUSTER_BIN", ROOT / "build/dev/bin"))
LIMIT = 1.0  # MiB per minute that a server may grow while clients call and nobody submits
SLOTS = 16


class Soak:
    def __init__(self, folder, seconds, clients, seed):
        self.folder, self.seconds, self.clients, self.seed = folder, seconds, clients, seed
        self.draw = random.Random(seed)
        self.failures = []
        self.make_certificates()
        data, coordinator = soak.free_port(), soak.free_port()
        self.address = f"127.0.0.1:{coordinator}"

        def server(program, *flags):
            name = program.removeprefix("muster-")
            return soak.Server(name, [BIN / program, "--state", folder / "state" / name, "--certs", folder / "certs" / name,
                                      "--metrics", "127.0.0.1:0", *flags], folder)
        self.data = server("muster-data", "--listen", f"127.0.0.1:{data}")
        self.coordinator = server("muster-coordinator", "--listen", self.address, "--data", f"127.0.0.1:{data}")
        self.worker = server("muster-worker", "--coordinator", self.address, "--name", "worker", "--slots", SLOTS, "--device", "cpu",
                             "--rank-binary", BIN / "muster-fake-rank")
        self.servers = [self.data, self.coordinator, self.worker]

    def make_certificates(self):
        authority = self.folder / "certs" / "authority"
        self.muster("certs", "init", authority)
        names = [("coordinator", "coordinator"), ("data", "data"), ("worker", "worker")]
        names += [("user", f"c{i}") for i in range(self.clients)]
        for role, name in names:
            self.muster("certs", "issue", authority, "--role", role, "--name", name, "--out", self.folder / "certs" / name)

    def muster(self, *words):
        done = subprocess.run([BIN / "muster", *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
                              env={**os.environ, "MUSTER_ADDRESS": getattr(self, "address", ""),
                                   "MUSTER_CERTS": str(self.folder / "certs" / "c0")})
        assert done.returncode == 0, f"muster {words}: {done.stderr}"
        return done.stdout

    def start(self):
        for server in self.servers:
            server.start()
            server.wait_ready()
        self.muster("models", "push", "soak-vocab", write_vocabulary(self.folder / "vocab"))
        self.muster("data", "import", "soak", write_topics(self.folder / "topics"))
        wait_until("the worker is ready", lambda: "READY" in self.muster("workers", "--output", "json"), 30)

    def run(self):
        begin = time.monotonic()
        at = {name: begin + share * self.seconds for name, share in
              {"restarts": 0.1, "settle": 0.5, "calm": 0.6, "quiet": 0.8, "end": 1.0}.items()}
        report = self.folder / "report.json"
        output = open(self.folder / "clients.log", "wb")
        process = subprocess.Popen(
            [BIN / "muster-soak", "--address", self.address, "--certs", self.folder / "certs", "--report", report,
             "--clients", str(self.clients), "--seconds", str(self.seconds), "--submit-seconds", str(int(self.seconds * 0.75)),
             "--submit-share", "0.2" if self.seconds < 60 else "0.03", "--seed", str(self.seed)], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        before = {server.name: server.measure() for server in self.servers}
        while time.monotonic() < at["end"] and process.poll() is None:
            now = time.monotonic()
            if at["restarts"] <= now < at["settle"]:
                self.restart_one()
            time.sleep(self.draw.uniform(0.5, 3) if now < at["settle"] else 0.5)
        process.wait(300)
        self.at, self.before = at, before
        assert process.returncode == 0, (self.folder / "clients.log").read_text(errors="replace")[-3000:]
        self.report = json.loads(report.read_text())

    def restart_one(self):
        # The coordinator keeps the promises, so it is restarted most often.
        server = self.draw.choice([self.coordinator, self.coordinator, self.data, self.worker])
        number = self.draw.choice([signal.SIGTERM, signal.SIGKILL])
        server.restart(number)

    def check(self):
        for error in self.report["errors"]:
            if not documented.is_documented("JobService." + error["rpc"], error["code"], error["reason"]):
                self.failures.append(f"undocumented: {error}")
        self.failures += self.report["broken"]
        counts = self.report["counts"]
        for what in ("submissions repeated", "cancels acknowledged", "log bytes"):  # what was not exercised proves nothing
            if not counts.get(what):
                self.failures.append(f"no {what}: {counts}")
        if counts.get("submissions acknowledged", 0) == 0 or counts.get("jobs listed", 0) < counts.get("submissions acknowledged", 0):
            self.failures.append(f"jobs: {counts}")
        for server in self.servers:
            self.check_growth(server)
            self.check_leaks(server)

    def check_growth(self, server):
        submitting = soak.slope(server.since(self.at["calm"], self.at["quiet"]))
        quiet = soak.slope(server.since(self.at["quiet"], self.at["end"]))
        samples = server.since(self.at["calm"])
        if samples:
            print(f"{server.name}: {samples[-1][2] / 1024:.1f} MiB at the end, {max(s[3] for s in samples)} threads, "
                  f"{max(s[4] for s in samples)} open files at most, {server.restarts} restarts")
        for name, (rise, error) in {"while jobs are submitted": submitting, "while none are": quiet}.items():
            if rise is not None:
                print(f"{server.name}: {rise:+.3f} ± {2 * error:.3f} MiB/min {name}")
        rise, error = quiet
        if rise is not None and self.seconds >= 300 and rise - 2 * error > LIMIT:
            self.failures.append(f"{server.name} grows by {rise:.2f} ± {2 * error:.2f} MiB/min, at most {LIMIT} are allowed")

    def check_leaks(self, server):
        """After the clients have ended, there are about as many open files and threads as before they started."""
        _, _, threads, fds = self.before[server.name]
        left = []

        def gone():
            left[:] = server.measure()[2:]
            return left[1] <= fds + 10 and left[0] <= threads + 20
        try:
            wait_until("", gone, 60, 0.5)
        except AssertionError:
            self.failures.append(f"{server.name}: {left[0]} threads and {left[1]} open files without clients, {threads} and {fds} before them")
        print(f"{server.name}: threads {threads} → {left[0]}, open files {fds} → {left[1]}, without clients before → after")

    def close(self):
        for server in reversed(self.servers):
            if server.alive():
                server.stop(signal.SIGTERM)


def main():
    seconds, clients, seed = (int(word) for word in (sys.argv[1:] + ["600", "200", "0"][len(sys.argv) - 1:])[:3])
    seed = seed or random.SystemRandom().randrange(1, 2**31)
    print(f"soak: {seconds} s, {clients} clients, seed {seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-soak-"))
    run = Soak(folder, seconds, clients, seed)
    sampler = soak.Sampler(run.servers)
    try:
        run.start()
        run.run()
        run.check()
        for rpc, calls in run.report["calls"].items():
            print(f"{rpc}: {calls['count']} calls, p50 {calls['p50_ms']:.1f} ms, p99 {calls['p99_ms']:.1f} ms")
        for error in run.report["errors"]:
            print(f"{error['count']} × {error['rpc']} {error['code']} {error['reason']}: {error['message'][:160]}")
        print(json.dumps(run.report["counts"]))
    finally:
        sampler.close()
        for server in run.servers:
            if server.alive() and sys.exc_info()[0] is not None:
                server.process.kill()
                server.process.wait()
        run.close()
    for failure in run.failures:
        print(f"FAILED: {failure}")
    if not run.failures and not os.environ.get("MUSTER_KEEP_STATE"):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"state kept in {folder}")
    print("soak:", "failed" if run.failures else "passed")
    sys.exit(1 if run.failures else 0)


if __name__ == "__main__":
    main()

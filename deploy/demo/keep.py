#!/usr/bin/env python3
"""A cluster on this machine that keeps running, with a Prometheus that scrapes it. deploy/quickstart --keep and --stop
use it.

usage: deploy/demo/keep.py start BIN STATE SLOTS      start both, wait until they answer
       deploy/demo/keep.py run STATE COMMAND...      a command with MUSTER_ADDRESS and MUSTER_CERTS set
       deploy/demo/keep.py where STATE               say where to look
       deploy/demo/keep.py refuse STATE              fail if a cluster runs there
       deploy/demo/keep.py stop STATE
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def running(state):
    """The pid of the `muster local` that this program started on the state folder, or None."""
    try:
        pid = int((state / "keep.pid").read_text())
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(state).encode() in words else None  # not another process with a reused pid


def is_ready(state):
    try:
        url = (state / "prometheus/url.txt").read_text().strip()
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as reply:
            return reply.status == 200 and (state / "local.json").is_file()
    except OSError:
        return False


def refuse(state):
    if running(state):
        sys.exit(f"keep: a cluster on {state} runs already. Stop it first: ./deploy/quickstart --stop")


def run(state, command):
    info = json.loads((state / "local.json").read_text())
    done = subprocess.run(command, env={**os.environ, "MUSTER_ADDRESS": info["address"], "MUSTER_CERTS": info["certs"]})
    sys.exit(done.returncode)


def start(binaries, state, slots):
    refuse(state)
    (state / "prometheus").mkdir(parents=True, exist_ok=True)
    (state / "prometheus/url.txt").unlink(missing_ok=True)
    log = state / "local.log"
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [str(binaries / "muster"), "local", "--slots", slots, "--state", str(state), "--",
             str(ROOT / "deploy/prometheus/watch_local.py"), str(state)],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
    (state / "keep.pid").write_text(f"{process.pid}\n")
    deadline = time.monotonic() + 90
    while not is_ready(state):
        if process.poll() is not None or time.monotonic() > deadline:
            if process.poll() is None:
                process.terminate()
            sys.exit(f"keep: the cluster did not start; {log} says:\n" + log.read_text(errors="replace")[-2000:])
        time.sleep(0.1)


def say_where(state):
    info = json.loads((state / "local.json").read_text())
    url = (state / "prometheus/url.txt").read_text().strip()
    print(f"""
The cluster keeps running, and Prometheus scrapes it every 5 seconds:

  export MUSTER_ADDRESS={info['address']}
  export MUSTER_CERTS={info['certs']}

  {url}/graph?g0.expr=muster_job_loss&g0.tab=0      what Prometheus knows
  {url}/alerts      the alerts; docs/operate/runbooks has a page for each
  deploy/grafana/dashboards      for a Grafana of yours, with {url} as its data source

To stop both: ./deploy/quickstart --stop""")


def stop(state):
    pid = running(state)
    if pid is None:
        sys.exit(f"keep: no cluster of ./deploy/quickstart --keep runs on {state}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while running(state):
        if time.monotonic() > deadline:
            sys.exit(f"keep: the cluster (process {pid}) has not ended after 60 s; see {state}/local.log")
        time.sleep(0.1)
    (state / "keep.pid").unlink()
    print("The cluster and its Prometheus have stopped; their state stays in " + str(state))


def main(verb, *words):
    if verb == "start" and len(words) == 3:
        start(pathlib.Path(words[0]).resolve(), pathlib.Path(words[1]).resolve(), words[2])
    elif verb == "run" and len(words) > 1:
        run(pathlib.Path(words[0]).resolve(), words[1:])
    elif verb in ("where", "refuse", "stop") and len(words) == 1:
        {"where": say_where, "refuse": refuse, "stop": stop}[verb](pathlib.Path(words[0]).resolve())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["help"]))

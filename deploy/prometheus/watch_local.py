#!/usr/bin/python3
"""Becomes a Prometheus that scrapes the `muster local` of STATE, with the rules in this folder. Its data, configuration and
address (url.txt) are in STATE/prometheus. It listens on 127.0.0.1, on port 9090 where that is free.

usage: muster local --state STATE -- deploy/prometheus/watch_local.py STATE
"""
import os
import pathlib
import shutil
import socket
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from write_targets import write_targets  # noqa: E402


def free_port(wanted):
    for port in (wanted, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return listener.getsockname()[1]
    sys.exit("watch_local: no free port on 127.0.0.1")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    state = pathlib.Path(sys.argv[1]).resolve()
    folder = state / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("prometheus") is None:
        sys.exit("watch_local: prometheus is not installed. Run deploy/bootstrap --watch")
    # A shorter interval than the shipped one, because there is one machine and a user who watches.
    config = (HERE / "prometheus.yml").read_text(encoding="utf-8").replace("interval: 15s", "interval: 5s")
    (folder / "prometheus.yml").write_text(config.replace("rules/*.yml", f"{HERE}/rules/*.yml"), encoding="utf-8")
    write_targets(state, folder / "targets")
    port = free_port(9090)
    (folder / "url.txt").write_text(f"http://127.0.0.1:{port}\n", encoding="utf-8")
    os.execvp("prometheus", ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                             "--storage.tsdb.retention.time=30d", "--log.level=warn", f"--web.listen-address=127.0.0.1:{port}"])


if __name__ == "__main__":
    main()

"""A real Prometheus for a test: the shipped rules with shorter times, real targets, and its HTTP API."""
import json
import pathlib
import re
import socket
import subprocess
import urllib.parse
import urllib.request

import yaml

from cluster import ROOT, wait_until

RULES = ROOT / "deploy/prometheus/rules"
PACE = 180  # times faster: 30 minutes become 10 seconds
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# Limits that are not durations, or that would remain too long. Each text occurs in its scaled alert exactly once.
LIMITS = {
    ("MusterWorkerLost", "warning"): [("> 30", "> 6")],
    ("MusterStateVolumeFilling", "page"): [("< 512 * 1024^2", "< 4 * 1024^2")],
    ("MusterJobWaitsWhileSlotsAreFree", "warning"): [("> 600", "> 4")],
    ("MusterNoStepProgress", "warning"): [("> 90", "> 4")],
    ("MusterCheckpointTooOld", "warning"): [("> 3600", "> 6")],
    ("MusterBackupTooOld", "warning"): [("[720000ms]", "[6000ms]"), ("[720000ms:", "[6000ms:")],  # 36 hours
}


def faster(duration):
    """'30m' → '10000ms'; at least 1.5 s, so that a window holds two scrapes."""
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))
    return f"{max(1500, seconds * 1000 // PACE)}ms"


def scaled_alerts():
    """The shipped alerts with their durations divided by PACE and the limits above; everything else is as shipped."""
    groups = yaml.safe_load((RULES / "muster-alerts.yml").read_text(encoding="utf-8"))["groups"]
    limits = dict(LIMITS)
    for group in groups:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = faster(rule["for"])
            expression = re.sub(r"(?<=\[)\d+[smhd](?=[\]:])|(?<=:)\d+[smhd](?=\])|(?<=offset )\d+[smhd]",
                                lambda m: faster(m.group()), rule["expr"])
            for shipped, changed in limits.pop((rule["alert"], rule["labels"]["severity"]), ()):
                assert expression.count(shipped) == 1, f"{rule['alert']}: '{shipped}' is not once in {expression}"
                expression = expression.replace(shipped, changed)
            rule["expr"] = expression
    assert not limits, f"no such alerts: {limits}"
    return {"groups": groups}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    """Debian's Prometheus on its own folder. `watch("worker", [ADDRESS…])` sets what is scraped."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.targets = self.folder / "targets"
        self.targets.mkdir(parents=True)
        self.process = None

    def start(self):
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        (self.folder / "alerts.yml").write_text(json.dumps(scaled_alerts()), encoding="utf-8")
        config["rule_files"] = ["alerts.yml", str(RULES / "muster-records.yml")]
        for scrape in config["scrape_configs"]:
            for discovery in scrape["file_sd_configs"]:
                discovery["refresh_interval"] = "1s"
        (self.folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
        self.address = f"127.0.0.1:{free_port()}"
        self.output = open(self.folder / "prometheus.log", "ab")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
             f"--web.listen-address={self.address}"], stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL)
        wait_until("prometheus is ready", self.is_ready, 30)

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "prometheus.log").read_text(errors="replace"))
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
            self.output.close()

    def watch(self, server, addresses):
        new = self.targets / f".muster-{server}.new"
        new.write_text(json.dumps([{"targets": [address]} for address in addresses]), encoding="utf-8")
        new.rename(self.targets / f"muster-{server}.json")

    def get(self, path, **words):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                return json.loads(reply.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error

    def query(self, expression):
        """[(labels, value)] now."""
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=expression)["result"]]

    def query_range(self, expression, start, end, step):
        """[(labels, [value])], only numbers: a panel shows no NaN."""
        found = self.get("query_range", query=expression, start=start, end=end, step=step)["result"]
        series = [(one["metric"], [float(value) for _, value in one["values"] if value not in ("NaN", "+Inf", "-Inf")])
                  for one in found]
        return [(labels, values) for labels, values in series if values]

    def alerts(self, name, **labels):
        """Alerts of that name that fire now and have the labels."""
        return [alert for alert in self.get("alerts")["alerts"]
                if alert["state"] == "firing" and alert["labels"]["alertname"] == name
                and all(alert["labels"].get(key) == value for key, value in labels.items())]

    def wait_until_fires(self, name, seconds=60, **labels):
        def fires():
            found = self.alerts(name, **labels)
            return found[0] if found else None
        alert = wait_until(f"{name} {labels} fires", fires, seconds, every=0.1)
        for text in alert["annotations"].values():
            assert "<no value>" not in text and "error expanding" not in text, text
        return alert

    def wait_until_clear(self, name, seconds=60, **labels):
        wait_until(f"{name} {labels} is clear", lambda: not self.alerts(name, **labels), seconds, every=0.1)

"""Checks Prometheus' configuration and rules with promtool, and that each alert is complete, tested and documented."""
import pathlib
import re
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "rules/muster-alerts.yml"
# The names that users route and silence by.
ALERTS = {"MusterCoordinatorAbsent", "MusterDataServerAbsent", "MusterJobWaitsWhileSlotsAreFree", "MusterNoStepProgress",
          "MusterWorkerLost", "MusterAttemptsRestarting", "MusterSamplesMissingOrRepeated", "MusterStaleWriteBurst",
          "MusterCheckpointTooOld", "MusterStateVolumeFilling", "MusterGpuErrors", "MusterRanksDisagree",
          "MusterCertificateExpires", "MusterRpcErrors", "MusterGarbageCollectionFailing", "MusterBackupTooOld",
          "MusterJobsFailing"}


def alerts():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def streaming_methods():
    """The methods of the API whose request or reply is a stream."""
    return {name for path in (ROOT / "proto").rglob("*.proto")
            for name, request, reply in re.findall(r"rpc (\w+)\s*\(([^)]*)\)\s*returns\s*\(([^)]*)\)", path.read_text(encoding="utf-8"))
            if "stream " in request + reply}


def alertmanager():
    return yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text(encoding="utf-8"))


def matched(matchers, label):
    """The values of the label that the matchers allow: 'alertname =~ "A|B"' → {"A", "B"}."""
    found = [re.fullmatch(rf'{label} ?=~? ?"([^"]+)"', matcher) for matcher in matchers]
    return {value for match in found if match for value in match.group(1).split("|")}


def promtool(*words):
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


class PrometheusRules(unittest.TestCase):
    def test_promtool_accepts_the_configuration_and_the_rules(self):
        for words in (["check", "config", PROMETHEUS / "prometheus.yml"], ["check", "rules", *(PROMETHEUS / "rules").glob("*.yml")]):
            code, output = promtool(*words)
            self.assertEqual(code, 0, output)

    def test_each_alert_fires_above_its_threshold_alone_and_clears(self):
        code, output = promtool("test", "rules", *(PROMETHEUS / "tests").glob("*_test.yml"))
        self.assertEqual(code, 0, output)

    def test_the_alerts_are_those_that_are_promised(self):
        self.assertEqual({rule["alert"] for rule in alerts()}, ALERTS)

    def test_each_alert_has_a_unit_test_that_fires_it_for_each_of_its_severities(self):
        tests = [test for path in (PROMETHEUS / "tests").glob("*_test.yml")
                 for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
        fired = set()
        for test in tests:
            for check in test["promql_expr_test"]:
                for sample in check["exp_samples"]:
                    fired.add(tuple(re.findall(r'"([^"]+)"', sample["labels"])))
            self.assertEqual(test["promql_expr_test"][0]["exp_samples"], [], f"{test['name']}: nothing fires before")
        self.assertEqual(fired, {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()})

    def test_each_alert_says_what_is_wrong_and_what_to_do_and_has_a_runbook(self):
        runbooks = ROOT / "docs/operate/runbooks"
        table = (runbooks / "index.md").read_text(encoding="utf-8")
        for rule in alerts():
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("page", "warning"))
                self.assertGreater(len(rule["annotations"]["summary"]), 20)
                self.assertGreater(len(rule["annotations"]["description"]), 60)
                self.assertEqual(rule["annotations"]["runbook_url"], f"docs/operate/runbooks/{rule['alert']}.md")
                page = (runbooks / f"{rule['alert']}.md").read_text(encoding="utf-8")
                self.assertTrue(page.startswith(f"# {rule['alert']}\n"))
                for part in (rule["labels"]["severity"], "**Fires when**", "**Impact:**", "**Usual causes:**", "\n1. "):
                    self.assertIn(part, page)
                self.assertIn(f"({rule['alert']}.md)", table)

    def test_latency_is_measured_without_streams(self):
        text = (PROMETHEUS / "rules/muster-records.yml").read_text(encoding="utf-8")
        excluded = set(re.search(r'method!~"\.\*/\(([^)]*)\)"', text).group(1).split("|"))
        methods = {name for path in (ROOT / "proto").rglob("*.proto")
                   for name in re.findall(r"rpc (\w+)", path.read_text(encoding="utf-8"))}
        self.assertEqual(excluded - methods, set(), "no such methods")
        self.assertEqual(streaming_methods() - excluded, set(), "streams")

    def test_an_alert_is_inhibited_only_by_one_that_is_at_least_as_urgent(self):
        severities = {name: {rule["labels"]["severity"] for rule in alerts() if rule["alert"] == name} for name in ALERTS}
        rules = alertmanager()["inhibit_rules"]
        self.assertTrue(rules)
        for rule in rules:
            with self.subTest(rule):
                sources, targets = (matched(rule[key], "alertname") for key in ("source_matchers", "target_matchers"))
                self.assertTrue(sources and targets)
                self.assertEqual((sources | targets) - ALERTS, set(), "no such alerts")
                pages = all("page" in severities[name] for name in sources)
                only_warnings = all(severities[name] == {"warning"} for name in targets) or \
                    matched(rule["target_matchers"], "severity") == {"warning"}
                self.assertTrue(only_warnings, "a page is never inhibited")
                self.assertTrue(pages or sources.isdisjoint(targets))

    def test_alertmanager_routes_both_severities_to_receivers_that_exist(self):
        config = alertmanager()
        receivers = {receiver["name"] for receiver in config["receivers"]}
        routes = config["route"]["routes"]
        self.assertEqual({value for route in routes for value in matched(route["matchers"], "severity")}, {"page", "warning"})
        self.assertEqual({config["route"]["receiver"], *(route["receiver"] for route in routes)}, receivers)

    def test_each_runbook_is_of_an_alert(self):
        pages = {path.stem for path in (ROOT / "docs/operate/runbooks").glob("*.md")}
        self.assertEqual(pages, ALERTS | {"index"})


if __name__ == "__main__":
    unittest.main(verbosity=2)

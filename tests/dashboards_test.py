"""The dashboards: as the generator makes them, within Grafana's schema, with expressions that Prometheus understands."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
GRAFANA = ROOT / "deploy/grafana"
sys.path.insert(0, str(GRAFANA / "generator"))

import generate  # noqa: E402
from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: E402
from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: E402

COMMITTED = {path.stem: path.read_text(encoding="utf-8") for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


class Dashboards(unittest.TestCase):
    def test_committed_files_are_what_the_generator_makes(self):
        self.assertEqual(set(COMMITTED), set(generate.DASHBOARDS))
        for name, module in generate.DASHBOARDS.items():
            self.assertEqual(generate.encode(module.build()), COMMITTED[name],
                             f"{name}: run deploy/grafana/generator/generate.py and commit what it writes")

    def test_the_schema_of_grafana_keeps_every_field(self):
        # The SDK drops unknown fields and accepts wrong types silently, so a round trip must reproduce the file.
        register_default_plugins()
        for name, text in COMMITTED.items():
            again = json.loads(generate.encode(Dashboard.from_json(json.loads(text))))
            self.assertEqual(again, json.loads(text), name)

    def test_panels_have_a_place_of_their_own_and_a_number(self):
        for name, text in COMMITTED.items():
            board, taken = json.loads(text), {}
            numbers = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(numbers), len(set(numbers)), name)
            for panel in board["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, f"{name}: {panel['title']}")
                for x in range(place["x"], place["x"] + place["w"]):
                    for y in range(place["y"], place["y"] + place["h"]):
                        self.assertNotIn((x, y), taken, f"{name}: {panel['title']} over {taken.get((x, y))}")
                        taken[x, y] = panel["title"]

    def test_panels_ask_the_chosen_data_source(self):
        for name, text in COMMITTED.items():
            board = json.loads(text)
            self.assertEqual(board["templating"]["list"][0]["name"], "datasource", name)
            for panel in panels(board):
                self.assertGreaterEqual(len(panel["targets"]), 1, panel["title"])
                for asked in (panel, *panel["targets"]):
                    self.assertEqual(asked["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])

    def test_prometheus_understands_each_expression(self):
        rules = []
        for name, text in COMMITTED.items():
            for panel in panels(json.loads(text)):
                for target in panel["targets"]:
                    expression = target["expr"].replace("$__rate_interval", "1m").replace("$job", "j-1")
                    self.assertNotIn("$", expression, f"{name}: {panel['title']}: a variable that no dashboard defines")
                    rules.append({"record": f"panel_{len(rules)}", "expr": expression})
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "panels.yml")
            path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
            done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60,
                                  env=os.environ)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Reports of real jobs: the guide's commands run, and the commands on a report's page repeat the job."""
import csv
import html
import io
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import BIN, ROOT, TopicsCase  # noqa: E402
import report_jobs  # noqa: E402

GUIDE = ROOT / "docs/guides/reports.md"


class Report(TopicsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ids = report_jobs.train(cls.cluster)

    def shell(self, folder, command):
        """Runs the command as a user's shell would, with the built `muster` on the path."""
        folder.mkdir(exist_ok=True)
        environment = {**self.cluster.environment(), "PATH": f"{BIN}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(0, done.returncode, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def page(self, *words):
        file = self.cluster.folder / "page.html"
        self.cluster.ok("report", *words, "--out", file)
        return file.read_text(encoding="utf-8")

    def losses(self, job):
        rows = csv.DictReader(io.StringIO(self.cluster.ok("get", job, "--metrics", "csv").out))
        return [row["loss"] for row in rows]

    def test_every_command_of_the_guide_runs(self):
        folder = self.cluster.folder / "guide"
        folder.mkdir()
        (folder / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{q}\td{q}\t1\n" for q in range(40)))
        for name, wrong in (("first", 3), ("second", 5)):
            (folder / f"{name}.run").write_text("".join(f"q{q} Q0 d{q if q % wrong else 99} 1 1 x\n" for q in range(40)))
        commands = re.findall(r"^    (muster [^\n]+)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
        self.assertGreaterEqual(len(commands), 3)
        for command in commands:
            self.shell(folder, command)
        self.assertLessEqual({"first.html", "objectives.html"}, {file.name for file in folder.iterdir()})

    def test_the_page_has_the_figures_of_the_job(self):
        page = self.page("first")
        for metric, value in self.cluster.job(self.ids[0])["evaluations"][-1]["metrics"].items():
            self.assertIn(f"<tr><td>{metric}</td>", page)
            self.assertIn(f"<td>{value:.4f}</td>", page)
        losses = self.losses(self.ids[0])
        self.assertEqual(30, len(losses))
        shown = re.search(r'<strong>Loss</strong>.*? data-v="([^"]*)"', page, re.DOTALL)[1].split("|")
        self.assertEqual([f"{float(loss):.5g}" for loss in losses], shown)
        self.assertLess(len(page), 300_000)

    def test_the_commands_on_the_page_repeat_the_job(self):
        for job in self.ids:  # the second one's prompt would run a command, if it could end its line
            page = self.page(job)
            commands = html.unescape(re.search(r"<pre><code>(cat .*?)</code></pre>", page, re.DOTALL)[1])
            folder = self.cluster.folder / f"again-{job}"
            again = re.match(r"job (\S+) ", self.shell(folder, commands))[1]
            self.assertEqual([file.suffix for file in folder.iterdir()], [".yaml"], "nothing else was written")
            self.assertEqual(self.losses(job), self.losses(again))
            old, new = self.cluster.job(job), self.cluster.job(again)
            self.assertEqual(old["spec"], new["spec"])
            self.assertEqual([e["metrics"] for e in old["evaluations"]], [e["metrics"] for e in new["evaluations"]])
            self.cluster.ok("job", "rm", again, "--yes")  # so that its name is the first one's again

    def test_a_comparison_names_what_differs(self):
        page = self.page("first", "second")
        rows = set(re.findall(r"<tr><td>([a-z_.]+)</td><td>[^<]*</td><td>[^<]*</td></tr>", page.split("Settings that differ")[1]
                              .split("</section>")[0]))
        self.assertEqual({"model.max_length.query", "model.prompts.query", "loss.objective", "loss.temperature", "duration.steps"}, rows)


if __name__ == "__main__":
    unittest.main()

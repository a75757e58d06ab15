"""What an evaluation on a real cluster leaves behind: values by query, rankings, intervals, and comparisons of jobs from them."""
import csv
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import Cluster, push_topics, topics_job, write_topics  # noqa: E402

LENGTHS = ("--set", "model.max_length={query: 16, passage: 16}")
METRICS = ("ndcg@10", "mrr", "precision@5", "map")


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class EvaluationResults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=2)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        push_topics(cls.cluster, twins=True)
        cls.cluster.ok("data", "import", "other", write_topics(cls.cluster.folder / "other", queries_per_topic=8, seed=11))
        cls.report = {"dataset": "topics", "split": "test", "metrics": ["precision@5"], "run_depth": 100}
        for name, steps in (("first", 4), ("second", 20)):
            job_id = cls.cluster.submit(topics_job(name, duration={"steps": steps}, report=cls.report))
            cls.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        cls.results = cls.cluster.folder / "results"
        cls.done = cls.cluster.ok("eval", "job:second", "topics", "other", "--metric", "precision@5", "--metric", "map", "--run-depth",
                                  100, "--intervals", "--out", cls.results, *LENGTHS)

    def job_ids(self):
        return {row["dataset"]: row["job"] for row in rows_of(self.results / "summary.csv")}

    def score(self, run, dataset, per_query):
        """The same values, from the run file and the judgments as they were imported."""
        flags = [word for metric in METRICS for word in ("--metric", metric)]
        return self.cluster.ok("score", run, "--qrels", self.cluster.folder / dataset / "qrels/test.tsv", "--per-query", per_query,
                               "--output", "json", *flags).json()["runs"][0]

    def test_scores_of_the_run_file_equal_the_stored_values_and_intervals(self):
        summary = {(row["dataset"], row["metric"]): row for row in rows_of(self.results / "summary.csv")}
        for dataset in ("topics", "other"):
            folder = self.results / dataset / "test"
            per_query = self.cluster.folder / f"{dataset}-scores.csv"
            scored = self.score(folder / "run.trec", dataset, per_query)
            stored = {row["query"]: row for row in rows_of(folder / "queries.csv")}
            scores = rows_of(per_query)
            self.assertEqual(len(scores), len(METRICS) * len(stored))
            for row in scores:
                self.assertEqual(float(stored[row["query"]][row["metric"]]), float(row["value"]), row)
            for metric in METRICS:
                row, expected = summary[dataset, metric], scored["metrics"][metric]
                for column in ("mean", "low", "high"):
                    self.assertAlmostEqual(float(row[column]), expected[column], 12, f"{dataset} {metric} {column}")
                self.assertEqual(int(row["queries"]), scored["queries"])
        table = self.done.out[self.done.out.index("95% intervals"):]
        self.assertIn("METRIC", table)
        self.assertIn("other/test", table)

    def test_the_summary_has_what_the_command_prints_as_json(self):
        summary = json.loads((self.results / "summary.json").read_text())
        self.assertEqual([e["dataset"] for e in summary["evaluations"]], ["topics", "other"])
        for evaluation in summary["evaluations"]:
            self.assertEqual(set(evaluation["metrics"]), set(evaluation["intervals"]))
            self.assertLessEqual({"precision@5", "map"}, set(evaluation["metrics"]))
            for metric, interval in evaluation["intervals"].items():
                self.assertLessEqual(interval["low"], evaluation["metrics"][metric] + 1e-12)
                self.assertGreaterEqual(interval["high"], evaluation["metrics"][metric] - 1e-12)

    def test_get_writes_the_same_files_and_garbage_collection_keeps_them(self):
        self.cluster.ok("gc")
        for dataset, job_id in self.job_ids().items():
            values, run = self.cluster.folder / f"{dataset}.csv", self.cluster.folder / f"{dataset}.run"
            self.cluster.ok("get", job_id, "--query-values", values)
            self.cluster.ok("get", job_id, "--run", run)
            self.assertEqual(values.read_bytes(), (self.results / dataset / "test/queries.csv").read_bytes())
            self.assertEqual(run.read_bytes(), (self.results / dataset / "test/run.trec").read_bytes())
            refused = self.cluster.muster("get", job_id, "--metrics", "csv")
            self.assertEqual(refused.code, 6, refused)
            self.assertIn("takes no step", refused.err)

    def test_a_trained_job_stores_what_an_evaluation_of_its_model_stores(self):
        values, run = self.cluster.folder / "second.csv", self.cluster.folder / "second.run"
        self.cluster.ok("get", "second", "--query-values", values)
        self.cluster.ok("get", "second", "--run", run)
        evaluated = {row["query"]: row for row in rows_of(self.results / "topics/test/queries.csv")}
        for row in rows_of(values):
            self.assertEqual(row, {column: evaluated[row["query"]][column] for column in row})
        ranked = [line.split()[:4] for line in run.read_text().splitlines()]
        self.assertEqual(ranked, [line.split()[:4] for line in (self.results / "topics/test/run.trec").read_text().splitlines()])
        trained = {e["label"]: e["metrics"] for e in self.cluster.job("second")["evaluations"]}["trained"]
        self.assertAlmostEqual(trained["precision@5"], sum(float(row["precision@5"]) for row in rows_of(values)) / len(rows_of(values)))

    def test_jobs_are_compared_by_their_stored_values(self):
        per_query = self.cluster.folder / "compared.csv"
        found = self.cluster.ok("compare", "first", "second", "--metric", "ndcg@10", "--metric", "precision@5", "--per-query", per_query,
                                "--output", "json").json()
        metrics = {name: {e["label"]: e["metrics"] for e in self.cluster.job(name)["evaluations"]}["trained"]
                   for name in ("first", "second")}
        for one in found["metrics"]:
            self.assertAlmostEqual(one["a"]["mean"], metrics["first"][one["metric"]], 12)
            self.assertAlmostEqual(one["b"]["mean"], metrics["second"][one["metric"]], 12)
            rows = [row for row in rows_of(per_query) if row["metric"] == one["metric"]]
            self.assertEqual(len(rows), found["queries"])
            self.assertAlmostEqual(one["difference"]["mean"], sum(float(row["difference"]) for row in rows) / len(rows), 12)
        self.assertEqual({row["query"] for row in rows_of(per_query)},
                         {row["query"] for row in rows_of(self.results / "topics/test/queries.csv")}, "ids")
        # The same as a comparison of the run files of both.
        runs = [self.cluster.folder / f"compared-{name}.run" for name in ("first", "second")]
        for name, run in zip(("first", "second"), runs):
            self.cluster.ok("get", name, "--run", run)
        files = self.cluster.ok("compare", *runs, "--qrels", self.cluster.folder / "topics/qrels/test.tsv", "--metric", "ndcg@10",
                                "--metric", "precision@5", "--output", "json").json()
        for one, other in zip(found["metrics"], files["metrics"]):
            self.assertEqual((one["p"], one["p_holm"], one["verdict"]), (other["p"], other["p_holm"], other["verdict"]))

    def test_equal_jobs_are_called_equal_and_several_are_compared_with_the_first(self):
        again = self.cluster.ok("eval", "job:second", "topics", "--output", "json", *LENGTHS).json()["id"]
        ids = self.job_ids()
        same = self.cluster.ok("compare", again, ids["topics"])
        self.assertIn("ndcg@10: both runs have the same value for all of 18 queries.", same.out)
        several = self.cluster.ok("compare", "first", "second", again, "--output", "json").json()
        self.assertEqual([len(one["metrics"]) for one in several["comparisons"]], [1, 1])
        self.assertEqual(len({one["metrics"][0]["p_holm"] for one in several["comparisons"]}), 1, "the same model twice")
        table = self.cluster.ok("compare", "first", "second", again).out
        self.assertIn("C-A", table)
        self.assertIn("ndcg@10: ", table)

    def test_what_cannot_be_compared_names_what_differs(self):
        ids = self.job_ids()
        for words, texts in (((ids["topics"], ids["other"]), ("cannot be compared query by query", "dataset topics (", "dataset other (")),
                             (("first", "second", "--metric", "ndcg@3"), ("has not measured ndcg@3", "precision@5")),
                             (("first", "first"), ("is given twice",)),
                             (("first",), ("1 run given. Name 2 to 26",)),
                             (("first", self.results / "topics/test/run.trec"), ("is a file", "add --qrels FILE"))):
            refused = self.cluster.muster("compare", *words)
            self.assertEqual(refused.code, 2, refused)
            for text in texts:
                self.assertIn(text, refused.err)

    def test_wrong_settings_are_refused_by_name_before_anything_runs(self):
        before = self.cluster.ok("jobs", "--output", "json").json()["jobs"]
        for words, text in ((("--metric", "ndcg@5", "--metric", "p@5"), "report.metrics[1]: unknown metric \"p@5\""),
                            (("--metric", "mrr@3", "--metric", "mrr@3"), "report.metrics[1]: \"mrr@3\" is in the list already"),
                            (("--set", "report.run_depth=10001"), "report.run_depth: is 10001"),
                            (("--out", self.results), "results")):
            refused = self.cluster.muster("eval", "job:second", "topics", *words, *LENGTHS)
            self.assertNotEqual(refused.code, 0, refused)
            self.assertIn(text, refused.err)
        self.assertEqual(len(self.cluster.ok("jobs", "--output", "json").json()["jobs"]), len(before))

    def test_a_name_with_other_content_gives_numbers_in_place_of_ids(self):
        self.cluster.ok("data", "import", "renamed", write_topics(self.cluster.folder / "renamed", queries_per_topic=4, seed=12))
        job_id = self.cluster.ok("eval", "job:second", "renamed", "--run-depth", 5, "--output", "json", *LENGTHS).json()["id"]
        self.cluster.ok("data", "import", "renamed", self.cluster.folder / "other", "--replace")
        values = self.cluster.folder / "renamed.csv"
        written = self.cluster.ok("get", job_id, "--query-values", values)
        self.assertIn("has other content now", written.err)
        self.assertNotIn("query", rows_of(values)[0])
        self.assertEqual([int(row["number"]) for row in rows_of(values)], list(range(6)))
        refused = self.cluster.muster("get", job_id, "--run", self.cluster.folder / "renamed.run")
        self.assertEqual(refused.code, 6, refused)
        self.assertIn("has other content now", refused.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)

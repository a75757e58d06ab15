"""The shared retrieval sets, unmodified: zero-shot figures of MiniLM on scifact, and a tiny model on banking77-intent."""
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from cluster import MINILM, SHARED, Cluster  # noqa: E402


@unittest.skipUnless((SHARED / "data").is_dir(), "../shared/data is absent: scifact and banking77-intent are left out")
class SharedSets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(slots=2)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def test_untouched_minilm_scores_on_scifact_what_sentence_transformers_scores(self):
        cluster = self.cluster
        cluster.ok("models", "push", "all-minilm-l6-v2", MINILM)
        cluster.ok("data", "import", "scifact", SHARED / "data/scifact")
        job = {"name": "scifact-zero-shot", "model": {"from": "all-minilm-l6-v2", "max_length": {"query": 256, "passage": 256}},
               "duration": {"steps": 0}, "report": {"dataset": "scifact", "split": "test"},
               "resources": {"device": "cpu", "slots": {"min": 2}}}
        done = cluster.wait_for_phase(cluster.submit(job), "JOB_PHASE_SUCCEEDED", seconds=600)
        metrics = done["evaluations"][0]["metrics"]
        print("scifact zero-shot", metrics, "seconds", done["evaluations"][0]["seconds"])
        self.assertAlmostEqual(metrics["ndcg@10"], 0.6451, delta=0.0005)
        self.assertAlmostEqual(metrics["mrr"], 0.6110, delta=0.0005)
        self.assertAlmostEqual(metrics["recall@100"], 0.925, delta=0.0005)

    def test_scifact_trains_unmodified(self):
        cluster = self.cluster
        cluster.ok("models", "push", "all-minilm-l6-v2", MINILM)
        cluster.ok("data", "import", "scifact", SHARED / "data/scifact")
        job = {"name": "scifact-steps", "model": {"from": "all-minilm-l6-v2"}, "data": {"train": "scifact"},
               "loss": {"objective": "lsepair"}, "duration": {"steps": 4}, "resources": {"device": "cpu", "slots": {"min": 2}}}
        done = cluster.wait_for_phase(cluster.submit(job), "JOB_PHASE_SUCCEEDED", seconds=300)
        self.assertEqual(int(done["progress"]["step"]), 4)

    def test_a_tiny_model_learns_banking77_intent(self):
        cluster = self.cluster
        cluster.ok("models", "push", "bert-vocab", SHARED / "data/bert-vocab")
        cluster.ok("data", "import", "banking77-intent", SHARED / "data/banking77-intent")
        job = json.loads((pathlib.Path(__file__).parent / "banking77_job.json").read_text())
        started = time.monotonic()
        done = cluster.wait_for_phase(cluster.submit(job), "JOB_PHASE_SUCCEEDED", seconds=900)
        scores = {e["label"]: e["metrics"]["ndcg@10"] for e in done["evaluations"]}
        print("banking77-intent", scores, "seconds with both evaluations", time.monotonic() - started,
              "training", done["progress"]["train_seconds"])
        self.assertGreaterEqual(scores["trained"], 0.80)


if __name__ == "__main__":
    unittest.main(verbosity=2)

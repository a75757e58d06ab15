"""A job with stages on a real cluster: the bytes of its export are those of jobs that follow each other."""
import hashlib
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job  # noqa: E402


class Stages(TopicsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Every second judgment of the training split again, with another source, in addition to those of the import.
        folder = cls.cluster.folder
        rows = (folder / "topics/qrels/train.tsv").read_text().splitlines()
        (folder / "llm.tsv").write_text("\n".join([rows[0], *rows[1::2]]) + "\n")
        cls.cluster.ok("data", "add", "topics", folder / "llm.tsv", "--split", "train", "--source", "llm")

    def model_of(self, job_id):
        target = self.cluster.folder / f"export-{job_id}"
        self.cluster.ok("export", job_id, target)
        return hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest(), (target / "README.md").read_text()

    def train(self, name, **changes):
        job = topics_job(name, **changes)
        del job["report"]
        if "stages" in job:
            del job["duration"]
        return self.cluster.wait_for_phase(self.cluster.submit(job), "JOB_PHASE_SUCCEEDED")

    def test_a_staged_job_exports_the_bytes_of_chained_jobs(self):
        first = {"sources": ["llm"], "epochs": 2}
        second = {"sources": ["human"], "steps": 5, "learning_rate": 3e-4, "schedule": "cosine"}
        staged = self.train("staged", stages=[first, second])
        whole, card = self.model_of(staged["id"])
        resolved = staged["resolved"]
        self.assertEqual([int(stage["steps"]) for stage in resolved["stages"]][1], 5)
        self.assertEqual(int(resolved["total_steps"]), sum(int(stage["steps"]) for stage in resolved["stages"]))
        self.assertEqual((staged["progress"]["stage"], staged["progress"]["stages"]), (2, 2))
        self.assertIn("| stages | llm 2 epochs; human 5 steps |", card)

        before = self.train("first", data={"train": "topics", "positives": {"per_query": 3, "sources": ["llm"]}}, duration={"epochs": 2})
        model = {"from": f"job:{before['id']}", "max_length": {"query": 16, "passage": 16}}
        after = self.train("second", model=model, data={"train": "topics", "positives": {"per_query": 3, "sources": ["human"]}},
                           optimizer={"learning_rate": 3e-4, "schedule": "cosine"}, duration={"steps": 5})
        self.assertEqual(self.model_of(after["id"])[0], whole)
        self.assertNotEqual(self.model_of(before["id"])[0], whole)

    def test_a_dry_run_shows_the_stages(self):
        path = self.cluster.folder / "dry.yaml"
        path.write_text("name: dry\nmodel: {preset: tiny, tokenizer: small-vocab}\ndata: {train: topics}\n"
                        "stages:\n  - {sources: [llm], epochs: 1}\n  - {sources: [human], steps: 7}\n")
        shown = self.cluster.ok("submit", path, "--dry-run").out
        self.assertRegex(shown, r"stage 2 +7 steps, \d+ per epoch, \d+ queries")
        refused = self.cluster.muster("submit", path, "--set", "stages=[{sources: [clicks], epochs: 1}]")
        self.assertEqual(refused.code, 2, refused)
        self.assertIn('stages[0]: data.positives.sources: dataset "topics" has no judgments of source "clicks"', refused.err)


if __name__ == "__main__":
    unittest.main()

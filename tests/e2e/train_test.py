"""The whole path: import, push, submit, watch, export, through the CLI of a real cluster."""
import csv
import io
import json
import pathlib
import sys
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job  # noqa: E402


class Train(TopicsCase):
    def test_trains_reports_before_and_after_and_exports(self):
        cluster = self.cluster
        path = cluster.folder / "job.yaml"
        path.write_text(json.dumps(topics_job("whole-path", profile="sentence-transformers",
                                              loss={"objective": "lsepair", "matryoshka_dimensions": [128, 32]})))
        before = self.dry_run(path)
        # Jobs of this class's other tests count as similar jobs if they ran before.
        unknown = "no like job" in before["preview"]["notes"][0]
        self.assertEqual(before["preview"]["seconds"] == 0, unknown, before["preview"])
        done = cluster.ok("submit", path, "--wait", "--request-id", "whole-path-1")
        for word in ("untrained", "trained", "ndcg@10"):
            self.assertIn(word, done.out)
        self.assertIn("loss", done.err, "progress goes to standard error where standard output is not a terminal")
        again = cluster.ok("submit", path, "--request-id", "whole-path-1", "--output", "json").json()
        job = cluster.job(again["id"])
        self.assertEqual(job["phase"], "JOB_PHASE_SUCCEEDED", job)
        scores = {e["label"]: e["metrics"]["ndcg@10"] for e in job["evaluations"]}
        print("ndcg@10", scores)
        self.assertGreater(scores["trained"], scores["untrained"] + 0.2)
        after = self.dry_run(path)
        self.assertEqual(after["job"]["spec"], job["spec"], "what is stored is what was shown")
        self.assertEqual(after["job"]["resolved"], job["resolved"])
        self.assertGreater(after["preview"]["seconds"], 0)
        self.assertIn(f"as job {job['id']} ran", after["preview"]["notes"][0])
        self.assertEqual(len(job["attempts"]), 1)
        self.assertEqual(sorted(rank.get("rank", 0) for rank in job["attempts"][0]["ranks"]), [0, 1])

        target = cluster.folder / "exported"
        cluster.ok("export", again["id"], target)
        for name in ("config.json", "model.safetensors", "modules.json", "vocab.txt", "1_Pooling/config.json", "README.md",
                     "config_sentence_transformers.json", "sentence_bert_config.json"):
            self.assertTrue((target / name).is_file(), name)
        self.assertIn("| matryoshka dimensions | 128, 32 |", (target / "README.md").read_text())
        refused = cluster.muster("export", again["id"], target)
        self.assertNotEqual(refused.code, 0)
        self.assertIn(str(target), refused.err)

        # The export is a model, too: an evaluation job on it gives the same score as the report.
        cluster.ok("models", "push", "trained-topics", target)
        alone = cluster.ok("eval", "trained-topics", "topics", "--split", "test", "--output", "json").json()
        self.assertAlmostEqual(alone["metrics"]["ndcg@10"], scores["trained"], places=4)
        self.assertIn("mrr", alone["metrics"])
        self.assertIn("recall@100", alone["metrics"])
        self.assertEqual([e["label"] for e in alone["evaluations"]], ["trained-topics"], "what was measured, which is not untrained")
        self.assertEqual(cluster.ok("eval", f"job:{job['id']}", "topics", "--output", "json").json()["evaluations"][0]["label"],
                         f"job:{job['id']}")
        several = cluster.ok("eval", "trained-topics", "topics", "topics/train", "--output", "json").json()
        self.assertEqual([("topics", "test"), ("topics", "train")], [(e["dataset"], e["split"]) for e in several["evaluations"]])
        self.assertEqual(alone["metrics"], several["evaluations"][0]["metrics"], "as if it were measured alone")
        self.assertAlmostEqual(several["means"]["mrr"], sum(e["metrics"]["mrr"] for e in several["evaluations"]) / 2)

        # The specification that `get` prints is a job file.
        for output in ("json", "yaml"):
            printed = cluster.ok("get", job["id"], "--output", output).out
            spec = json.loads(printed)["spec"] if output == "json" else yaml.safe_load(printed)["spec"]
            copy = cluster.folder / f"copy.{output}"
            copy.write_text(json.dumps(spec) if output == "json" else yaml.safe_dump(spec))
            copied = cluster.ok("submit", copy, "--output", "json").json()["id"]
            cluster.ok("cancel", copied)
            self.assertEqual(cluster.job(copied)["spec"], job["spec"])

    def dry_run(self, path):
        """Prints what the job would do. Nothing is submitted or stored."""
        def known():
            stored = {str(file) for place in ("data/tokens", "data/blobs", "data/datasets", "data/scratch")
                      for file in (self.cluster.state / place).rglob("*")}
            return self.cluster.ok("jobs", "--output", "json").json(), stored
        before = known()
        shown = self.cluster.ok("submit", path, "--dry-run").out
        self.assertIn("nothing was submitted", shown)
        answer = self.cluster.ok("submit", path, "--dry-run", "--output", "json").json()
        self.assertEqual(known(), before, "it left a trace")
        preview = answer["preview"]
        print("dry run", preview)
        self.assertEqual(preview["total_steps"], "40")
        self.assertGreater(preview["tokens_per_step"], 16 * 3)
        self.assertGreaterEqual(int(preview["largest_step_tokens"]), preview["tokens_per_step"])
        self.assertGreater(preview["negatives_per_query"], 1)
        self.assertGreater(int(preview["bytes_per_rank"]), 1 << 20)
        return answer

    def test_every_objective_trains(self):
        for objective in ("jointlh", "jointlh_sum", "rand1lh", "summarglh", "lsepair", "mean1lh"):
            with self.subTest(objective):
                rate = 3e-4 if objective == "jointlh_sum" else 1e-3
                job = topics_job("objective-" + objective.replace("_", "-"), loss={"objective": objective},
                                 optimizer={"learning_rate": rate}, checkpoint={"every_steps": 100})
                job_id = self.cluster.submit(job)
                done = self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=120)
                scores = {e["label"]: e["metrics"]["ndcg@10"] for e in done["evaluations"]}
                print(objective, scores)
                self.assertGreater(scores["trained"], scores["untrained"] + 0.1)

    def test_a_flagembedding_file_trains(self):
        cluster = self.cluster
        path = cluster.folder / "pairs.jsonl"
        with open(path, "w") as out:
            for n in range(24):
                topic = ("apple", "iron", "horse")[n % 3]
                out.write(json.dumps({"query": f"{topic} {n}", "pos": [f"{topic} cherry {n}", f"{topic} zinc"], "neg": ["wolf"]}) + "\n")
        cluster.ok("data", "import", "pairs", path)
        shown = cluster.ok("data", "show", "pairs", "--output", "json").json()
        self.assertEqual([(s["name"], int(s["queries"])) for s in shown["splits"]], [("train", 24)])
        job = topics_job("flag", data={"train": "pairs", "negatives": {"per_query": 1}}, duration={"epochs": 2}, batch={"queries": 7})
        del job["report"]
        done = cluster.wait_for_phase(cluster.submit(job), "JOB_PHASE_SUCCEEDED")
        self.assertEqual(int(done["progress"]["step"]), 2 * 4)

    def test_a_teachers_scores_train_with_and_without_the_objective(self):
        cluster = self.cluster
        path = cluster.folder / "taught.jsonl"
        with open(path, "w") as out:
            for n in range(24):
                topic, other = (("apple", "iron"), ("iron", "horse"), ("horse", "apple"))[n % 3]
                documents = [f"{topic} cherry {n}", f"{topic} zinc", f"{other} wolf", "wolf"]
                out.write(json.dumps({"query": f"{topic} {n}", "documents": documents, "scores": [4, 4.5, -1, -3]}) + "\n")
        cluster.ok("data", "import", "taught", path)
        data = {"train": "taught", "negatives": {"per_query": 3}}
        untaught = cluster.folder / "untaught.yaml"
        untaught.write_text(json.dumps(topics_job("untaught", loss={"distill": {"kind": "kl"}})))
        self.assertIn('no judgment of split "train" has a teacher\'s score', cluster.muster("submit", untaught).err)
        for kind, only in (("kl", False), ("margin_mse", True)):
            with self.subTest(kind):
                loss = {"temperature": 1, "distill": {"kind": kind, "temperature": 4, "only": only}}
                job = topics_job("taught-" + kind.replace("_", "-"), data=data, loss=loss, duration={"epochs": 4}, batch={"queries": 8},
                                 checkpoint={"every_steps": 100})
                del job["report"]
                job_id = cluster.submit(job)
                done = cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
                self.assertEqual(int(done["progress"]["step"]), 4 * 3)
                steps = list(csv.DictReader(io.StringIO(cluster.ok("get", job_id, "--metrics", "csv").out)))
                losses = [float(step["loss"]) for step in steps]
                print(kind, losses)
                self.assertLess(sum(losses[-3:]), sum(losses[:3]))

    def test_a_cancelled_job_frees_its_slots(self):
        cluster = self.cluster
        long_job = topics_job("long", duration={"steps": 100000})
        first = cluster.submit(long_job)
        cluster.wait_for_step(first, 2)
        second = cluster.submit(topics_job("second", duration={"steps": 3}))
        waiting = cluster.job(second)
        self.assertEqual(waiting["phase"], "JOB_PHASE_QUEUED")
        self.assertRegex(waiting["reason"], r"needs 2 .*0 free")
        cluster.ok("cancel", first)
        cancelled = cluster.wait_for_phase(first, "JOB_PHASE_CANCELLED")
        self.assertTrue(cancelled["reason"])
        cluster.wait_for_phase(second, "JOB_PHASE_SUCCEEDED")
        watched = cluster.muster("watch", first)
        self.assertEqual(watched.code, 3, watched)

    def test_lists_and_logs_are_readable(self):
        cluster = self.cluster
        job_id = cluster.submit(topics_job("listed", duration={"steps": 3}))
        cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED")
        self.assertIn(job_id, cluster.ok("jobs").out)
        self.assertIn(job_id, json.dumps(cluster.ok("jobs", "--output", "json").json()))
        self.assertIn("topics", cluster.ok("data", "list").out)
        self.assertIn("small-vocab", cluster.ok("models", "list").out)
        self.assertTrue(cluster.ok("logs", job_id).out.strip())
        self.assertEqual(len(cluster.ok("workers", "--output", "json").json()["workers"][0]["slots"]), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Jobs with label noise on a real cluster: the same on any number of ranks, measured by true labels, comparable in a study."""
import csv
import hashlib
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job  # noqa: E402
from world_sizes_test import LIMIT_OF_WEIGHTS, difference, read_safetensors  # noqa: E402

DAMAGE = {"random_passages": 0.2, "other_positives": 0.1, "dropped": 0.1}


def noisy_job(name, ranks=2, noise=None, **changes):
    data = {"train": "topics", "positives": {"per_query": 3}}
    if noise is not None:
        data["noise"] = noise
    resources = {"device": "cpu", "slots": {"min": ranks, "max": ranks}, "threads": 1}
    return topics_job(name, data=data, resources=resources, **changes)


class LabelNoise(TopicsCase):
    def run_job(self, job):
        return self.cluster.wait_for_phase(self.cluster.submit(job), "JOB_PHASE_SUCCEEDED", seconds=240)

    def weights_of(self, job_id):
        target = self.cluster.folder / f"export-{job_id}"
        if not target.exists():
            self.cluster.ok("export", job_id, target)
        return target / "model.safetensors"

    def steps_of(self, job_id):
        return list(csv.DictReader(self.cluster.ok("get", job_id, "--metrics", "csv").out.splitlines()))

    def untrained(self, job):
        return next(e["metrics"] for e in job["evaluations"] if e["label"] == "untrained")

    def test_all_ranks_and_runs_see_the_same_damage(self):
        jobs = {(ranks, run): self.run_job(noisy_job(f"noisy-{ranks}-{run}", ranks, DAMAGE))["id"]
                for ranks, run in ((1, 1), (2, 1), (2, 2))}
        digests = {key: hashlib.sha256(self.weights_of(job).read_bytes()).hexdigest() for key, job in jobs.items()}
        self.assertEqual(digests[2, 1], digests[2, 2])
        one, two = (read_safetensors(self.weights_of(jobs[key])) for key in ((1, 1), (2, 1)))
        # The gradient of a key bias is only rounding, which Adam amplifies.
        worst = max(difference(one[name], two[name]) for name in one if not name.endswith("attention.self.key.bias"))
        print(f"1 and 2 ranks: largest difference {worst:.1e}")
        self.assertLessEqual(worst, LIMIT_OF_WEIGHTS)

        card = (self.cluster.folder / f"export-{jobs[2, 1]}" / "README.md").read_text()
        self.assertIn("| label noise | random passages 0.2, other positives 0.1, dropped 0.1, seed 17 |", card)

        first = {key: self.steps_of(job)[0] for key, job in jobs.items()}
        for row in first.values():
            self.assertGreater(float(row["noise_weight"]), 0)
            self.assertLess(float(row["noise_weight"]), 1)
            shares = [float(row[f"positive_weight_{place}"]) for place in (1, 2, 3)]
            self.assertAlmostEqual(sum(shares), 1, delta=1e-5)
            self.assertEqual(row["positive_weight_4"], "", "three positives per query")
            self.assertLess(shares[0], shares[2], "lsepair listens to the least similar positive")
        for column in ("noise_weight", "positive_weight_1"):
            self.assertAlmostEqual(float(first[1, 1][column]), float(first[2, 1][column]), delta=1e-5)

        clean = self.run_job(noisy_job("clean"))["id"]
        self.assertNotEqual(hashlib.sha256(self.weights_of(clean).read_bytes()).hexdigest(), digests[2, 1])
        self.assertEqual({row["noise_weight"] for row in self.steps_of(clean)}, {""})
        shown = self.cluster.ok("metrics", jobs[2, 1], "--output", "json").out.splitlines()
        self.assertGreater(json.loads(shown[0])["noise_weight"], 0)

    def test_evaluations_read_the_true_judgments(self):
        report = {"dataset": "topics", "split": "train"}
        clean, noisy = (self.run_job(noisy_job(name, noise=noise, duration={"steps": 2}, report=report))
                        for name, noise in (("true", None), ("false", {"random_passages": 1})))
        self.assertEqual(self.untrained(clean), self.untrained(noisy))

    def test_the_submission_tells_the_damage_and_refuses_what_the_data_lacks(self):
        path = self.cluster.folder / "told.yaml"
        path.write_text(json.dumps(noisy_job("told")))
        told = self.cluster.ok("submit", path, "--dry-run", "--set", "data.noise.random_passages=1")
        self.assertRegex(told.out + told.err,
                         r'note: data\.noise: of (\d+) positives of split "train", \d+ are replaced by random passages')
        refused = self.cluster.muster("submit", path, "--set", "data.noise.hard_negatives=0.5")
        self.assertEqual(refused.code, 2, refused)
        self.assertIn('data.noise.hard_negatives: split "train" of dataset "topics" has no hard negatives', refused.err)
        refused = self.cluster.muster("submit", path, "--set", "data.noise={random_passages: 0.6, dropped: 0.6}")
        self.assertEqual(refused.code, 2, refused)
        self.assertIn("data.noise: random_passages, hard_negatives, other_positives and dropped add up to 1.2", refused.err)

    def test_a_study_over_noise_levels_shows_the_gradient_on_the_damage(self):
        base = noisy_job("x", ranks=1, duration={"steps": 12})
        for key in ("name", "seed"):
            base.pop(key)
        study = {"study": "robust", "base": base, "seeds": 2,
                 "grid": {"labels": {"clean": {}, "random40": {"data.noise.random_passages": 0.4}}}}
        path = self.cluster.folder / "robust.yaml"
        path.write_text(json.dumps(study))
        done = self.cluster.ok("study", path, "--output", "json").json()
        self.assertEqual((done["done"], done["failed"]), (4, 0))
        folder = self.cluster.folder / "robust-report"
        self.cluster.ok("study", "report", path, "--out", folder)
        arms = {row["arm"]: row for row in csv.DictReader((folder / "arms.csv").read_text().splitlines())}
        self.assertEqual(arms["labels=clean"]["noise_weight"], "")
        self.assertGreater(float(arms["labels=random40"]["noise_weight"]), 0.1)
        self.assertIn("NOISE WEIGHT", (folder / "report.md").read_text())
        jobs = self.cluster.ok("jobs", "--name", "robust.", "--limit", "0", "--output", "json").json()["jobs"]
        noisy = next(job for job in jobs if "noise" in job["spec"]["data"])
        page = self.cluster.folder / "noisy.html"
        self.cluster.ok("report", noisy["id"], "--out", page)
        for title in ("Gradient by place of the positive", "Gradient on injected false positives"):
            self.assertIn(title, page.read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)

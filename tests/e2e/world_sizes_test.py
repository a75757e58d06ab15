"""The same job on 1, 2 and 4 ranks: the same weights up to rounding, through the CLI."""
import csv
import json
import math
import pathlib
import re
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job  # noqa: E402

# For each tensor, the norm of the difference divided by its norm.
LIMIT_OF_GRADIENTS, LIMIT_OF_WEIGHTS = 1e-5, 1e-4


def read_safetensors(path, prefix=""):
    """{name: values} of the float32 tensors whose names begin with `prefix`."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if not name.startswith(prefix):
            continue
        assert entry["dtype"] == "F32", (name, entry["dtype"])
        begin, end = entry["data_offsets"]
        tensors[name] = struct.unpack(f"<{(end - begin) // 4}f", data[8 + size + begin:8 + size + end])
    return tensors


def difference(one, other):
    above = math.fsum((a - b) ** 2 for a, b in zip(one, other))
    return math.sqrt(above / math.fsum(a * a for a in one)) if above else 0.0


def job_on(ranks, name, steps, every):
    return topics_job(name, model={"preset": "tiny", "tokenizer": "small-vocab", "dropout": 0.1,
                                   "max_length": {"query": 16, "passage": 16}},
                      batch={"queries": 24, "micro_batch_tokens": 256}, duration={"steps": steps},
                      resources={"device": "cpu", "slots": {"min": ranks, "max": ranks}, "threads": 1},
                      checkpoint={"every_steps": every, "keep_after_success": True})


class WorldSizes(TopicsCase):
    slots, twins = 4, True

    def test_equal_texts_under_two_ids_are_one_passage(self):
        topics = self.cluster.ok("data", "show", "topics", "--output", "json").json()
        self.assertEqual(int(topics["passages"]) - int(topics["unique_passages"]), 6, "one twin a topic")

    def run_on(self, ranks, *job):
        job_id = self.cluster.submit(job_on(ranks, *job))
        done = self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(done["attempts"][0]["ranks"]), ranks)
        return done

    def assert_near(self, one, other, limit, what):
        self.assertEqual(one.keys(), other.keys())
        # The gradient of a key bias is only rounding, which Adam amplifies. It changes no score.
        differences = {name: difference(tensor, other[name]) for name, tensor in one.items()
                       if not name.endswith("attention.self.key.bias")}
        self.assertLess(len(differences), len(one))
        worst = sorted(differences, key=differences.get)[-3:]
        print(f"{what}:", ", ".join(f"{name} {differences[name]:.2e}" for name in reversed(worst)))
        self.assertLessEqual(differences[worst[-1]], limit, worst[-1])

    def blob(self, digest):
        found = [path for path in (self.cluster.state / "data").rglob(digest) if path.is_file()]
        self.assertEqual(len(found), 1, digest)
        return found[0]

    def first_gradients(self, ranks):
        """AdamW's first moment after one step is the clipped gradient times 1 - beta1."""
        checkpoint = self.run_on(ranks, "first-step", 1, 1)["checkpoints"][-1]
        manifest = self.blob(checkpoint["manifest"]).read_bytes()
        digest = re.search(rb"optimizer\.safetensors\x12\x40([0-9a-f]{64})", manifest).group(1).decode()
        moments = read_safetensors(self.blob(digest), prefix="exp_avg.")
        self.assertGreater(len(moments), 30)
        return moments

    def test_gradients_of_the_first_step_on_1_2_and_4_ranks_agree(self):
        gradients = {ranks: self.first_gradients(ranks) for ranks in (1, 2, 4)}
        for ranks in (2, 4):
            self.assert_near(gradients[1], gradients[ranks], LIMIT_OF_GRADIENTS, f"first gradients, {ranks} ranks")

    def train(self, ranks):
        done = self.run_on(ranks, "world", 60, 100)
        scores = {e["label"]: e["metrics"]["ndcg@10"] for e in done["evaluations"]}
        self.assertGreater(scores["trained"], scores["untrained"] + 0.1, "a job that learns")
        target = self.cluster.folder / f"ranks-{ranks}"
        self.cluster.ok("export", done["id"], target)
        first = next(csv.DictReader(self.cluster.ok("get", done["id"], "--metrics", "csv").out.splitlines()))
        self.first_steps[ranks] = {column: float(first[column]) for column in ("loss", "gradient_norm", "mean_negative")}
        return read_safetensors(target / "model.safetensors")

    def test_sixty_steps_on_1_2_and_4_ranks_agree(self):
        self.first_steps = {}
        trained = {ranks: self.train(ranks) for ranks in (1, 2, 4)}
        for ranks in (2, 4):
            for column, value in self.first_steps[1].items():
                self.assertLessEqual(abs(self.first_steps[ranks][column] / value - 1), 1e-5, (ranks, column))
            self.assert_near(trained[1], trained[ranks], LIMIT_OF_WEIGHTS, f"60 steps, {ranks} ranks")


if __name__ == "__main__":
    unittest.main(verbosity=2)

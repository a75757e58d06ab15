"""The same job on 1, 2 and 4 ranks: the same weights up to rounding, through the CLI."""
import csv
import json
import math
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cluster import TopicsCase, topics_job  # noqa: E402

LIMIT = 1e-4  # norm of the difference over norm, of each tensor


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", (name, entry["dtype"])
        begin, end = entry["data_offsets"]
        tensors[name] = struct.unpack(f"<{(end - begin) // 4}f", data[8 + size + begin:8 + size + end])
    return tensors


def difference(one, other):
    above = math.fsum((a - b) ** 2 for a, b in zip(one, other))
    return math.sqrt(above / math.fsum(a * a for a in one)) if above else 0.0


class WorldSizes(TopicsCase):
    slots = 4

    def train(self, ranks):
        job = topics_job("world", model={"preset": "tiny", "tokenizer": "small-vocab", "dropout": 0.1,
                                         "max_length": {"query": 16, "passage": 16}},
                         batch={"queries": 24, "micro_batch_tokens": 256}, duration={"steps": 60},
                         resources={"device": "cpu", "slots": {"min": ranks, "max": ranks}, "threads": 1},
                         checkpoint={"every_steps": 100})
        job_id = self.cluster.submit(job)
        done = self.cluster.wait_for_phase(job_id, "JOB_PHASE_SUCCEEDED", seconds=240)
        self.assertEqual(len(done["attempts"][0]["ranks"]), ranks)
        scores = {e["label"]: e["metrics"]["ndcg@10"] for e in done["evaluations"]}
        self.assertGreater(scores["trained"], scores["untrained"] + 0.1, "a job that learns")
        target = self.cluster.folder / f"ranks-{ranks}"
        self.cluster.ok("export", job_id, target)
        first = next(csv.DictReader(self.cluster.ok("get", job_id, "--metrics", "csv").out.splitlines()))
        self.first_steps[ranks] = {column: float(first[column]) for column in ("loss", "gradient_norm", "mean_negative")}
        return read_safetensors(target / "model.safetensors")

    def test_sixty_steps_on_1_2_and_4_ranks_agree(self):
        self.first_steps = {}
        trained = {ranks: self.train(ranks) for ranks in (1, 2, 4)}
        for ranks in (2, 4):
            for column, value in self.first_steps[1].items():
                self.assertLessEqual(abs(self.first_steps[ranks][column] / value - 1), 1e-5, (ranks, column))
            self.assertEqual(trained[ranks].keys(), trained[1].keys())
            # A key bias has no gradient but rounding, which Adam blows up; it changes no score.
            differences = {name: difference(tensor, trained[ranks][name]) for name, tensor in trained[1].items()
                           if not name.endswith("attention.self.key.bias")}
            self.assertLess(len(differences), len(trained[1]))
            worst = sorted(differences, key=differences.get)[-3:]
            print(f"{ranks} ranks:", ", ".join(f"{name} {differences[name]:.2e}" for name in reversed(worst)))
            self.assertLessEqual(differences[worst[-1]], LIMIT, worst[-1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
